"""Going on from the newest whole checkpoint, with settings that fit it, or not at all."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_helpers import CONFIG, snapshot, write

from keisei.config_schema import AppConfig, ConfigError, load_config, resolve
from keisei.core.model_file import CheckpointError, list_checkpoints, load_model
from keisei.training.checkpoint import checkpoint_name, save_checkpoint
from keisei.training.resume import (
    MAY_CHANGE,
    as_in_checkpoint,
    config_changes,
    find_latest,
    find_resume,
    load_newest_good,
    set_aside,
)

FILES = ["model.ckpt", "training-00000.safetensors", "training-00000.json", "checkpoint.json"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Run ``a`` with steps 10, 20 and 30, then run ``b`` with steps 5 and 6, written last."""
    written = 10
    for run, steps in (("a", (10, 20, 30)), ("b", (5, 6))):
        for step in steps:
            directory = write(tmp_path / run / "checkpoints" / checkpoint_name(step), step)
            os.utime(directory / "checkpoint.json", (written, written))
            written += 10
    return tmp_path


def place(root: Path, run: str, step: int) -> Path:
    return root / run / "checkpoints" / checkpoint_name(step)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 16
    path.write_bytes(raw)


def test_latest_is_the_newest_of_all_runs(root: Path) -> None:
    assert find_latest(root) == place(root, "b", 6)
    assert find_latest(root, "a") == place(root, "a", 30)
    point = find_resume("latest", root)
    assert point.directory == place(root, "b", 6) and point.is_newest and point.rejected == ()
    assert point.model.manifest["step"] == 6 and point.states[0].values["step"] == 6
    assert find_resume("latest", root, "a").directory == place(root, "a", 30)
    assert load_model(root / "a").manifest["step"] == 30


def test_nothing_to_resume_from_is_an_error(root: Path) -> None:
    (root / "empty" / "checkpoints").mkdir(parents=True)
    for resume, where in (
        ("latest", root / "nowhere"),
        (str(root / "empty"), root),
        (str(root / "nowhere"), root),
    ):
        with pytest.raises(CheckpointError, match=r"no checkpoint to resume from|cannot be read"):
            find_resume(resume, where)


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_one_is_passed_over_and_named(root: Path, name: str, damage: Any) -> None:
    damage(place(root, "a", 30) / name)
    for resume in ("latest", str(root / "a"), str(root / "a" / "checkpoints")):
        point = find_resume(resume, root, "a")
        assert point.directory == place(root, "a", 20)
        assert point.is_newest, "expected the run to go on in its folder"
        assert [one.directory for one in point.rejected] == [place(root, "a", 30)]
        assert name in point.rejected[0].reason and point.rejected[0].damaged


def newer_format(directory: Path) -> str:
    index = directory / "checkpoint.json"
    index.write_text(index.read_text().replace('"format_version": 2', '"format_version": 99'))
    return "format_version: expected 2, got 99"


def newer_settings(directory: Path) -> str:
    values = CONFIG.model_dump(mode="json")
    values["training"]["from_tomorrow"] = 1
    shutil.rmtree(directory)
    whole = snapshot(30)
    later = CONFIG.model_construct(**dict(CONFIG))
    later.__dict__["model_dump"] = lambda **_: values
    save_checkpoint(directory, network=whole.network, config=later, step=30, state=whole.state)
    return "from_tomorrow"


