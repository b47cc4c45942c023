"""Curves of a few cells, and the series of figures that they are drawn from."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.-~=+*#"


def sparkline(
    values: Sequence[float], width: int, height: int = 1, *, bars: str = BARS
) -> list[str]:
    """The values as a curve of exactly ``height`` lines of ``width`` characters, top line first.

    They rise from the least value to the greatest: there are ``height * len(bars)`` levels. More
    values than characters are averaged in groups, fewer stand at the right. A value that is not
    finite leaves a gap. Values that differ by less than a billionth of their size are taken for
    equal: a line at half height, or at the bottom for zeros. Raises ValueError unless width is
    0 or more and height 1 or more.
    """
    if width < 0 or height < 1:
        raise ValueError(f"sparkline: expected a size of 0 x 1 or more, got {width} x {height}")
    points = resample(values, width)
    known = [value for value in points if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    # Halved first: the difference of two finite numbers need not be finite.
    span = high / 2 - low / 2
    varies = span > 5e-10 * max(abs(low), abs(high))
    levels = height * len(bars)
    rows = [[" "] * width for _ in range(height)]
    for column, value in enumerate(points, start=width - len(points)):
        if not math.isfinite(value):
            continue
        share = (value / 2 - low / 2) / span if varies else float(high != 0) / 2
        level = min(levels - 1, int(share * levels))
        for up in range(level // len(bars) + 1):
            top = up == level // len(bars)
            rows[height - 1 - up][column] = bars[level % len(bars)] if top else bars[-1]
    return ["".join(row) for row in rows]


def resample(values: Sequence[float], count: int) -> list[float]:
    """At most ``count`` values: means of groups of neighbours, without those that are not finite.

    A group that has no finite value is nan.
    """
    if len(values) <= count:
        return list(values)
    found = []
    for i in range(count):
        group = values[i * len(values) // count : (i + 1) * len(values) // count]
        known = [value for value in group if math.isfinite(value)]
        # Divided first: the sum of finite numbers need not be finite.
        found.append(sum(value / len(known) for value in known) if known else math.nan)
    return found


class Series:
    """A figure over a whole session in bounded memory.

    Once there are ``limit`` points, neighbours are averaged to half as many, and from then on each
    point is the mean of twice as many values: a curve of it always begins where the session began.
    """

    def __init__(self, limit: int = 512) -> None:
        if limit < 2 or limit % 2:
            raise ValueError(f"Series: limit: expected an even number, 2 or more, got {limit}")
        self._limit = limit
        self._stride = 1
        self._points: list[float] = []
        self._open: list[float] = []
        self.last = math.nan
        """the value that came last"""

    def add(self, value: float) -> None:
        """Takes the next value; one that is not finite becomes a gap."""
        self.last = value
        self._open.append(value)
        if len(self._open) < self._stride:
            return
        self._points += resample(self._open, 1)
        self._open.clear()
        if len(self._points) == self._limit:
            self._points = resample(self._points, self._limit // 2)
            self._stride *= 2

    @property
    def points(self) -> list[float]:
        """The means so far, the oldest first; the last one may be of fewer values."""
        return self._points + (resample(self._open, 1) if self._open else [])

    def __len__(self) -> int:
        return len(self._points) + bool(self._open)
