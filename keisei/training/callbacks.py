"""What a run tells others of, and when: events, their snapshots, schedules, the callback itself."""

from __future__ import annotations

import copy
import dataclasses
import enum
import operator
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, Self

import numpy as np

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Event(enum.Enum):
    """The moments of a run. Each names the method of ``Callback`` that it calls."""

    START = "start"
    """before the first iteration, of a resumed run too"""
    ROLLOUT_END = "rollout_end"
    """a rollout is collected, not yet learned from"""
    GAME_END = "game_end"
    """after a rollout: this rank's games that ended in it, all at once, as ``data['games']``"""
    LIVE_GAME = "live_game"
    """after a rollout: the plies of the watched game in it, a ``LiveRows``, as ``data['rows']``"""
    UPDATE_END = "update_end"
    """a rollout was learned from; its metrics are there"""
    EVALUATION = "evaluation"
    """an evaluation is done, its result in ``data['result']``"""
    CHECKPOINT = "checkpoint"
    """a checkpoint is published, its folder in ``data['path']``"""
    EXCEPTION = "exception"
    """training failed: ``data`` has ``type``, ``message`` and ``traceback``, all text"""
    FINISH = "finish"
    """the run ends, done (``data['done']``) or not"""


# The events that come once an iteration; a schedule thins these and no others.
SCHEDULED = frozenset({Event.ROLLOUT_END, Event.GAME_END, Event.LIVE_GAME, Event.UPDATE_END})


