"""Events, snapshots and schedules: immutable, and once an interval whatever the step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from keisei.training.callbacks import Callback, Event, Schedule, Snapshot, freeze, listens


def snapshot(**data: Any) -> Snapshot:
    return Snapshot(Event.UPDATE_END, 3, 96, 1.5, Path("run"), {"learn.loss": 0.5}, data)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: setattr(s, "step", 0),
        lambda s: s.metrics.__setitem__("learn.loss", 0.0),
        lambda s: s.metrics.clear(),
        lambda s: s.data["nested"].update(a=1),
        lambda s: s.data["nested"]["list"].append(1),
        lambda s: s.data["array"].__setitem__(0, 9),
        lambda s: s.data["array"].setflags(write=True),
        lambda s: s.data["set"].add(1),
        lambda s: s.data.pop("array"),
    ],
)
def test_a_snapshot_cannot_be_changed(change: Any) -> None:
    taken = snapshot(nested={"list": [1, 2]}, array=np.arange(3), set={4})
    with pytest.raises((AttributeError, TypeError, ValueError)):
        change(taken)
    assert taken.step == 96 and taken.metrics["learn.loss"] == 0.5
    assert taken.data["nested"]["list"] == (1, 2) and taken.data["set"] == {4}
    assert taken.data["array"].tolist() == [0, 1, 2]


def test_a_snapshot_is_a_copy() -> None:
    metrics, array, inner = {"a": 1.0}, np.zeros((2, 3), np.int16), [1]
    taken = Snapshot(Event.START, 0, 0, 0.0, Path("run"), metrics, {"x": array, "y": inner})
    metrics["a"], array[0, 0] = 2.0, 5
    inner.append(2)
    assert taken.metrics["a"] == 1.0 and taken.data["y"] == (1,)
    assert taken.data["x"].shape == (2, 3) and taken.data["x"].dtype == np.int16
    assert not taken.data["x"].any()


@dataclasses.dataclass(frozen=True)
class Result:
    games: int
    names: Any = ()


class Pair(NamedTuple):
    first: int
    second: Any


@dataclasses.dataclass
class Open:
    games: int


def test_what_may_be_in_a_snapshot() -> None:
    result = Result(4)
    assert freeze(result) is result
    assert freeze(Result(4, ["a"])).names == ("a",)
    assert freeze(Pair(1, [2])) == Pair(1, (2,)) and freeze(np.int16(3)) == 3
    for bad, name in ((Open(1), "Open"), (torch.zeros(1), "Tensor"), (object(), "object")):
        with pytest.raises(TypeError, match=rf"snapshot: expected .*, got {name}"):
            freeze(bad)


def test_another_event_of_the_same_moment() -> None:
    other = snapshot(a=1).of(Event.EVALUATION, result=Result(7))
    assert other.event is Event.EVALUATION and other.step == 96 and other.metrics["learn.loss"]
    assert dict(other.data) == {"result": Result(7)}


@given(
    every=st.integers(1, 50), steps=st.lists(st.integers(0, 170), max_size=30), cut=st.integers(0)
)
def test_an_interval_fires_once_whatever_the_steps(every: int, steps: list[int], cut: int) -> None:
    def run(first: int, moves: list[int]) -> list[int]:
        schedule, step, fired = Schedule(every_steps=every), first, []
        for move in moves:
            before, step = step, step + move
            if schedule.due(before=(before, 0.0), step=step):
                fired.append(step)
        return fired

    fired, position, ends = run(0, steps), 0, []
    for move in steps:
        crossed = any((position + i) % every == 0 for i in range(1, move + 1))
        position += move
        ends += [position] * crossed
    assert fired == ends, "expected one firing for each step that leads to or over a multiple"
    half = cut % (len(steps) + 1)
    assert fired == run(0, steps[:half]) + run(sum(steps[:half]), steps[half:]), (
        "expected a run that was cut and resumed to fire where an unbroken one does"
    )


def test_wall_time_and_both() -> None:
    timed = Schedule(every_seconds=10)
    assert not timed.due(before=(0, 0.0), step=10**9, seconds=9.9)
    assert timed.due(before=(0, 9.9), step=0, seconds=35.0)
    assert not timed.due(before=(0, 35.0), step=0, seconds=39.0)
    both = Schedule(every_steps=100, every_seconds=10)
    assert both.due(before=(0, 0.0), step=100, seconds=1.0)
    assert both.due(before=(0, 0.0), step=1, seconds=10.0)
    assert not both.due(before=(0, 0.0), step=99, seconds=9.0)
    assert Schedule().due(before=(5, 1.0), step=5, seconds=1.0)


@pytest.mark.parametrize("bad", [{"every_steps": 0}, {"every_seconds": -1.0}])
def test_intervals_are_positive(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Schedule: every_\w+: expected a positive number, got"):
        Schedule(**bad)


def test_every_event_has_its_method() -> None:
    methods = {name for name in vars(Callback) if name.startswith("on_")}
    assert methods == {f"on_{event.value}" for event in Event}

    class Some(Callback):
        def on_checkpoint(self, snapshot: Snapshot) -> None:
            pass

    assert [event for event in Event if listens(Some(), event)] == [Event.CHECKPOINT]


@pytest.mark.parametrize(
    ("names", "change"),
    [
        (({"a": 1},), lambda names: names[0].update(b=2)),
        (({1, 2},), lambda names: names[0].add(3)),
        (({"a": {"b": 1}},), lambda names: names[0]["a"].update(c=1)),
        ((np.zeros(2), np.ones(2)), lambda names: names[1].__setitem__(0, 9.0)),
        (((np.zeros(2),), "a"), lambda names: names[0][0].__setitem__(0, 9.0)),
    ],
)
def test_what_is_deep_inside_of_a_frozen_dataclass_is_frozen_too(names: Any, change: Any) -> None:
    before = repr(freeze(Result(1, names)))
    taken = freeze(Result(1, names))
    with pytest.raises((AttributeError, TypeError, ValueError)):
        change(taken.names)
    change(names)
    assert repr(taken) == before, "expected a copy"


def test_what_cannot_change_is_not_copied() -> None:
    given = Result(1, ("a", (1, 2.0), Result(2)))
    assert freeze(given) is given


@dataclasses.dataclass(frozen=True)
class Counted:
    names: Any
    count: int = dataclasses.field(init=False, default=0)
    seen: Any = dataclasses.field(init=False, default_factory=list)


def test_a_field_that_no_constructor_takes_is_frozen_as_well() -> None:
    taken = freeze(Counted([1]))
    assert (taken.names, taken.count, taken.seen) == ((1,), 0, ())
