"""Figures of a run with the curves that led to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from keisei.training.blocks import Block, Line, beside, fit, rule, segment, sized
from keisei.training.sparkline import ASCII_BARS, BARS, Series, sparkline

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Metric:
    """A figure that is shown: its name, how it follows from an iteration's, how it is written."""

    name: str
    of: Callable[[Figures], float]
    """nan where the iteration has none"""
    write: Callable[[float], str]


@dataclass(frozen=True)
class Group:
    """Figures that stand together, the most telling first."""

    title: str
    metrics: tuple[Metric, ...]


def format_seconds(seconds: float) -> str:
    """``1:02:03``; ``-`` while it is not known."""
    if not math.isfinite(seconds):
        return "-"
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def format_rate(rate: float) -> str:
    """A number in three figures: ``842``, ``1.31k``, ``2.5M``."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rate >= 0.9995 * limit:
            return f"{rate / limit:.3g}{suffix}"
    return f"{rate:.3g}"


def _figure(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures.get(name, math.nan)


def _share(name: str) -> Callable[[Figures], float]:
    """The part of the games that ended in this iteration; nan if none did."""

    def share(figures: Figures) -> float:
        games = figures.get("games.games", 0.0)
        return figures.get(name, math.nan) / games if games else math.nan

    return share


def _of_games(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures.get(name, math.nan) if figures.get("games.games") else math.nan


def _as(form: str) -> Callable[[float], str]:
    return lambda value: format(value, form)


def _percent(value: float) -> str:
    """Two figures where it is small: a share of 0.4% is not nothing."""
    return f"{100 * value:.0f}%" if value >= 0.0995 or value == 0 else f"{100 * value:.1f}%"


def _gigabytes(value: float) -> str:
    return f"{value:.3g}GB"


def _per_second(value: float) -> str:
    return f"{format_rate(value)}/s"


def _in_seconds(value: float) -> str:
    return f"{value:.2f}s" if value < 10 else f"{value:.1f}s" if value < 100 else f"{value:.0f}s"


LEARNING = Group(
    "learning",
    (
        Metric("policy", _figure("learn.policy_loss"), _as("+.4f")),
        Metric("value", _figure("learn.value_loss"), _as(".4f")),
        Metric("entropy", _figure("learn.entropy"), _as(".3f")),
        Metric("KL", _figure("learn.approx_kl"), _as(".4f")),
        Metric("clipped", _figure("learn.clip_fraction"), _percent),
        Metric("explained", _figure("learn.explained_variance"), _as(".3f")),
        Metric("gradient", _figure("learn.gradient_norm"), _as(".3g")),
        Metric("rate", _figure("learn.learning_rate"), _as(".3g")),
    ),
)
GAMES = Group(
    "games",
    (
        Metric("plies", _of_games("games.mean_plies"), _as(".0f")),
        Metric("black", _share("games.black_wins"), _percent),
        Metric("white", _share("games.white_wins"), _percent),
        Metric("drawn", _share("games.draws"), _percent),
        Metric("cut off", _share("games.truncated"), _percent),
        Metric("repeated", _share("games.ending_repetition"), _percent),
        Metric("declared", _share("games.ending_declaration"), _percent),
        Metric("perpetual", _share("games.ending_perpetual_check"), _percent),
    ),
)
SPEED = Group(
    "speed",
    (
        Metric("positions", _figure("speed.positions_per_second"), _per_second),
        Metric("games", _figure("speed.games_per_second"), _per_second),
        Metric("collecting", _figure("speed.collect_seconds"), _in_seconds),
        Metric("learning", _figure("speed.learn_seconds"), _in_seconds),
        Metric("memory", _figure("resources.memory_gb"), _gigabytes),
        Metric("on GPU", _figure("resources.gpu_memory_gb"), _gigabytes),
        Metric("GPU busy", _figure("resources.gpu_busy_percent"), lambda value: f"{value:.0f}%"),
    ),
)
GROUPS = (LEARNING, GAMES, SPEED)

_NAME, _VALUE = 10, 8
_CELL = 23
"""least width of a figure with a curve worth looking at"""
_TALL = 4
"""most lines of a curve"""


class Histories:
    """The series of every figure that is shown."""

    def __init__(self) -> None:
        self.series = {metric: Series() for group in GROUPS for metric in group.metrics}

    def add(self, figures: Figures) -> None:
        """Takes the figures of one iteration."""
        for metric, series in self.series.items():
            series.add(metric.of(figures))


def group_block(
    group: Group, histories: Histories, width: int, height: int, *, ascii_only: bool = False
) -> Block:
    """A group in exactly this size: a title, then its figures, in columns if lines are few.

    What does not fit is left out, from the end; figures that never came are left out too, unless
    nothing came yet.
    """
    came = [m for m in group.metrics if any(map(math.isfinite, histories.series[m].points))]
    metrics: Sequence[Metric] = came or group.metrics
    title = rule(group.title, width, ascii_only=ascii_only)
    room = max(0, height - 1)
    if room == 0:
        return sized([title], width, height)
    columns = max(1, min(-(-len(metrics) // room), (width + 2) // (_CELL + 2)))
    lines = -(-len(metrics) // columns)
    tall = max(1, min(_TALL, room // lines))
    cell = (width + 2) // columns - 2
    per_column = room // tall
    blocks = []
    for column in range(columns):
        own = metrics[column * lines : (column + 1) * lines][:per_column]
        cells = [
            line
            for metric in own
            for line in _metric(metric, histories.series[metric], cell, tall, ascii_only)
        ]
        blocks.append(sized(cells, cell, room))
    return sized([title, *beside(*blocks)], width, height)


def _metric(
    metric: Metric, series: Series, width: int, height: int, ascii_only: bool
) -> list[Line]:
    """Name, value and, on a second line, bounds at the left; the curve at the right."""
    value = metric.write(series.last) if math.isfinite(series.last) else "-"
    head = [segment(f"{metric.name:<{_NAME}}", "cyan"), segment(f"{value:>{_VALUE}} ", "bold")]
    room = max(0, width - _NAME - _VALUE - 1)
    tall = height - 1 if height > 2 else height  # with room, curves do not touch
    bars = ASCII_BARS if ascii_only else BARS
    points = series.points
    curve = sparkline(points, room, tall, bars=bars)
    known = [point for point in points if math.isfinite(point)]
    lines = []
    for number in range(height):
        left = [segment(" " * (_NAME + _VALUE + 1))]
        if number == 0:
            left = head
        elif number == 1 and len(known) > 1:
            to = "-" if ascii_only else "…"
            bounds = f"{metric.write(min(known))} {to} {metric.write(max(known))}"
            left = [segment(f"{bounds:>{_NAME + _VALUE}}"[: _NAME + _VALUE] + " ", "dim")]
        right = [segment(curve[number], "green")] if number < tall else []
        lines.append(fit([*left, *right], width))
    return lines
