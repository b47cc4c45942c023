"""Who is told what in a run, in which order, how often, and what becomes of those that fail."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from keisei.config_schema import AppConfig
from keisei.training.callbacks import (
    SCHEDULED,
    Callback,
    Event,
    Schedule,
    Snapshot,
    StopTraining,
    label_of,
    listens,
)
from keisei.utils.generators import kept_generators
from keisei.utils.plugins import CALLBACKS, PluginError, make_plugin

MAX_FAILURES = 3

_log = logging.getLogger(__name__)


@dataclass
class _Entry:
    """A callback and how it fares."""

    callback: Callback
    name: str
    schedule: Schedule
    order: int
    failures: dict[Event, int] = field(default_factory=dict)
    """in a row, event by event"""
    disabled: bool = False
    given_up: str | None = None
    """what it failed with when it was disabled"""
    before: dict[Event, tuple[int, float]] = field(default_factory=dict)
    """where its schedule last looked, event by event"""


class CallbackManager:
    """Hands events to callbacks, in ascending ``order`` and then in the order they were added.

    A callback that raises is named in the log and the others go on; after ``max_failures`` failures
    in a row at one event it is disabled. That is so for SystemExit and CancelledError too: only
    KeyboardInterrupt and the failures of essential callbacks pass through.

    Args:
        config: Of the run.
        model_dir: The folder of its checkpoints; the run's folder is the one above.
        is_main: Whether this rank is the first: the others call ``every_rank`` callbacks only.
        ranks: How many ranks there are.
        max_failures: See above.
        clock: Seconds that pass whatever the run does; schedules in wall time go by it from START
            on, where it is set to the seconds of the snapshot.
    """

    def __init__(
        self,
        config: AppConfig,
        model_dir: str | Path,
        *,
        is_main: bool = True,
        ranks: int = 1,
        max_failures: int = MAX_FAILURES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.model_dir = Path(model_dir)
        self.run_dir = self.model_dir.parent
        self.stop_reason: str | None = None
        """why a callback asked the run to end; None: none did"""
        self._is_main = is_main
        self._ranks = ranks
        self._max_failures = max_failures
        self._entries: list[_Entry] = []
        self._clock = clock
        self._clock_at_zero = clock()
        self._start = (0, 0.0)
        self._fatal: BaseException | None = None

    def add(
        self, callback: Callback, schedule: Schedule | None = None, order: int | None = None
    ) -> None:
        """Adds a callback; ``schedule`` thins the events that come once an iteration.

        Schedule and order are its own if they are not given. Raises TypeError if it is no Callback,
        its schedule no Schedule or its order no whole number, and ValueError if it is there already
        or follows the clock of one rank although all ranks take part in it.
        """
        if not isinstance(callback, Callback):
            raise TypeError(f"callback: expected a Callback, got {callback!r}")
        name = label_of(callback)
        if any(entry.callback is callback for entry in self._entries):
            raise ValueError(f"callback {name}: expected to be added once, is there already")
        schedule = callback.schedule if schedule is None else schedule
        schedule = Schedule() if schedule is None else schedule
        if not isinstance(schedule, Schedule):
            raise TypeError(f"callback {name}: schedule: expected a Schedule, got {schedule!r}")
        order = callback.order if order is None else order
        if not isinstance(order, int):
            raise TypeError(f"callback {name}: order: expected a whole number, got {order!r}")
        if callback.every_rank and self._ranks > 1 and schedule.every_seconds is not None:
            raise ValueError(
                f"callback {name}: all {self._ranks} ranks take part in it, and their clocks "
                "differ; expected a schedule in steps, got one in seconds"
            )
        self._entries.append(_Entry(callback, name, schedule, order))
        self._entries.sort(key=lambda entry: entry.order)

    def add_plugins(self) -> None:
        """Adds those that ``plugins.callbacks`` names; PluginError if one cannot be used."""
        for name in self.config.plugins.callbacks:
            try:
                callback = make_plugin(CALLBACKS, name, Callback)
            except PluginError as error:
                raise PluginError(f"plugins.callbacks: {error}") from error
            callback.name = callback.name or name
            try:
                self.add(callback)
            except (TypeError, ValueError) as error:
                raise PluginError(f"plugins.callbacks: plugin {name!r}: {error}") from error

    def remove(self, callback: Callback) -> None:
        """Takes a callback out; ValueError if it is not there."""
        for entry in self._entries:
            if entry.callback is callback:
                self._entries.remove(entry)
                return
        raise ValueError(f"callback {label_of(callback)}: expected one that was added")

    @property
    def callbacks(self) -> tuple[Callback, ...]:
        """All of them in the order they are called, disabled ones too."""
        return tuple(entry.callback for entry in self._entries)

    @property
    def disabled(self) -> tuple[str, ...]:
        """The names of those that failed too often."""
        return tuple(entry.name for entry in self._entries if entry.disabled)

    @property
    def given_up(self) -> tuple[tuple[str, str], ...]:
        """The same names, each with what it failed with last."""
        return tuple((e.name, e.given_up) for e in self._entries if e.given_up is not None)

    def listening(self, event: Event, *, step: int) -> bool:
        """Whether anybody would be called at ``event`` now; if not, it need not be prepared."""
        seconds = self._seconds()
        return any(self._due(entry, event, step, seconds) for entry in self._entries)

    def snapshot(
        self,
        event: Event,
        *,
        iteration: int,
        step: int,
        seconds: float,
        metrics: Mapping[str, float] | None = None,
        **data: Any,
    ) -> Snapshot:
        """A snapshot of this run."""
        return Snapshot(event, iteration, step, seconds, self.run_dir, metrics or {}, data)

    def fire(self, event: Event, snapshot: Snapshot) -> None:
        """Calls everybody who listens to ``event`` and whose schedule says so."""
        if snapshot.event is not event:
            raise ValueError(f"snapshot: expected one of {event}, got one of {snapshot.event}")
        if event is Event.START:
            self._clock_at_zero = self._clock() - snapshot.seconds
        now = (snapshot.step, self._seconds())
        if event is Event.START:
            self._start = now
            for entry in self._entries:
                entry.before.clear()
        for entry in tuple(self._entries):
            due = self._due(entry, event, *now)
            if event in SCHEDULED:
                entry.before[event] = now
            if due:
                self._call(entry, event, snapshot)

    def _seconds(self) -> float:
        return self._clock() - self._clock_at_zero

    def _due(self, entry: _Entry, event: Event, step: int, seconds: float) -> bool:
        if entry.disabled or not listens(entry.callback, event):
            return False
        if not (self._is_main or entry.callback.every_rank):
            return False
        if event not in SCHEDULED:
            return True
        before = entry.before.get(event, self._start)
        return entry.schedule.due(before=before, step=step, seconds=seconds)

    def _call(self, entry: _Entry, event: Event, snapshot: Snapshot) -> None:
        try:
            kept = kept_generators() if entry.callback.draws else contextlib.nullcontext()
            with kept, torch.set_grad_enabled(torch.is_grad_enabled()):
                getattr(entry.callback, f"on_{event.value}")(snapshot)
        except StopTraining as request:
            self.stop_reason = f"{entry.name}: {request}"
            _log.warning("callback %s asks the run to end: %s", entry.name, request)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a plugin is not to end the run
            # An essential callback may have been called by another that told of an event.
            if entry.callback.essential or error is self._fatal:
                self._fatal = error
                raise
            entry.failures[event] = failures = entry.failures.get(event, 0) + 1
            _log.exception(
                "callback %s failed at %s, step %s (%d in a row): %s",
                entry.name,
                event.value,
                f"{snapshot.step:,}",
                failures,
                error,
            )
            if failures >= self._max_failures:
                entry.disabled = True
                entry.given_up = f"{type(error).__name__}: {error}"
                _log.error(
                    "callback %s is disabled: it failed %d times in a row", entry.name, failures
                )
            return
        entry.failures[event] = 0
