"""Where a run writes, what it keeps, and that nothing gets out."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from checkpoint_helpers import write

from keisei.config_schema import AppConfig, ConfigError, LoggingConfig, resolve
from keisei.core.model_file import CheckpointError
from keisei.training.checkpoint import checkpoint_name
from keisei.training.session_manager import SessionManager
from keisei.training.train_state import TrainState


def config(tmp_path: Path, **logging: object) -> AppConfig:
    given = AppConfig(logging=LoggingConfig(**{"run_root": str(tmp_path / "runs")} | logging))
    return resolve(given, device="cpu", compile_network=False)


def session(tmp_path: Path, **logging: object) -> SessionManager:
    return SessionManager(config(tmp_path, **logging), SimpleNamespace(resume=None))


def test_constructing_it_writes_nothing(tmp_path: Path) -> None:
    manager = session(tmp_path, run_name="a")
    run = tmp_path / "runs" / "a"
    assert manager.run_name == "a" and manager.run_artifact_dir == run
    assert manager.model_dir == run / "checkpoints"
    assert manager.log_file_path == run / "train.log"
    assert manager.eval_log_file_path.parent == run
    assert list(tmp_path.iterdir()) == []
    assert not manager.is_active and not manager.is_wandb_active


def test_folders_are_made_once_and_others_cannot_write_there(tmp_path: Path) -> None:
    manager = session(tmp_path, run_name="a")
    before = os.umask(0)
    try:
        manager.setup_directories()
        manager.setup_directories()
    finally:
        os.umask(before)
    for folder in (manager.run_artifact_dir, manager.model_dir):
        assert folder.stat().st_mode & 0o777 == 0o755


def test_without_a_name_it_is_the_time_and_never_a_folder_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keisei.training.session_manager as module

    monkeypatch.setattr(module.time, "strftime", lambda *_: "20261122-120000")
    names = []
    for _ in range(3):
        manager = session(tmp_path)
        manager.setup_directories()
        names.append(manager.run_name)
    assert names == ["20261122-120000", "20261122-120000-2", "20261122-120000-3"]


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match=r"^run folder: expected a place in .*runs, got "):
        session(tmp_path, run_name="a")
    (tmp_path / "runs" / "b").mkdir()
    (tmp_path / "runs" / "b" / "checkpoints").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match=r"^checkpoints: expected a place in .*runs/b, got "):
        session(tmp_path, run_name="b")
    (tmp_path / "runs" / "c").mkdir()
    (tmp_path / "runs" / "c" / "train.log").symlink_to(elsewhere / "log")
    with pytest.raises(ConfigError, match=r"^train\.log: expected a place in .*runs/c, got "):
        session(tmp_path, run_name="c")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", ["../out", "/out", "a/b", "..", ".", "a\\b", "a..b", "-rf", "*"])
def test_a_name_that_is_a_path_or_a_pattern_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="the name of one folder"):
        session(tmp_path, run_name=name)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        SessionManager(config(tmp_path), SimpleNamespace(resume=str(tmp_path / "nowhere")))
    assert list(tmp_path.iterdir()) == []


def test_from_start_to_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    manager = session(tmp_path, run_name="a")
    with pytest.raises(RuntimeError, match=r"write_metrics: expected start\(\) before"):
        manager.write_metrics(1, 10, {})
    progress = TrainState()
    manager.start(progress)
    manager.start(progress)
    assert manager.is_active
    manager.log_session_start()
    manager.write_metrics(1, 10, {"learn.loss": 0.5})
    manager.finalize_session()
    manager.finalize_session()
    assert not manager.is_active
    run = manager.run_artifact_dir
    assert f"run folder: {run}" in caplog.text
    line = json.loads((run / "metrics.jsonl").read_text())
    assert line == {"iteration": 1, "step": 10, "learn.loss": 0.5}
    assert json.loads((run / "config.json").read_text())["logging"]["run_name"] == "a"
    (start,) = json.loads((run / "run.json").read_text())["starts"]
    assert start["seed"] == 0 and start["resumed_from"] is None
    summary = manager.get_session_summary()
    assert summary["run_name"] == "a" and summary["seconds"] >= 0


class Mirror:
    """Weights & Biases, as the session sees it."""

    def __init__(self) -> None:
        self.active = True
        self.sent: list[tuple[dict[str, object], int]] = []

    def log(self, values: dict[str, object], step: int) -> None:
        self.sent.append((dict(values), step))

    def close(self) -> None:
        self.active = False


def test_log_both_reaches_the_log_and_the_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import keisei.training.session_manager as module

    caplog.set_level(logging.DEBUG)
    mirror = Mirror()
    monkeypatch.setattr(module, "WandbMirror", lambda *_: mirror)
    manager = session(tmp_path, run_name="a")
    manager.log_both("before")
    progress = TrainState()
    manager.start(progress)
    assert manager.is_wandb_active
    progress.step = 32
    manager.log_both("both of 100%", wandb_data={"x": 1.0}, log_level="warning")
    manager.log_both("log only", also_to_wandb=False)
    manager.write_metrics(1, 32, {"learn.loss": 0.5})
    assert mirror.sent == [({"message": "both of 100%", "x": 1.0}, 32), ({"learn.loss": 0.5}, 32)]
    levels = {r.getMessage(): r.levelname for r in caplog.records}
    assert levels["before"] == levels["log only"] == "INFO"
    assert levels["both of 100%"] == "WARNING"
    with pytest.raises(ValueError, match=r"log_level: expected debug, .*, got 'loud'"):
        manager.log_both("x", log_level="loud")
    manager.finalize_session()
    assert not manager.is_wandb_active


def test_a_session_goes_on_without_weights_and_biases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    manager = session(tmp_path, run_name="a", wandb_enabled=True)
    manager.start(TrainState())
    manager.write_metrics(1, 10, {"learn.loss": 0.5})
    manager.finalize_session()
    assert "the package wandb is not installed" in caplog.text
    assert len((manager.run_artifact_dir / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_folder_that_may_not_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OSError, match="runs"):
        session(tmp_path, run_name="a").setup_directories()


def test_another_runs_name_is_refused_on_resume_too(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("ra", "rb"):
        write(runs / name / "checkpoints" / checkpoint_name(10), 10)
    asked = SimpleNamespace(resume=str(runs / "ra"))
    with pytest.raises(ConfigError, match=r"expected a new run, got 'rb', which has .*/rb or"):
        SessionManager(config(tmp_path, run_name="rb"), asked)
    assert SessionManager(config(tmp_path, run_name="rc"), asked).run_name == "rc"


def test_a_run_that_is_in_use_is_refused(tmp_path: Path) -> None:
    first, second = session(tmp_path, run_name="a"), session(tmp_path, run_name="a")
    first.start(TrainState())
    (first.model_dir / ".step-1.tmp").mkdir()
    with pytest.raises(ConfigError, match=f"the run is in use by process {os.getpid()}$"):
        second.setup_directories()
    assert (first.model_dir / ".step-1.tmp").is_dir()
    first.finalize_session()
    second.setup_directories()
    assert not first.is_active


def test_a_run_that_went_on_since_it_was_looked_at_is_refused(tmp_path: Path) -> None:
    fresh = session(tmp_path, run_name="a")
    folder = fresh.model_dir
    write(folder / checkpoint_name(10), 10)
    with pytest.raises(ConfigError, match="got another process's checkpoints in it since"):
        fresh.setup_directories()
    (folder.parent / "config.json").write_text("{}")
    asked = SimpleNamespace(resume=str(folder.parent))
    resumed = SessionManager(config(tmp_path, run_name="a"), asked)
    again = SessionManager(config(tmp_path, run_name="a"), asked)
    resumed.setup_directories()
    write(folder / checkpoint_name(20), 20)
    resumed.finalize_session()
    with pytest.raises(ConfigError, match="got another process's checkpoints in it since"):
        again.setup_directories()
    resumed.setup_directories()  # whose checkpoint it was


def test_of_two_unnamed_runs_of_one_second_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keisei.training.session_manager as module

    monkeypatch.setattr(module.time, "strftime", lambda *_: "20261122-120000")
    first, second = session(tmp_path), session(tmp_path)
    first.setup_directories()
    with pytest.raises(ConfigError, match=r"expected a new one, got .*20261122-120000, which"):
        second.setup_directories()
    first.setup_directories()
