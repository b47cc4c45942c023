"""Curves of a few cells, whatever they are drawn from."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keisei.training.sparkline import ASCII_BARS, BARS, Series, resample, sparkline

values = st.lists(st.floats(width=64), max_size=200)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(values, st.integers(0, 80), st.integers(1, 5), st.sampled_from([BARS, ASCII_BARS]))
def test_it_has_exactly_the_size_that_is_asked_for(
    points: list[float], width: int, height: int, bars: str
) -> None:
    lines = sparkline(points, width, height, bars=bars)
    assert len(lines) == height and all(len(line) == width for line in lines)
    assert set("".join(lines)) <= set(bars) | {" "}


def heights(lines: list[str], bars: str = BARS) -> list[int | None]:
    """How high each column is, in levels; None for a gap. Columns must be filled from below."""
    found: list[int | None] = []
    for column in zip(*reversed(lines), strict=True):
        text = "".join(column).rstrip(" ")
        assert " " not in text and all(c == bars[-1] for c in text[:-1]), f"a hole in {text!r}"
        found.append((len(text) - 1) * len(bars) + bars.index(text[-1]) if text else None)
    return found


@given(st.lists(FINITE, min_size=1, max_size=40), st.integers(1, 4))
def test_greater_values_are_never_lower(points: list[float], height: int) -> None:
    levels = heights(sparkline(points, len(points), height))
    for (a, up), (b, other) in zip(
        zip(points, levels, strict=True), list(zip(points, levels, strict=True))[1:], strict=False
    ):
        assert up is not None and other is not None
        assert (a <= b or up >= other) and (a >= b or up <= other), f"{a}: {up}, {b}: {other}"


@given(st.lists(FINITE, min_size=2, max_size=40), st.integers(1, 4))
def test_the_least_is_at_the_bottom_and_the_greatest_at_the_top(
    points: list[float], height: int
) -> None:
    low, high = min(points), max(points)
    levels = heights(sparkline(points, len(points), height))
    if high / 2 - low / 2 > 5e-10 * max(abs(low), abs(high)):
        assert levels[points.index(low)] == 0
        assert levels[points.index(high)] == height * len(BARS) - 1
    else:
        assert len(set(levels)) == 1


@given(values, st.integers(1, 60))
def test_a_gap_is_where_nothing_is_finite(points: list[float], width: int) -> None:
    (line,) = sparkline(points, width)
    shown = resample(points, width)
    expected = [not math.isfinite(value) for value in shown]
    assert [c == " " for c in line[width - len(shown) :]] == expected
    assert line[: width - len(shown)].strip() == ""


def test_a_curve_that_one_can_read() -> None:
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8) == ["▁▂▃▄▅▆▇█"]
    assert sparkline([1, math.nan, 8], 5) == ["  ▁ █"]
    assert sparkline([0, 4, 8], 3, 2) == ["  ▁█"[1:], "▁██"]
    assert sparkline([3, 3], 2) == ["▅▅"] and sparkline([0, 0], 2) == ["▁▁"]
    assert sparkline([0.1 + 0.2, 0.3], 2) == ["▅▅"], "rounding is no curve"
    assert sparkline([], 3) == ["   "]


@pytest.mark.parametrize(("width", "height"), [(-1, 1), (1, 0)])
def test_a_size_that_is_none_is_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=f"expected a size of 0 x 1 or more, got {width} x"):
        sparkline([1.0], width, height)


@given(st.lists(FINITE, max_size=300), st.integers(1, 50))
def test_groups_are_within_their_bounds(points: list[float], count: int) -> None:
    found = resample(points, count)
    assert len(found) == min(count, len(points))
    for value in found:
        slack = 1e-9 * max(map(abs, points))
        assert min(points) - slack <= value <= max(points) + slack


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300))
def test_a_series_begins_with_the_session_and_stays_small(points: list[float]) -> None:
    series = Series(limit=16)
    for point in points:
        series.add(point)
    kept = series.points
    assert len(kept) <= 16 and len(kept) == len(series) and series.last == points[-1]
    if len(points) < 16:
        assert kept == points
    # Every point stands for as many values, in order, but for the last one.
    stride = next(s for s in (1, 2, 4, 8, 16, 32, 64) if -(-len(points) // s) == len(kept))
    groups = [points[i : i + stride] for i in range(0, len(points), stride)]
    for group, point in zip(groups, kept, strict=True):
        assert point == pytest.approx(sum(group) / len(group), abs=1e-3)


def test_a_series_needs_room() -> None:
    with pytest.raises(ValueError, match="expected an even number, 2 or more, got 3"):
        Series(limit=3)
