"""The loop: play, learn, record, until the total is reached or a stop is asked for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from keisei.config_schema import TrainingConfig
from keisei.core import schedules
from keisei.core.ranks import SINGLE, Ranks
from keisei.training.callbacks import Event
from keisei.training.callbacks import Snapshot as Moment
from keisei.training.checkpoint import Snapshot
from keisei.training.component_timing import ComponentTimes
from keisei.training.distributed import any_rank, slowest
from keisei.training.ended_games import EndedGames
from keisei.training.interrupt import GRACE_SECONDS, IterationAbandonedError
from keisei.training.live_game import LiveRows
from keisei.training.train_state import TrainState

_log = logging.getLogger(__name__)


class Steps(Protocol):
    """What plays and learns."""

    @property
    def rollout_length(self) -> int: ...  # noqa: D102
    def play(  # noqa: D102
        self, on_ply: Callable[[int], None], *, note_games: bool, note_live: bool
    ) -> dict[str, int]: ...
    def ended_games(self) -> EndedGames: ...  # noqa: D102
    def live_rows(self) -> LiveRows: ...  # noqa: D102
    def learn(self, *, on_minibatch: Callable[[], None]) -> dict[str, float]: ...  # noqa: D102


class Learner(Protocol):
    """What is told how to learn."""

    def set_learning_rate(self, learning_rate: float) -> None: ...  # noqa: D102
    def set_entropy_coefficient(self, entropy_coefficient: float) -> None: ...  # noqa: D102
    def compile_network(self) -> None: ...  # noqa: D102


class Metrics(Protocol):
    """What counts."""

    state: TrainState
    latest: dict[str, float]

    def start_pace(self, warm_up: int) -> None: ...  # noqa: D102
    def seconds_left(self, total: int) -> float: ...  # noqa: D102
    def record(  # noqa: D102
        self,
        counts: Mapping[str, int],
        learned: Mapping[str, float],
        *,
        collect_seconds: float,
        learn_seconds: float,
        settings: Mapping[str, float],
        also: Mapping[str, float],
    ) -> dict[str, float]: ...


class Stop(Protocol):
    """What may ask the run to end."""

    @property
    def requested(self) -> bool: ...  # noqa: D102
    def abandon_if_overdue(self) -> None: ...  # noqa: D102
    def come_back(self) -> None: ...  # noqa: D102


class NoStop:
    """Never asks."""

    requested = False

    def abandon_if_overdue(self) -> None:
        """Nothing is overdue."""

    def come_back(self) -> None:
        """Nobody waits."""


class Display(Protocol):
    """What shows."""

    @property
    def wants_game(self) -> bool: ...  # noqa: D102
    def game(self, rows: LiveRows) -> None: ...  # noqa: D102
    def phase(self, text: str) -> None: ...  # noqa: D102
    def update(  # noqa: D102
        self, step: int, seconds: float, left: float, metrics: Mapping[str, float]
    ) -> None: ...


class Callbacks(Protocol):
    """What is told of events."""

    stop_reason: str | None

    def listening(self, event: Event, *, step: int) -> bool: ...  # noqa: D102
    def fire(self, event: Event, snapshot: Moment) -> None: ...  # noqa: D102
    def snapshot(  # noqa: D102
        self,
        event: Event,
        *,
        iteration: int,
        step: int,
        seconds: float,
        metrics: Mapping[str, float] | None = None,
        **data: Any,
    ) -> Moment: ...


class TrainingLoopManager:
    """Drives what it is handed; it builds nothing and keeps nothing but whether it is at work.

    ``write`` takes iteration, step and figures; ``after_update`` is called between two iterations,
    when a checkpoint of the run may be taken. ``config`` is resolved. Of several ``ranks`` each has
    its own, and they iterate and stop together.

    ``times`` counts what each part of an iteration takes; the figures of an iteration have those of
    what was done since the ones before, and what ``resources`` gives.

    Before an iteration that may be slow, ``hold`` copies the run; if a stop is asked for and the
    iteration then takes too long, it is given up and ``save_held`` gets the copy. Without ``hold``
    every iteration is finished.
    """

    def __init__(
        self,
        config: TrainingConfig,
        *,
        steps: Steps,
        learner: Learner,
        metrics: Metrics,
        display: Display,
        callbacks: Callbacks,
        write: Callable[[int, int, Mapping[str, float]], None],
        after_update: Callable[[], None],
        ranks: Ranks = SINGLE,
        hold: Callable[[], Snapshot] | None = None,
        save_held: Callable[[Snapshot], object] = lambda _: None,
        times: ComponentTimes | None = None,
        resources: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._config = config
        self._total = schedules.total(config)
        self._steps = steps
        self._learner = learner
        self._metrics = metrics
        self._display = display
        self._callbacks = callbacks
        self._write = write
        self._after_update = after_update
        self._ranks = ranks
        self._hold = hold
        self._save_held = save_held
        self._times = times or ComponentTimes()
        self._resources = resources
        self._keep_on: Callable[[], None] = lambda: None
        self.is_running = False
        self.in_iteration = False
        self.held: Snapshot | None = None
        """the run before this iteration, if that was copied"""

    @property
    def total_timesteps(self) -> int:
        """Plies after which the run is done."""
        return self._total

    @property
    def is_complete(self) -> bool:
        """Whether all plies are played."""
        return self._metrics.state.step >= self._total

    @property
    def warm_up(self) -> int:
        """Iterations after which the pace is what it stays."""
        return 3 if self._config.compile else 2

    def run(self, stop: Stop | None = None) -> bool:
        """Iterates until all plies are played, or until ``stop`` is requested.

        Returns whether the run is complete. ``in_iteration`` stays true after an exception inside
        of an iteration, or if one was given up: the run then stands where no checkpoint can be
        taken.
        """
        stop = stop or NoStop()
        state = self._metrics.state  # the same object throughout a run
        # The first figures come at once, uncompiled; the second iteration compiles, and what it ran
        # is recorded in the third. The pace is that of the iterations after those that warm up.
        # Where a run must be the same to the bit however often it was resumed, none is uncompiled.
        first = 0 if self._config.deterministic else 1
        compiling = state.iteration + first if self._config.compile else -1
        warm_until = state.iteration + self.warm_up
        self._metrics.start_pace(self.warm_up)
        self.is_running = True
        took = 0.0
        try:
            while not (self.is_complete or self._is_to_stop(stop)):
                if state.iteration == compiling:
                    self._learner.compile_network()
                may_be_slow = state.iteration < warm_until or took > GRACE_SECONDS / 2
                held = self._hold() if self._hold is not None and may_be_slow else None
                self.held = held
                self._keep_on = (lambda: None) if held is None else stop.abandon_if_overdue
                before = state.seconds
                try:
                    figures = self.iterate()
                except IterationAbandonedError:
                    _log.warning(
                        "iteration %d takes too long to be finished; it is given up and the run "
                        "saved as it was before",
                        state.iteration + 1,
                    )
                    if held is not None:
                        self._save_held(held)
                    return False
                took = state.seconds - before
                with self._times.measure("write"):
                    self._write(state.iteration, state.step, figures)
                with self._times.measure("display"):
                    left = self._metrics.seconds_left(self._total)
                    self._display.update(state.step, state.seconds, left, figures)
                self._after_update()
                self.tell(Event.UPDATE_END)
        finally:
            stop.come_back()
            self.is_running = False
            self.held = None
        return self.is_complete

    def _is_to_stop(self, stop: Stop) -> bool:
        """Whether any rank is asked to stop, or a callback wants it; the same on all."""
        return any_rank(self._ranks, stop.requested or self._callbacks.stop_reason is not None)

    def tell(self, event: Event, **data: Any) -> None:
        """Tells the callbacks of an event at the point where the run stands."""
        state = self._metrics.state
        with self._times.measure("callbacks"):
            snapshot = self._callbacks.snapshot(
                event,
                iteration=state.iteration,
                step=state.step,
                seconds=state.seconds,
                metrics=self._metrics.latest,
                **data,
            )
            self._callbacks.fire(event, snapshot)

    def iterate(self) -> dict[str, float]:
        """One rollout and the learning from it; returns its figures."""
        step = self._metrics.state.step
        learning_rate = schedules.learning_rate(self._config, step)
        entropy_coefficient = schedules.entropy_coefficient(self._config, step)
        self._learner.set_learning_rate(learning_rate)
        self._learner.set_entropy_coefficient(entropy_coefficient)
        self.in_iteration = True
        start = time.perf_counter()
        self._display.phase("collecting")
        note_games = self._callbacks.listening(Event.GAME_END, step=step)
        is_seen = self._display.wants_game
        tell_live = self._callbacks.listening(Event.LIVE_GAME, step=step)
        with self._times.measure("play"):
            counts = self._steps.play(
                self._on_ply, note_games=note_games, note_live=is_seen or tell_live
            )
        collected = time.perf_counter()
        self.tell(Event.ROLLOUT_END)
        if note_games:
            self.tell(Event.GAME_END, games=self._steps.ended_games())
        if is_seen:
            with self._times.measure("display"):
                self._display.game(self._steps.live_rows())
        if tell_live:
            self.tell(Event.LIVE_GAME, rows=self._steps.live_rows())
        self._display.phase("learning")
        with self._times.measure("learn"):
            learned = self._steps.learn(on_minibatch=self._keep_on)
        end = time.perf_counter()
        # The same on all ranks, so that what is due by the time is due on all.
        collect_seconds, learn_seconds = slowest(self._ranks, collected - start, end - collected)
        figures = self._metrics.record(
            counts,
            learned,
            collect_seconds=collect_seconds,
            learn_seconds=learn_seconds,
            settings={"learning_rate": learning_rate, "entropy_coefficient": entropy_coefficient},
            also={**self._times.take(), **self._resources()},
        )
        self.in_iteration = False
        return figures

    def _on_ply(self, ply: int) -> None:
        self._keep_on()
        self._display.phase(f"collecting {ply}/{self._steps.rollout_length}")
