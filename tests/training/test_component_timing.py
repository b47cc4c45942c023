"""Wall time by part, with a clock of our own."""

from __future__ import annotations

import pytest

from keisei.training.component_timing import ComponentTimes


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_inner_parts_are_taken_out_of_outer_ones() -> None:
    clock = Clock()
    times = ComponentTimes(clock)
    with times.measure("outer"):
        clock.now += 1
        with times.measure("inner"):
            clock.now += 4
        clock.now += 2
    assert times.totals == {"inner": 4.0, "outer": 3.0}


def test_take_gives_what_came_since_the_last_one() -> None:
    clock = Clock()
    times = ComponentTimes(clock)
    for _ in range(2):
        with times.measure("play"):
            clock.now += 3
    assert times.take() == {"time.play_seconds": 6.0}
    with times.measure("play"):
        clock.now += 1
    assert times.take() == {"time.play_seconds": 1.0}
    assert times.totals == {"play": 7.0}


def test_a_part_that_raises_counts_too() -> None:
    clock = Clock()
    times = ComponentTimes(clock)

    def fail() -> None:
        with times.measure("play"), times.measure("step"):
            clock.now += 2
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert times.totals == {"step": 2.0, "play": 0.0}
