"""What is saved, what stays, and what is resumed."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from checkpoint_helpers import CONFIG, snapshot, write
from rich.console import Console
from tiny_run import tiny_config, tiny_trainer

from keisei.config_schema import AppConfig
from keisei.core.model_file import CheckpointError, list_checkpoints, load_model
from keisei.training import checkpoint_writer
from keisei.training.checkpoint import (
    EVALUATION_FILE,
    Snapshot,
    checkpoint_name,
    load_checkpoint,
    read_evaluation,
)
from keisei.training.checkpoint_writer import CheckpointWriteError
from keisei.training.model_manager import ModelManager
from keisei.training.resume import Rejected, load_newest_good
from keisei.utils import TrainingLogger


class Run:
    """A run that is nothing but its step."""

    def __init__(self, folder: Path, resume: str | None = None) -> None:
        logging = CONFIG.logging.model_copy(
            update={"keep_checkpoints": 2, "keep_best": 1, "run_root": str(folder)}
        )
        config: AppConfig = CONFIG.model_copy(update={"logging": logging})
        logger = TrainingLogger(None, Console(file=io.StringIO()))
        args = SimpleNamespace(resume=resume)
        self.manager = ModelManager(config, args, torch.device("cpu"), logger)
        self.folder = folder / "run" / "checkpoints"
        self.step = 0

    def attach(self) -> None:
        self.manager.attach(self.capture, directory=self.folder)

    def capture(self) -> Snapshot:
        return snapshot(self.step)

    def save(self, step: int) -> Path:
        self.step = step
        return self.manager.save_checkpoint(wait=True)

    def steps(self) -> list[int]:
        return [int(path.name.removeprefix("step-")) for path in list_checkpoints(self.folder)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run(tmp_path)
    made.attach()
    return made


def test_it_saves_the_run_as_it_stands(run: Run) -> None:
    assert run.manager.saved_step == -1 and run.manager.published is None
    path = run.save(7)
    assert path == run.folder / checkpoint_name(7) == run.manager.published
    assert run.manager.saved_step == 7
    model, state = load_checkpoint(path)
    assert model.manifest["step"] == state.values["step"] == 7
    assert model.config.logging.keep_checkpoints == 2


def test_before_it_is_attached_there_is_nothing_to_save(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"expected attach\(\) first"):
        Run(tmp_path).manager.save_checkpoint()


def test_the_step_is_the_runs_own(run: Run) -> None:
    run.step = 7
    run.manager.save_checkpoint(timestep=7, wait=True)
    with pytest.raises(ValueError, match="timestep: expected 7, the run's own, got 8"):
        run.manager.save_checkpoint(timestep=8)


def test_the_learner_is_the_runs_own(tmp_path: Path) -> None:
    ours, theirs = (tiny_trainer(tiny_config(tmp_path / name, 4)) for name in ("a", "b"))
    ours.model_manager.save_checkpoint(agent=ours.agent, timestep=0, wait=True)
    for other in (theirs.agent, object()):
        with pytest.raises(ValueError, match="agent: expected the run's own, got another"):
            ours.model_manager.save_checkpoint(agent=other)  # type: ignore[arg-type]


def test_the_newest_and_the_best_stay(run: Run) -> None:
    for step, score in ((1, 0.2), (2, 0.8), (3, 0.5), (4, None), (5, None), (6, 0.1)):
        if score is not None:  # before, while or after it is written
            run.manager.record_evaluation(step, score, {"games": 10})
        run.save(step)
    assert run.steps() == [2, 5, 6]
    found = read_evaluation(run.folder / checkpoint_name(2))
    assert found is not None and (found.score, found.details) == (0.8, {"games": 10})
    run.manager.record_evaluation(5, 0.9)
    assert run.steps() == [5, 6], "expected the best before to go at once"


def test_an_evaluation_waits_for_its_checkpoint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = threading.Event(), threading.Event()
    real = checkpoint_writer.write_rank_files

    def held(*args: object) -> object:
        reached.set()
        assert go_on.wait(60)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint_writer, "write_rank_files", held)
    run.step = 3
    run.manager.save_checkpoint()
    assert reached.wait(60)
    run.manager.record_evaluation(3, 0.5)
    run.manager.record_evaluation(2, 0.5)  # of a step that is never saved
    go_on.set()
    run.manager.close()
    assert read_evaluation(run.folder / checkpoint_name(3)) is not None
    run.save(4)
    assert not list(run.folder.glob(f"{checkpoint_name(2)}/{EVALUATION_FILE}"))


def test_a_score_that_is_no_number_is_refused(run: Run) -> None:
    with pytest.raises(ValueError, match="finite"):
        run.manager.record_evaluation(1, float("nan"))


def test_attaching_clears_what_a_killed_run_left(tmp_path: Path) -> None:
    run = Run(tmp_path)
    torn = write(run.folder / checkpoint_name(9), 9)
    (torn / "model.ckpt").write_bytes(b"")
    write(run.folder / checkpoint_name(8), 8)
    (run.folder / ".step-0000000000010.tmp").mkdir()
    locked = write(run.folder / checkpoint_name(7), 7)
    elsewhere = write(tmp_path / "other" / checkpoint_name(9), 9)
    run.manager.attach(
        run.capture,
        directory=run.folder,
        rejected=[
            Rejected(torn, "torn", damaged=True),
            Rejected(locked, "not to be read now", damaged=False),
            Rejected(elsewhere, "of another run", damaged=True),
        ],
    )
    assert sorted(path.name for path in run.folder.iterdir()) == [
        f"rejected-{checkpoint_name(9)}",
        checkpoint_name(7),
        checkpoint_name(8),
    ]
    assert elsewhere.is_dir()
    assert load_newest_good(run.folder).directory.name == checkpoint_name(8)


def test_what_is_resumed_is_saved_already(tmp_path: Path) -> None:
    assert Run(tmp_path).manager.load_for_resume() is None
    write(tmp_path / "run" / "checkpoints" / checkpoint_name(8), 8)
    run = Run(tmp_path, resume="latest")
    point = run.manager.load_for_resume()
    assert point is not None and point.directory.name == checkpoint_name(8)
    assert run.manager.saved_step == 8
    with pytest.raises(CheckpointError, match="no checkpoint to resume from"):
        Run(tmp_path / "nowhere", resume="latest").manager.load_for_resume()


def test_the_final_model_is_the_network_alone(run: Run) -> None:
    run.folder.mkdir(parents=True)
    run.step = 5
    path = run.manager.save_final_model()
    assert path == run.folder.parent / "final_model.ckpt"
    expected = snapshot(5).network
    for name, tensor in load_model(path).weights.items():
        assert torch.equal(tensor, expected[name])


def test_a_failure_is_told_without_waiting(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    run.save(1)
    run.manager.raise_failure()
    monkeypatch.setattr(checkpoint_writer, "publish", fail)
    with pytest.raises(CheckpointWriteError, match="No space left"):
        run.save(2)
    for call in (run.manager.raise_failure, run.manager.close, run.manager.save_checkpoint):
        with pytest.raises(CheckpointWriteError, match="No space left"):
            call()
    assert run.steps() == [1]