@pytest.mark.parametrize("change", [newer_format, newer_settings])
def test_one_of_another_version_is_passed_over_and_not_called_damaged(
    root: Path, change: Callable[[Path], str]
) -> None:
    reason = change(place(root, "a", 30))
    (rejected,) = load_newest_good(root / "a").rejected
    assert not rejected.damaged and reason in rejected.reason


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
@pytest.mark.parametrize("name", FILES)
def test_one_that_cannot_be_read_now_is_not_called_damaged(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    victim, read, opened = place(root, "a", 30) / name, Path.read_text, Path.open

    def refused(real: Any) -> Any:
        def call(self: Path, *args: Any, **kwargs: Any) -> Any:
            if self == victim:
                raise OSError(code, os.strerror(code), str(self))
            return real(self, *args, **kwargs)

        return call

    monkeypatch.setattr(Path, "read_text", refused(read))
    monkeypatch.setattr(Path, "open", refused(opened))
    (rejected,) = load_newest_good(root / "a").rejected
    assert not rejected.damaged and name in rejected.reason


def test_an_index_of_brackets_is_damage_and_nothing_else(root: Path) -> None:
    (place(root, "a", 30) / "checkpoint.json").write_text("[" * 200_000)
    (rejected,) = load_newest_good(root / "a").rejected
    assert rejected.damaged and "checkpoint.json: expected JSON, got" in rejected.reason


def test_several_damaged_ones_are_passed_over(root: Path) -> None:
    truncate(place(root, "a", 30) / "model.ckpt")
    shutil.rmtree(place(root, "a", 20))
    place(root, "a", 20).mkdir()
    point = load_newest_good(root / "a")
    assert point.directory == place(root, "a", 10)
    assert [one.directory.name for one in point.rejected] == [
        checkpoint_name(30),
        checkpoint_name(20),
    ]
    assert "checkpoint.json: cannot be read" in point.rejected[1].reason


def test_where_none_is_whole_each_is_named(root: Path) -> None:
    for step in (10, 20, 30):
        flip(place(root, "a", step) / "training-00000.safetensors")
    with pytest.raises(CheckpointError) as caught:
        find_resume("latest", root, "a")
    text = str(caught.value)
    assert "expected a whole checkpoint to resume from, got 3 of which none can be used" in text
    for step in (10, 20, 30):
        assert f"{checkpoint_name(step)}/training-00000.safetensors: SHA-256" in text
    # Another run's checkpoint would be another run.
    os.utime(place(root, "a", 30) / "checkpoint.json", (999, 999))
    with pytest.raises(CheckpointError, match="none can be used"):
        find_resume("latest", root)


def test_the_one_that_is_named_is_taken_or_none(root: Path) -> None:
    for resume in (place(root, "a", 20), place(root, "a", 20) / "model.ckpt"):
        point = find_resume(str(resume), root)
        assert point.directory == place(root, "a", 20) and not point.is_newest
    flip(place(root, "a", 20) / "model.ckpt")
    with pytest.raises(CheckpointError, match=r"model\.ckpt: SHA-256: expected"):
        find_resume(str(place(root, "a", 20)), root)
    flip(place(root, "a", 30) / "model.ckpt")
    point = find_resume(str(place(root, "a", 10)), root)
    assert point.is_newest, "expected damaged newer ones not to count"
    assert len(point.rejected) == 2


def test_a_model_alone_is_nothing_to_go_on_from(root: Path) -> None:
    alone = root / "a" / "final_model.ckpt"
    alone.write_bytes((place(root, "a", 20) / "model.ckpt").read_bytes())
    with pytest.raises(CheckpointError, match=r"final_model\.ckpt: expected a checkpoint's folder"):
        find_resume(str(alone), root)


def test_what_is_set_aside_is_no_checkpoint_any_more(root: Path) -> None:
    for number in ("", "-2", "-3"):
        aside = set_aside(place(root, "a", 30))
        assert aside.name == f"rejected-{checkpoint_name(30)}{number}"
        assert find_latest(root, "a") == place(root, "a", 20)
        assert list_checkpoints(root / "a" / "checkpoints")[-1] == place(root, "a", 20)
        write(place(root, "a", 30), 30)


def _damaged_anywhere(root: Path, trials: int) -> None:
    """Random bits flipped and files cut at random places: all that is loaded is as it was saved."""
    target = place(root, "a", 30)
    whole = {name: (target / name).read_bytes() for name in FILES}
    expected = load_newest_good(root / "a")
    numbers = random.Random(0)
    passed_over = 0
    for trial in range(trials):
        name = numbers.choice(FILES)
        raw = bytearray(whole[name])
        if numbers.random() < 0.5:
            raw[numbers.randrange(len(raw))] ^= 1 << numbers.randrange(8)
        else:
            del raw[numbers.randrange(len(raw)) :]
        (target / name).write_bytes(raw)
        point = load_newest_good(root / "a")
        if point.rejected:
            passed_over += 1
            assert point.directory == place(root, "a", 20), (trial, name)
        else:  # a bit of a space or of a line's end in the index
            assert name == "checkpoint.json", (trial, name)
            assert point.model.manifest == expected.model.manifest
            assert point.states[0].values == expected.states[0].values
        (target / name).write_bytes(whole[name])
    assert passed_over > trials * 0.9


def test_damage_anywhere_is_seen(root: Path) -> None:
    _damaged_anywhere(root, 60)


@pytest.mark.slow
def test_damage_at_a_thousand_places_is_seen(root: Path) -> None:
    _damaged_anywhere(root, 1000)


def changed(**sections: dict[str, Any]) -> AppConfig:
    values = CONFIG.model_dump()
    for section, keys in sections.items():
        values[section].update(keys)
    return AppConfig.model_validate(values)


def test_every_setting_has_taken_a_side() -> None:
    """A new setting must be thought about: may a run that is resumed change it?"""
    must_be_the_same = {
        "training.rollout_length",
        "training.batch_size",
        "training.ppo_epochs",
        "training.gamma",
        "training.gae_lambda",
        "training.clip_range",
        "training.value_clip",
        "training.value_coefficient",
        "training.normalize_advantages",
        "training.target_kl",
        "training.max_grad_norm",
        "training.weight_decay",
        "training.ema_decay",
        "training.use_ema",
        "training.mirror",
        "training.seed",
        "env.num_games",
        "env.max_plies",
        "env.start_positions",
        "model.type",
        "model.tower_depth",
        "model.tower_width",
        "model.se_ratio",
        "model.options",
    }
    may_change = {f"{section}.{key}" for section, keys in MAY_CHANGE.items() for key in keys}
    fields = {f"{section}.{key}" for section, keys in CONFIG.model_dump().items() for key in keys}
    assert may_change | must_be_the_same == fields
    assert not may_change & must_be_the_same


def test_what_may_change_is_shown_and_the_rest_refused(tmp_path: Path) -> None:
    assert config_changes(CONFIG, CONFIG, tmp_path) == []
    other = changed(
        training={"learning_rate": 0.5, "total_timesteps": 7},
        logging={"checkpoint_interval": 3},
    )
    assert config_changes(other, CONFIG, tmp_path) == [
        "training.total_timesteps: 2000000 -> 7",
        "training.learning_rate: 0.001 -> 0.5",
        "logging.checkpoint_interval: 100000 -> 3",
    ]
    other = changed(training={"learning_rate": 0.5, "gamma": 0.9}, env={"max_plies": 9})
    with pytest.raises(ConfigError) as caught:
        config_changes(other, CONFIG, Path("runs/x"))
    assert str(caught.value).splitlines() == [
        "training.gamma: expected 1.0 as in the checkpoint runs/x, got 0.9",
        "env.max_plies: expected 512 as in the checkpoint runs/x, got 9",
    ]


def test_what_is_left_open_is_the_checkpoints() -> None:
    saved = changed(env={"num_games": 48}, training={"batch_size": 24, "precision": "bfloat16"})
    asked = load_config(environment={"KEISEI_TRAINING__LEARNING_RATE": "0.5"})
    settled = as_in_checkpoint(asked, saved)
    assert (settled.env.num_games, settled.training.batch_size) == (48, 24)
    assert settled.training.learning_rate == 0.5
    assert settled.training.precision == "auto", "expected the machine to settle it"
    resolved = resolve(settled, device="cpu", compile_network=False)
    assert resolved.training.precision == "float32"
