"""Checkpoints on disk: published whole, checked when read, found again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from keisei.config_schema import AppConfig, ModelConfig, resolve
from keisei.core.model_file import CheckpointError, load_model
from keisei.core.network import build_network
from keisei.training.checkpoint import (
    TrainingState,
    load_checkpoint,
    save_checkpoint,
)
from keisei.utils.files import sha256_of_file

CONFIG = resolve(
    AppConfig(model=ModelConfig(tower_depth=1, tower_width=8)), device="cpu", compile_network=False
)
STATE = TrainingState(
    tensors={"a": torch.arange(5), "scalar": torch.tensor(3), "empty": torch.zeros(0)},
    values={"iteration": 3, "seconds": 1.5},
)


def save(directory: Path, step: int = 5) -> None:
    torch.manual_seed(0)
    save_checkpoint(
        directory, network=build_network(CONFIG.model), config=CONFIG, step=step, state=STATE
    )


def test_comes_back_whole(tmp_path: Path) -> None:
    save(tmp_path / "step-5")
    model, state = load_checkpoint(tmp_path / "step-5")
    assert model.config == CONFIG and model.manifest["step"] == 5
    assert state.values == STATE.values
    assert state.tensors.keys() == STATE.tensors.keys()
    for name, tensor in STATE.tensors.items():
        assert torch.equal(state.tensors[name], tensor)
    assert [p.name for p in tmp_path.iterdir()] == ["step-5"], "nothing temporary stays"


def test_the_index_lists_every_file_with_its_sum(tmp_path: Path) -> None:
    save(tmp_path / "step-5")
    index = json.loads((tmp_path / "step-5" / "checkpoint.json").read_text())
    assert index["format"] == "keisei-checkpoint" and index["step"] == 5
    others = {p.name for p in (tmp_path / "step-5").iterdir()} - {"checkpoint.json"}
    assert others == set(index["files"])
    assert others == {"model.ckpt", "training-00000.safetensors", "training-00000.json"}
    for name, entry in index["files"].items():
        path = tmp_path / "step-5" / name
        assert entry == {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}


def test_others_may_read_it_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save(tmp_path / "step-5")
    finally:
        os.umask(before)
    for path in (tmp_path / "step-5").iterdir():
        assert path.stat().st_mode & 0o777 == 0o640, path.name


def test_the_model_alone_is_enough_elsewhere(tmp_path: Path) -> None:
    save(tmp_path / "step-5")
    copy = tmp_path / "copy.ckpt"
    copy.write_bytes((tmp_path / "step-5" / "model.ckpt").read_bytes())
    assert load_model(copy).weights.keys() == load_model(tmp_path / "step-5").weights.keys()


@pytest.mark.parametrize(
    "name", ["model.ckpt", "training-00000.safetensors", "training-00000.json"]
)
def test_a_damaged_or_missing_file_is_named(tmp_path: Path, name: str) -> None:
    directory = tmp_path / "step-5"
    save(directory)
    path = directory / name
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 4
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=rf"{name}: SHA-256: expected \w{{64}}, got \w{{64}}"):
        load_checkpoint(directory)
    path.unlink()
    with pytest.raises(CheckpointError, match=f"{name}: missing"):
        load_checkpoint(directory)


def test_an_unpublished_folder_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "step-5").mkdir()
    with pytest.raises(CheckpointError, match=r"checkpoint\.json: cannot be read"):
        load_checkpoint(tmp_path / "step-5")
    (tmp_path / "step-5" / "checkpoint.json").write_text('{"format": "other"}')
    with pytest.raises(CheckpointError, match="format: expected 'keisei-checkpoint', got 'other'"):
        load_checkpoint(tmp_path / "step-5")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"format_version": 1}, "format_version: expected 2, got 1"),
        ({"step": "5"}, "step: expected a valid integer, got '5'"),
        ({"step": 6}, "step: expected 5, got 6"),
        ({"files": ["model.ckpt"]}, "files: expected a valid dictionary, got"),
        ({"files": {}}, r"files: expected \['model.ckpt', 'training-00000.json', .*\], got \[\]"),
        ({"files": {"model.ckpt": 1}}, r"files\.model\.ckpt: expected"),
        ({"files": {"model.ckpt": {"bytes": 1}}}, r"files\.model\.ckpt\.sha256: expected a value"),
        ({"more": 1}, "more: expected"),
    ],
)
def test_an_index_that_is_not_as_it_must_be(
    tmp_path: Path, changed: dict[str, object], expected: str
) -> None:
    directory = tmp_path / "step-5"
    save(directory)
    path = directory / "checkpoint.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(CheckpointError, match=rf"checkpoint\.json: {expected}"):
        load_checkpoint(directory)


def test_an_index_lists_no_more_and_no_less(tmp_path: Path) -> None:
    directory = tmp_path / "step-5"
    save(directory)
    path = directory / "checkpoint.json"
    index = json.loads(path.read_text())
    (tmp_path / "other").write_text("x")
    other = {"bytes": 1, "sha256": sha256_of_file(tmp_path / "other")}
    path.write_text(json.dumps(index | {"files": index["files"] | {"../other": other}}))
    with pytest.raises(CheckpointError, match=r"checkpoint\.json: files: .* got \['\.\./other"):
        load_checkpoint(directory)
    path.write_text(json.dumps(index))
    (directory / "training-00001.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"files: expected .*'training-00001\.json'.*, got"):
        load_checkpoint(directory)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\udcff"])
def test_an_index_that_is_no_object(tmp_path: Path, text: str) -> None:
    save(tmp_path / "step-5")
    path = tmp_path / "step-5" / "checkpoint.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(CheckpointError, match=r"checkpoint\.json: (expected|cannot be read)"):
        load_checkpoint(tmp_path / "step-5")


def test_a_failure_while_writing_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "step-5"
    save(target)
    before = {p.name: p.read_bytes() for p in target.iterdir()}

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("keisei.training.checkpoint.write_index", fail)
    with pytest.raises(OSError, match="disk full"):
        save(target)
    assert {p.name: p.read_bytes() for p in target.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["step-5"]


def test_a_checkpoint_of_the_same_name_is_replaced(tmp_path: Path) -> None:
    save(tmp_path / "step", step=1)
    save(tmp_path / "step", step=2)
    assert load_checkpoint(tmp_path / "step")[0].manifest["step"] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["step"]
