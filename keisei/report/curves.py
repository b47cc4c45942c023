"""Figures of many iterations as curves of few points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keisei.report.run_files import Metrics

POINTS = 400
"""of a curve, at most"""
DIGITS = 5


def plain(value: float, digits: int = DIGITS) -> float | int | None:
    """A number as the page has it: few digits, and None for nan and the infinities."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


class Curves:
    """All columns of the figures, each thinned to the same points.

    A point stands for some iterations that follow one another: their mean and, where there are
    several, their least and greatest value. It lies at the last of them.
    """

    def __init__(self, metrics: Metrics, points: int = POINTS) -> None:
        self._metrics = metrics
        rows = len(metrics)
        edges = np.linspace(0, rows, min(rows, points) + 1).round().astype(np.int64)
        self._first, self._last = edges[:-1], edges[1:] - 1
        self.thinned = rows > points

    def __len__(self) -> int:
        return len(self._last)

    def at(self, column: Sequence[float]) -> list[float | int | None]:
        """The values of a column at the points."""
        return [plain(column[i], 12) for i in self._last]

    def axes(self) -> dict[str, list[float | int | None]]:
        """Where the points lie: plies, iterations and, if it is known, seconds of training."""
        axes = {"step": self.at(self._metrics.step), "iteration": self.at(self._metrics.iteration)}
        seconds = self._metrics.columns.get("speed.total_seconds")
        if seconds is not None and len(self) and not np.isnan(np.asarray(seconds)).any():
            axes["seconds"] = [plain(seconds[i]) for i in self._last]
        return axes

    def mean(self, name: str) -> NDArray[np.float64]:
        """The mean of a column's finite values at each point; nan where there is none, [P]."""
        values = self._column(name)
        finite = np.isfinite(values)
        if not len(self):
            return np.zeros(0)
        total = np.add.reduceat(np.where(finite, values, 0.0), self._first)
        count = np.add.reduceat(finite.astype(np.float64), self._first)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def json(self, name: str) -> dict[str, Any]:
        """The curve as the page has it: ``mean`` and, where points stand for several, the range."""
        curve: dict[str, Any] = {"mean": [plain(value) for value in self.mean(name)]}
        if self.thinned:
            values = self._column(name)
            low = np.minimum.reduceat(np.where(np.isfinite(values), values, np.inf), self._first)
            high = np.maximum.reduceat(np.where(np.isfinite(values), values, -np.inf), self._first)
            curve["low"] = [plain(value, 4) for value in low]
            curve["high"] = [plain(value, 4) for value in high]
        return curve

    def _column(self, name: str) -> NDArray[np.float64]:
        column = self._metrics.columns.get(name)
        if column is None:
            return np.full(len(self._metrics), np.nan)
        return np.asarray(column, np.float64)
