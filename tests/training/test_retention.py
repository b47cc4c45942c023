"""The newest checkpoints stay, and the best."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkpoint_helpers import write

from keisei.core.model_file import CheckpointError, list_checkpoints
from keisei.training.checkpoint import (
    EVALUATION_FILE,
    Evaluation,
    checkpoint_name,
    load_checkpoint,
    read_evaluation,
    record_evaluation,
)
from keisei.training.retention import best_checkpoints, prune


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for step, score in ((10, 0.5), (20, 0.9), (30, None), (40, 0.9), (50, 0.1), (60, None)):
        directory = write(tmp_path / checkpoint_name(step), step)
        if score is not None:
            record_evaluation(directory, Evaluation(score=score, details={"games": 100}))
    return tmp_path


def steps(folder: Path) -> list[int]:
    return [int(path.name.removeprefix("step-")) for path in list_checkpoints(folder)]


@pytest.mark.parametrize(
    ("newest", "best", "expected"),
    [
        (1, 0, [60]),
        (2, 1, [40, 50, 60]),
        (2, 2, [20, 40, 50, 60]),
        (1, 3, [10, 20, 40, 60]),
        (3, 9, [10, 20, 40, 50, 60]),
        (0, 0, [10, 20, 30, 40, 50, 60]),
        (9, 1, [10, 20, 30, 40, 50, 60]),
    ],
)
def test_the_newest_and_the_best_stay(
    folder: Path, newest: int, best: int, expected: list[int]
) -> None:
    gone = prune(folder, newest=newest, best=best)
    assert steps(folder) == expected
    assert len(gone) == 6 - len(expected)
    assert len(list(folder.iterdir())) == len(expected), "expected nothing half removed"


def test_an_evaluation_travels_with_its_checkpoint(folder: Path) -> None:
    moved = (folder / checkpoint_name(20)).rename(folder / "elsewhere")
    found = read_evaluation(moved)
    assert found is not None and (found.score, found.details) == (0.9, {"games": 100})
    assert load_checkpoint(moved)[0].manifest["step"] == 20
    assert read_evaluation(folder / checkpoint_name(30)) is None


def test_an_evaluation_that_is_damaged_counts_for_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder / checkpoint_name(40) / EVALUATION_FILE
    path.write_text('{"score": "high"}')
    with pytest.raises(CheckpointError, match=r"evaluation\.json: score: expected a valid number"):
        read_evaluation(path.parent)
    assert [p.name for p in best_checkpoints(folder, 1)] == [checkpoint_name(20)]
    assert "evaluation.json: score" in caplog.text
