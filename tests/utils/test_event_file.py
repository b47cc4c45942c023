"""TensorBoard's event file, as TensorBoard itself reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from event_files import curves, read_events
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keisei.utils.event_file as module
from keisei.utils.event_file import HPARAMS_FILE, EventFile, Histogram, write_hparams


def test_all_kinds_come_back(tmp_path: Path) -> None:
    file = EventFile(tmp_path, 1)
    file.scalars({"learn.loss": 0.1, "learn.nan": float("nan")}, 10)
    file.text("alerts.slow", "it is slow", 10)
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    file.image("game", pixels, 10)
    spread = Histogram(np.array([0.0, 1.0]), np.array([2.0, 3.0]), -0.5, 0.9, 1.5, 2.5)
    file.histograms({"rollout.values": spread}, 10)
    file.close()
    file.close()
    read = read_events(tmp_path)
    assert curves(read)["learn/loss"] == [(10, np.float32(0.1))]
    assert np.isnan(read.Scalars("learn/nan")[0].value)
    (text,) = read.Tensors("alerts/slow/text_summary")
    assert text.tensor_proto.string_val == [b"it is slow"]
    (image,) = read.Images("game")
    assert (image.width, image.height, image.step) == (6, 4, 10)
    from PIL import Image

    (tmp_path / "picture.png").write_bytes(image.encoded_image_string)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "picture.png")), pixels)
    values = read.Histograms("rollout/values")[0].histogram_value
    assert (values.min, values.max, values.num) == (-0.5, 0.9, 5)
    assert (values.sum, values.sum_squares) == (1.5, 2.5)
    assert (values.bucket_limit, values.bucket) == ([0.0, 1.0], [2.0, 3.0])


def test_what_is_void_goes_and_all_else_stays(tmp_path: Path) -> None:
    for purge_step, steps in ((1, (10, 20, 30)), (21, (31, 41)), (21, (32, 40))):
        file = EventFile(tmp_path, purge_step)
        for step in steps:
            file.scalars({"a.b": step / 2}, step)
        file.close()
    assert curves(read_events(tmp_path)) == {"a/b": [(s, s / 2) for s in (10, 20, 32, 40)]}


def test_a_torn_record_takes_nothing_with_it(tmp_path: Path) -> None:
    file = EventFile(tmp_path, 1)
    for step in (10, 20, 30):
        file.scalars({"a.b": step / 2}, step)
    file.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    file = EventFile(tmp_path, 21)
    file.scalars({"a.b": 7.0}, 31)
    file.close()
    assert curves(read_events(tmp_path)) == {"a/b": [(10, 5.0), (20, 10.0), (31, 7.0)]}


def test_files_are_read_in_order_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, time in enumerate((5000.0, 5000.0, 10.0)):
        monkeypatch.setattr(module.time, "time", lambda time=time: time)
        file = EventFile(tmp_path, 1)
        file.scalars({"a.b": float(number)}, 1)
        file.close()
    names = sorted(path.name.split(".")[3] for path in tmp_path.iterdir())
    assert names == ["0000005000", "0000005001", "0000005002"]
    assert curves(read_events(tmp_path)) == {"a/b": [(1, 2.0)]}


def test_what_was_written_is_there_before_the_file_is_closed(tmp_path: Path) -> None:
    file = EventFile(tmp_path, 1)
    file.scalars({"a.b": 1.0}, 1)
    assert curves(read_events(tmp_path)) == {"a/b": [(1, 1.0)]}
    file.close()
    with pytest.raises(OSError, match="events cannot be written"):
        file.scalars({"a.b": 1.0}, 2)


SETTINGS: dict[str, bool | float | str] = {"training.seed": 5, "model.type": "resnet", "a.b": True}


def test_hyperparameters_are_there_once_however_often_they_are_written(tmp_path: Path) -> None:
    for step in (10, 20):
        write_hparams(tmp_path, SETTINGS, ["learn.loss", "learn.entropy"])
        file = EventFile(tmp_path, step - 9)
        file.session_end({"learn.loss": step / 4}, step)
        file.close()
    found = hyperparameters(tmp_path)
    assert found == {"training.seed": 5.0, "model.type": "resnet", "a.b": True}
    assert curves(read_events(tmp_path)) == {"final/learn/loss": [(10, 2.5), (20, 5.0)]}
    inode = (tmp_path / HPARAMS_FILE).stat().st_ino
    write_hparams(tmp_path, SETTINGS, ["learn.loss", "learn.entropy"])
    assert (tmp_path / HPARAMS_FILE).stat().st_ino == inode, "expected it to be left alone"
    write_hparams(tmp_path, {**SETTINGS, "training.seed": 6}, ["learn.loss"])
    assert hyperparameters(tmp_path)["training.seed"] == 6.0
    assert sum(path.suffix == ".hparams" for path in tmp_path.iterdir()) == 1


def hyperparameters(folder: Path) -> dict[str, object]:
    """As TensorBoard's plugin finds them."""
    from tensorboard.plugins.hparams import metadata

    read = EventAccumulator(str(folder))
    read.Reload()
    content = read.PluginTagToContent("hparams")
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    experiment = metadata.parse_experiment_plugin_data(content[metadata.EXPERIMENT_TAG])
    assert [info.name for info in experiment.hparam_infos] == list(SETTINGS)
    assert experiment.metric_infos[0].name.tag == "final/learn/loss"
    assert metadata.SESSION_END_INFO_TAG in content
    return {name: getattr(x, x.WhichOneof("kind")) for name, x in start.hparams.items()}