def freeze(value: Any) -> Any:
    """A copy of plain data that cannot be changed.

    Mappings become read-only mappings, lists tuples, sets frozensets, arrays read-only arrays.
    Immutable values, frozen dataclasses of such values among them, stay as they are. Raises
    TypeError for anything else (a tensor, say), naming its type.
    """
    plain = bool | int | float | str | bytes | np.generic | PurePath | enum.Enum
    if value is None or isinstance(value, plain):
        return value
    if isinstance(value, Mapping):
        return MappingProxyType({name: freeze(item) for name, item in value.items()})
    if isinstance(value, tuple):
        items = [freeze(item) for item in value]
        named = hasattr(value, "_fields")
        # By identity: a read-only mapping equals the one that it was copied from.
        if (named or type(value) is tuple) and all(map(operator.is_, items, value)):
            return value
        return type(value)(*items) if named else tuple(items)
    if isinstance(value, list):
        return tuple(freeze(item) for item in value)
    if isinstance(value, Set):
        return frozenset(freeze(item) for item in value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        # Over bytes, so that nobody can make it writable again.
        raw = np.frombuffer(value.tobytes(), dtype=value.dtype)
        return raw.reshape(value.shape)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if not type(value).__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise TypeError(f"snapshot: expected a frozen dataclass, got {type(value).__name__}")
        changed = {}
        for item in dataclasses.fields(value):
            old = getattr(value, item.name)
            new = freeze(old)
            if new is not old:
                changed[item.name] = new
        if not changed:
            return value
        frozen = copy.copy(value)  # its constructor may not take every field
        for name, new in changed.items():
            object.__setattr__(frozen, name, new)
        return frozen
    raise TypeError(f"snapshot: expected plain data, got {type(value).__name__}")


@dataclass(frozen=True)
class Snapshot:
    """Where a run stands at an event; nothing in it can be changed, and nothing in it is the run's.

    ``metrics`` and ``data`` are copied and frozen (see ``freeze``) when it is made.
    """

    event: Event
    iteration: int
    """rollouts learned from"""
    step: int
    """plies played"""
    seconds: float
    """time of playing and learning so far (of the slowest rank), over all resumes; what callbacks,
    evaluations and saving take is not in it"""
    run_dir: Path
    """folder of the run"""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """figures of the last iteration, as the metrics file names them; empty before the first"""
    data: Mapping[str, Any] = field(default_factory=dict)
    """what belongs to this event: see ``Event``"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", freeze(self.metrics))
        object.__setattr__(self, "data", freeze(self.data))

    def of(self, event: Event, **data: Any) -> Self:
        """The same moment as a snapshot of another event with data of its own."""
        return dataclasses.replace(self, event=event, data=data)


@dataclass(frozen=True)
class Schedule:
    """Every so many plies, or so much wall time, or both; neither: each time.

    An interval ends at each multiple, whatever the size of the steps that lead over it: ends that
    fall between two calls count at the later one, once however many they are. A resumed run goes on
    with the same multiples. ``every_seconds`` is wall time, whatever the run does meanwhile; it
    begins at START with the snapshot's ``seconds``, which a resumed run takes from its checkpoint:
    so only there is it the time of playing and learning alone. Raises ValueError unless the
    intervals are positive.
    """

    every_steps: int | None = None
    every_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("every_steps", "every_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"Schedule: {name}: expected a positive number, got {value!r}")

    def due(self, *, before: tuple[int, float] = (0, 0.0), step: int, seconds: float = 0.0) -> bool:
        """Whether an interval ended after ``before`` (step, seconds) and up to step and seconds."""
        ended = []
        if self.every_steps is not None:
            ended.append(step // self.every_steps > before[0] // self.every_steps)
        if self.every_seconds is not None:
            ended.append(seconds // self.every_seconds > before[1] // self.every_seconds)
        return any(ended) or not ended


class StopTraining(Exception):  # noqa: N818 - a request, no error
    """Raised by a callback to end the run after this iteration; its text says why."""


class Callback:
    """What others hang on a run: a method for each event, which does nothing unless overridden.

    A method gets a snapshot and returns nothing. What it raises, SystemExit too, is logged under
    the callback's name and harms nobody else; KeyboardInterrupt alone passes. ``StopTraining`` asks
    the run to end. Random generators of Python, NumPy and torch are put back to where they stood
    after each call.
    """

    name: str = ""
    """what the log calls it; empty: its class"""
    every_rank: bool = False
    """called on every rank of a run, not on the first only"""
    order: int = 0
    """who is called first, the lowest; unless ``CallbackManager.add`` is told another"""
    schedule: Schedule | None = None
    """thins the events that come once an iteration; unless ``add`` is told another"""
    essential: bool = False
    """its failure is the run's: raised, not isolated (the run's own checkpoints, say)"""
    draws: bool = True
    """may draw from shared random generators; False: it does not, so they need no looking after"""

    def on_start(self, snapshot: Snapshot) -> None:
        """Before the first iteration, of a resumed run too."""

    def on_rollout_end(self, snapshot: Snapshot) -> None:
        """A rollout is collected, not yet learned from."""

    def on_game_end(self, snapshot: Snapshot) -> None:
        """The games that ended in a rollout: ``snapshot.data['games']``, an ``EndedGames``.

        Of several ranks each has its own games; a callback is told of those of the rank that calls
        it. One that is to see all of them is called on ``every_rank``.
        """

    def on_live_game(self, snapshot: Snapshot) -> None:
        """The watched game's plies in a rollout: ``snapshot.data['rows']``, a ``LiveRows``.

        ``rows.views[-1]`` is where that game stands. They are copied for whoever is due only.
        """

    def on_update_end(self, snapshot: Snapshot) -> None:
        """A rollout was learned from."""

    def on_evaluation(self, snapshot: Snapshot) -> None:
        """An evaluation is done: ``snapshot.data['result']``."""

    def on_checkpoint(self, snapshot: Snapshot) -> None:
        """A checkpoint is published: ``snapshot.data['path']``."""

    def on_exception(self, snapshot: Snapshot) -> None:
        """Training failed."""

    def on_finish(self, snapshot: Snapshot) -> None:
        """The run ends."""


def label_of(callback: Callback) -> str:
    """What the log calls a callback: its name, or its class."""
    return callback.name or f"{type(callback).__module__}.{type(callback).__qualname__}"


def listens(callback: Callback, event: Event) -> bool:
    """Whether a callback does anything at an event."""
    method = f"on_{event.value}"
    own = getattr(type(callback), method, None)
    return own is not getattr(Callback, method) or method in vars(callback)
