"""A run that is mirrored to Weights & Biases is the run that is not, whatever becomes of that.

With the package itself, offline or without a network; nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from run_helpers import PLIES, assert_same_run, tiny_config, trainer_of

from keisei.config_schema import AlertsConfig, AppConfig
from keisei.training import Trainer
from keisei.training.callbacks import Callback, Snapshot
from keisei.utils import wandb_mirror

SECRETS = {
    "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
    "SERVICE_TOKEN": "token-of-the-service",
    "DATABASE_URL": "postgres://user:password-of-the-database@host/db",
}


def mirrored(root: Path) -> AppConfig:
    config = tiny_config(
        root, 4 * PLIES, alerts=AlertsConfig(rules={"always": "learn.loss > -1000"})
    )
    logging = config.logging.model_copy(update={"wandb_enabled": True})
    return config.model_copy(update={"logging": logging})


class At(Callback):
    """Does something once, after an iteration."""

    order = -1

    def __init__(self, iteration: int, act: Callable[[], object]) -> None:
        self.iteration = iteration
        self.act = act

    def on_update_end(self, snapshot: Snapshot) -> None:
        if snapshot.iteration == self.iteration:
            self.act()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """The same run without a mirror."""
    settings = mirrored(tmp_path_factory.mktemp("plain"))
    logging = settings.logging.model_copy(update={"wandb_enabled": False})
    trainer = trainer_of(settings.model_copy(update={"logging": logging}))
    trainer.run_training_loop()
    return trainer


def log_of(trainer: Trainer) -> str:
    return Path(trainer.log_file_path).read_text()


def wait_for_service(number: int) -> int:
    """Waits until the mirror's process has started Weights & Biases' own; returns that."""
    while True:
        os.kill(number, 0)  # it must be there still
        for child in wandb_mirror._children(number):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == "wandb-core":
                    return child
        os.sched_yield()


@pytest.mark.parametrize("victim", ["process", "service"])
def test_killing_it_changes_no_bit(
    victim: str, tmp_path: Path, plain: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    trainer = trainer_of(mirrored(tmp_path))

    def kill() -> None:
        mirror = trainer.session_manager._mirror
        assert mirror is not None and mirror.process_id is not None
        service = wait_for_service(mirror.process_id)
        os.kill(service if victim == "service" else mirror.process_id, signal.SIGKILL)

    trainer.callback_manager.add(At(2, kill))
    assert trainer.run_training_loop()
    assert_same_run(plain, trainer)
    assert log_of(trainer).count("training goes on without it") == 1


def test_no_network_changes_no_bit(
    tmp_path: Path, plain: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", SECRETS["WANDB_API_KEY"])
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setattr(wandb_mirror, "_START_TIMEOUT", 1.0)
    monkeypatch.setattr(wandb_mirror, "_FINISH_TIMEOUT", 1.0)
    trainer = trainer_of(mirrored(tmp_path))
    assert trainer.run_training_loop()
    assert_same_run(plain, trainer)
    text = log_of(trainer)
    assert text.count("training goes on without it") == 1
    assert SECRETS["WANDB_API_KEY"] not in text


def test_offline_it_is_whole_and_goes_on_as_the_same_run(
    tmp_path: Path, plain: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    settings = mirrored(tmp_path)
    trainer = trainer_of(settings)
    trainer.callback_manager.add(At(2, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert not trainer.run_training_loop()
    trainer = trainer_of(settings, resume=trainer.run_artifact_dir)
    assert trainer.run_training_loop()
    assert_same_run(plain, trainer)
    assert "goes on without it" not in log_of(trainer)
    files = list(Path(trainer.run_artifact_dir).glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 2 and len({file.name for file in files}) == 1, "expected one id"


def test_no_secret_reaches_anything_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """From messages, errors and what a command says: in no file, on no screen."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    settings = mirrored(tmp_path)
    leaks = ["sh", "-c", 'echo "$SERVICE_TOKEN $DATABASE_URL"; exit 1']
    settings = settings.model_copy(update={"alerts": AlertsConfig(command=leaks)})
    trainer = trainer_of(settings)
    words = " ".join(SECRETS.values())

    class Leaks(Callback):
        def on_start(self, snapshot: Snapshot) -> None:
            trainer.log_both(f"to both: {words}", wandb_data={"text": words})

        def on_update_end(self, snapshot: Snapshot) -> None:
            raise ValueError(f"refused: {words}")

    class Breaks(Leaks):
        essential = True
        order = 50

        def on_update_end(self, snapshot: Snapshot) -> None:
            if snapshot.iteration == 3:
                super().on_update_end(snapshot)

    trainer.callback_manager.add(Leaks())
    trainer.callback_manager.add(Breaks())
    with pytest.raises(ValueError, match="refused"):
        trainer.run_training_loop()
    assert trainer.is_train_wandb_active is False
    text = log_of(trainer)
    assert "to both: *** ***" in text and "refused: ***" in text
    assert "alerts.command failed with status 1: ***" in text
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in written)
    assert any("tfevents" in path.name for path in written)
    told = capfd.readouterr()
    shown = told.out + told.err + trainer.rich_console.file.getvalue()  # type: ignore[attr-defined]
    hidden = [*SECRETS.values(), "password-of-the-database"]
    for secret in hidden:
        assert secret not in shown
        for path in written:
            assert secret.encode() not in path.read_bytes(), f"{path} holds {secret}"
