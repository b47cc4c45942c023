"""The run's own callbacks: when they save and evaluate, and whom they tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keisei.config_schema import AppConfig
from keisei.evaluation.evaluate import EvaluationResult, OpponentResult
from keisei.evaluation.ladder import Ladder
from keisei.evaluation.match import MatchCancelledError, MatchResult
from keisei.evaluation.scores import Pairs, Score
from keisei.training.callback_manager import CallbackManager
from keisei.training.callbacks import Callback, Event, Schedule, Snapshot
from keisei.training.standard_callbacks import (
    CheckpointCallback,
    EvaluationCallback,
    LadderCallback,
    PublishedCallback,
)


class Told(Callback):
    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def on_checkpoint(self, snapshot: Snapshot) -> None:
        self.log.append(("checkpoint", snapshot.step, snapshot.data["path"]))

    def on_evaluation(self, snapshot: Snapshot) -> None:
        self.log.append(("evaluation", snapshot.step, snapshot.data["result"].win_rate))


@pytest.fixture
def to() -> CallbackManager:
    return CallbackManager(AppConfig(), Path("run/checkpoints"))


def tell(to: CallbackManager, event: Event, step: int) -> None:
    to.fire(event, to.snapshot(event, iteration=step, step=step, seconds=0.0))


def test_two_schedules_save_no_step_twice(to: CallbackManager) -> None:
    saved: list[int] = [-1]
    step = 0
    for every in (100, 150):
        to.add(
            CheckpointCallback(lambda: saved.append(step), lambda: saved[-1]),
            Schedule(every_steps=every),
        )
    for step in (50, 120, 160, 310, 390, 460):
        tell(to, Event.UPDATE_END, step)
    assert saved == [-1, 120, 160, 310, 460]


def test_a_failed_save_ends_the_run(to: CallbackManager) -> None:
    def save() -> None:
        raise OSError("no space left")

    to.add(CheckpointCallback(save, lambda: -1))
    with pytest.raises(OSError, match="no space left"):
        tell(to, Event.UPDATE_END, 1)


def test_each_published_checkpoint_is_told_once(to: CallbackManager) -> None:
    log: list[Any] = []
    there: list[Path | None] = [None]
    to.add(PublishedCallback(lambda: there[-1], to.fire))
    to.add(Told(log))
    tell(to, Event.UPDATE_END, 1)
    there.append(Path("a"))
    for step in (2, 3):
        tell(to, Event.UPDATE_END, step)
    there.append(Path("b"))
    tell(to, Event.FINISH, 4)
    assert log == [("checkpoint", 2, Path("a")), ("checkpoint", 4, Path("b"))]


def result(step: int) -> EvaluationResult:
    match = MatchResult(Score(2), Score(1, 0, 1), {}, 9.0, Pairs())
    return EvaluationResult(step, 1.0, (OpponentResult("random", match),))


def test_an_evaluation_is_recorded_then_told(to: CallbackManager) -> None:
    log: list[Any] = []
    to.add(EvaluationCallback(result, lambda step, r: log.append((step, r.win_rate)), to.fire))
    to.add(Told(log))
    tell(to, Event.UPDATE_END, 3)
    assert log == [(3, 0.75), ("evaluation", 3, 0.75)]


def test_a_cancelled_evaluation_has_no_result(to: CallbackManager) -> None:
    def evaluate(step: int) -> EvaluationResult:
        raise MatchCancelledError("asked to stop")

    log: list[Any] = []
    to.add(EvaluationCallback(evaluate, lambda *_: log.append("recorded"), to.fire))
    to.add(Told(log))
    for step in range(5):
        tell(to, Event.UPDATE_END, step)
    assert log == [] and to.disabled == ()


def test_the_ladder_is_shown_at_the_start_and_after_each_evaluation(
    to: CallbackManager, tmp_path: Path
) -> None:
    ladder = Ladder(tmp_path / "ladder.json")
    shown: list[list[str]] = []
    to.add(LadderCallback(ladder.rows, lambda rows: shown.append([row.name for row in rows])))
    tell(to, Event.START, 0)
    ladder.add("step 10", "random", Score(8, 1, 1), step=10)
    tell(to, Event.EVALUATION, 10)
    tell(to, Event.UPDATE_END, 11)
    assert shown == [[], ["step 10", "random"]]
