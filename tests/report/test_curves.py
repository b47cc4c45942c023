"""Curves keep what is to be seen in few points."""

from __future__ import annotations

import math
from array import array

from keisei.report.curves import POINTS, Curves, plain
from keisei.report.run_files import Metrics


def metrics(values: list[float]) -> Metrics:
    rows = len(values)
    return Metrics(
        array("d", range(1, rows + 1)),
        array("d", range(100, 100 * rows + 1, 100)),
        {"a": array("d", values), "speed.total_seconds": array("d", range(rows))},
    )


def test_few_iterations_stay_as_they_are() -> None:
    curves = Curves(metrics([1.0, math.nan, 3.0]))
    assert not curves.thinned and len(curves) == 3
    assert curves.axes() == {"step": [100, 200, 300], "iteration": [1, 2, 3], "seconds": [0, 1, 2]}
    assert curves.json("a") == {"mean": [1, None, 3]}
    assert curves.json("none") == {"mean": [None] * 3}


def test_many_become_means_with_their_range() -> None:
    rows = 10 * POINTS
    values = [float(i % 10) for i in range(rows)]
    values[5] = math.nan
    values[20:30] = [math.nan] * 10
    curves = Curves(metrics(values))
    assert curves.thinned and len(curves) == POINTS
    curve = curves.json("a")
    assert curve["mean"][0] == plain(40 / 9) and curve["mean"][1] == 4.5
    assert (curve["low"][0], curve["high"][0]) == (0, 9)
    assert (curve["mean"][2], curve["low"][2], curve["high"][2]) == (None, None, None)
    axes = curves.axes()
    assert axes["iteration"][0] == 10 and axes["iteration"][-1] == rows


def test_no_iteration_is_no_point() -> None:
    curves = Curves(Metrics())
    assert len(curves) == 0 and curves.axes() == {"step": [], "iteration": []}
    assert curves.json("a") == {"mean": []}


def test_numbers_are_short() -> None:
    assert plain(0.123456789) == 0.12346 and plain(2.0) == 2 and isinstance(plain(2.0), int)
    assert plain(math.inf) is None and plain(math.nan) is None
