"""The loop drives what it is handed, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keisei.config_schema import TrainingConfig
from keisei.core.schedules import learning_rate
from keisei.training.callbacks import Event, Snapshot
from keisei.training.interrupt import IterationAbandonedError
from keisei.training.metrics_manager import MetricsManager
from keisei.training.training_loop_manager import TrainingLoopManager

PLIES = 10
COUNTS = {"plies": PLIES, "games": 0, "game_plies": 0}


class Parts:
    """Everything that a loop drives; each call is written down."""

    rollout_length = 5
    stop_reason: str | None = None

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.metrics = MetricsManager()
        self.told: list[Snapshot] = []
        self.listens = False
        self.listens_to: Event | None = None
        self.on_learn: Callable[[], None] = lambda: None
        self.rates: list[float] = []

    # what plays and learns
    def play(
        self, on_ply: Callable[[int], None], *, note_games: bool, note_live: bool
    ) -> dict[str, int]:
        noted = ["games noted"] * note_games + ["one watched"] * note_live
        self.calls.append(", ".join(["play", *noted]))
        on_ply(3)
        return dict(COUNTS)

    def ended_games(self) -> Any:
        return ()

    def live_rows(self) -> Any:
        return "rows"

    def learn(self, *, on_minibatch: Callable[[], None]) -> dict[str, float]:
        self.calls.append("learn")
        self.on_learn()
        on_minibatch()
        return {"loss": 0.5}

    # what is told how to learn
    def set_learning_rate(self, learning_rate: float) -> None:
        self.rates.append(learning_rate)

    def set_entropy_coefficient(self, entropy_coefficient: float) -> None:
        self.entropy_coefficient = entropy_coefficient

    def compile_network(self) -> None:
        self.calls.append("compile")

    # what shows
    wants_game = False

    def game(self, rows: Any) -> None:
        self.calls.append(f"show {rows}")

    def phase(self, text: str) -> None:
        self.calls.append(text)

    def update(self, step: int, seconds: float, left: float, metrics: Mapping[str, float]) -> None:
        self.calls.append(f"show {step}")

    # what is told of events
    def listening(self, event: Event, *, step: int) -> bool:
        return (self.listens and event is not Event.LIVE_GAME) or event is self.listens_to

    def snapshot(self, event: Event, **where: Any) -> Snapshot:
        metrics = where.pop("metrics")
        iteration, step, seconds = (where.pop(name) for name in ("iteration", "step", "seconds"))
        return Snapshot(event, iteration, step, seconds, Path("run"), metrics, where)

    def fire(self, event: Event, snapshot: Snapshot) -> None:
        self.told.append(snapshot)

    def loop(self, config: TrainingConfig, **others: Any) -> TrainingLoopManager:
        return TrainingLoopManager(
            config,
            steps=self,
            learner=self,
            metrics=self.metrics,
            display=self,
            callbacks=self,
            write=lambda iteration, step, _: self.calls.append(f"write {iteration} {step}"),
            after_update=lambda: self.calls.append("after"),
            **others,
        )


def config(**training: Any) -> TrainingConfig:
    return TrainingConfig(**{"total_timesteps": 3 * PLIES, "compile": False} | training)


class Stop:
    """Asked for after so many looks; overdue at once."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def requested(self) -> bool:
        self.looks -= 1
        return self.looks < 0

    def come_back(self) -> None:
        pass

    def abandon_if_overdue(self) -> None:
        raise IterationAbandonedError


def test_an_iteration_in_order() -> None:
    parts = Parts()
    loop = parts.loop(config(total_timesteps=PLIES))
    assert not loop.is_complete and loop.total_timesteps == PLIES
    assert loop.run() is True
    assert parts.calls == [
        "collecting", "play", "collecting 3/5", "learning", "learn",
        "write 1 10", "show 10", "after",
    ]  # fmt: skip
    assert [s.event for s in parts.told] == [Event.ROLLOUT_END, Event.UPDATE_END]
    assert parts.told[1].step == PLIES and parts.told[1].metrics["learn.loss"] == 0.5
    assert loop.is_complete and not loop.is_running and not loop.in_iteration
    assert loop.run() is True, "expected a complete run to stay as it is"
    assert parts.metrics.state.iteration == 1


def test_it_compiles_once_after_the_first_iteration() -> None:
    parts = Parts()
    parts.loop(config(compile=True)).run()
    assert parts.calls.count("compile") == 1
    assert parts.calls.index("compile") > parts.calls.index("write 1 10")


def test_rates_follow_their_schedules() -> None:
    parts = Parts()
    settings = config(
        learning_rate=0.1, lr_schedule="linear", entropy_schedule="linear", entropy_final=0.1
    )
    parts.loop(settings).run()
    assert parts.rates == [learning_rate(settings, step) for step in (0, PLIES, 2 * PLIES)]
    assert parts.metrics.latest["learn.learning_rate"] == parts.rates[-1]
    assert parts.metrics.latest["learn.entropy_coefficient"] == parts.entropy_coefficient


def test_it_stops_between_two_iterations() -> None:
    parts = Parts()
    assert parts.loop(config(total_timesteps=10**6)).run(Stop(looks=2)) is False
    assert parts.metrics.state.iteration == 2
    parts = Parts()
    parts.on_learn = lambda: setattr(parts, "stop_reason", "a callback wants it")
    assert parts.loop(config(total_timesteps=10**6)).run() is False
    assert parts.metrics.state.iteration == 1


def test_ended_games_are_told_of_only_where_somebody_listens() -> None:
    parts = Parts()
    parts.listens = True
    parts.loop(config(total_timesteps=PLIES)).run()
    assert "play, games noted" in parts.calls
    assert [s.event for s in parts.told] == [Event.ROLLOUT_END, Event.GAME_END, Event.UPDATE_END]


def test_the_watched_game_is_copied_only_for_whoever_looks() -> None:
    parts = Parts()
    parts.wants_game = True
    parts.loop(config(total_timesteps=PLIES)).run()
    assert "play, one watched" in parts.calls and "show rows" in parts.calls
    assert Event.LIVE_GAME not in [s.event for s in parts.told]
    parts = Parts()
    parts.listens_to = Event.LIVE_GAME
    parts.loop(config(total_timesteps=PLIES)).run()
    assert "play, one watched" in parts.calls and "show rows" not in parts.calls
    (told,) = [s for s in parts.told if s.event is Event.LIVE_GAME]
    assert told.data["rows"] == "rows"


def test_a_failure_inside_of_an_iteration_is_remembered() -> None:
    parts = Parts()

    def fail() -> None:
        raise RuntimeError("it broke")

    parts.on_learn = fail
    loop = parts.loop(config())
    with pytest.raises(RuntimeError, match="it broke"):
        loop.run()
    assert loop.in_iteration and not loop.is_running
    assert parts.metrics.state.iteration == 0


def test_a_slow_iteration_is_given_up_for_the_state_before_it() -> None:
    parts, saved = Parts(), []
    held = SimpleNamespace(step=0)
    loop = parts.loop(config(), hold=lambda: held, save_held=saved.append)
    assert loop.run(Stop(looks=5)) is False
    assert saved == [held] and loop.in_iteration
    assert parts.metrics.state.iteration == 0 and "write 1 10" not in parts.calls
    parts = Parts()
    assert parts.loop(config()).run(Stop(looks=9)) is True, "nothing is held, so none is given up"
