"""Which charts the page has, of which figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keisei.report.curves import Curves, plain
from keisei.report.run_files import Metrics

COLOURS = tuple(
    f"var(--{name})" for name in ("blue", "orange", "green", "purple", "amber", "sky", "grey")
)
"""in an order in which neighbours can be told apart, also by those who see fewer colours"""


@dataclass(frozen=True)
class Figure:
    """A chart of one figure or a few."""

    title: str
    curves: tuple[tuple[str, str], ...]
    """name of the figure, what the legend calls it"""
    about: str = ""
    log: bool = False
    format: str = ""
    limits: tuple[float | None, float | None] | None = None


def _one(title: str, name: str, about: str = "", **options: Any) -> Figure:
    return Figure(title, ((name, title),), about, **options)


LEARNING = (
    _one("Policy loss", "learn.policy_loss", "of PPO, clipped; its size says little"),
    _one("Value loss", "learn.value_loss", "how far values are from returns, squared"),
    _one("Entropy", "learn.entropy", "how undecided the policy is, in nats"),
    _one("KL divergence", "learn.approx_kl", "how far an update moved the policy", log=True),
    _one(
        "Clip fraction",
        "learn.clip_fraction",
        "moves whose probability changed too much",
        format="percent",
    ),
    _one(
        "Explained variance",
        "learn.explained_variance",
        "of the returns, by the values: 1 is all of it, 0 none",
    ),
    _one("Gradient norm", "learn.gradient_norm", "before it is cut", log=True),
    _one("Learning rate", "learn.learning_rate"),
    _one("Entropy coefficient", "learn.entropy_coefficient"),
    Figure(
        "Values",
        (("learn.value_mean", "mean"), ("learn.value_deviation", "deviation")),
        "what the network expects for the side to move",
    ),
    _one("Gradient steps", "learn.gradient_steps", "taken in an update; a large KL ends it early"),
    _one("Updates skipped", "learn.skipped_updates", "for numbers that were not finite"),
)
SPEED = (
    _one("Positions a second", "speed.positions_per_second", "playing and learning together"),
    _one("Games a second", "speed.games_per_second", "that came to an end"),
    Figure(
        "Seconds an iteration",
        (("speed.collect_seconds", "playing"), ("speed.learn_seconds", "learning")),
    ),
    _one("Main memory, GB", "resources.memory_gb"),
    Figure(
        "GPU memory, GB",
        (
            ("resources.gpu_memory_gb", "tensors"),
            ("resources.gpu_memory_peak_gb", "peak"),
            ("resources.gpu_memory_reserved_gb", "reserved"),
        ),
    ),
    _one("GPU busy, %", "resources.gpu_busy_percent"),
)
# Charts of their own show these.
_ELSEWHERE = ("games.", "evaluation.")
# Nothing to see while they stand still.
_ONLY_IF_THEY_CHANGE = {
    "learn.skipped_updates",
    "learn.entropy_coefficient",
    "learn.learning_rate",
    "learn.gradient_steps",
}

RESULTS = (
    ("games.black_wins", "black wins", "blue"),
    ("games.white_wins", "white wins", "orange"),
    ("games.draws", "draws", "green"),
    ("games.truncated", "cut off at the move limit", "grey"),
)
ENDINGS = (
    ("games.ending_no_legal_move", "mate", "blue"),
    ("games.ending_declaration", "declaration", "purple"),
    ("games.ending_repetition", "repetition", "green"),
    ("games.ending_perpetual_check", "perpetual check", "amber"),
    ("games.ending_move_limit", "move limit", "grey"),
)


def line_charts(
    curves: Curves, metrics: Metrics, figures: Iterable[Figure]
) -> list[dict[str, Any]]:
    """The charts of these figures that the run has."""
    steps = curves.at(metrics.step)
    charts = []
    for figure in figures:
        series: list[dict[str, Any]] = []
        for name, label in figure.curves:
            if name not in metrics.columns or _stands_still(metrics, name):
                continue
            colour = COLOURS[len(series) % len(COLOURS)]
            series.append({"name": label, "colour": colour} | curves.json(name))
        if any(value is not None for one in series for value in one["mean"]):
            charts.append(
                {
                    "title": figure.title,
                    "about": figure.about,
                    "kind": "line",
                    "steps": steps,
                    "series": series,
                    "log": figure.log,
                    "format": figure.format,
                    "range": figure.limits,
                }
            )
    return charts


def other_figures(metrics: Metrics) -> list[Figure]:
    """Charts of the figures that no other chart shows, by name."""
    shown = {name for figure in (*LEARNING, *SPEED) for name, _ in figure.curves}
    return [
        _one(name, name)
        for name in sorted(metrics.columns)
        if name not in shown and not name.startswith(_ELSEWHERE) and name != "speed.total_seconds"
    ]


def share_chart(
    title: str,
    about: str,
    curves: Curves,
    metrics: Metrics,
    parts: Sequence[tuple[str, str, str]],
) -> dict[str, Any] | None:
    """What share of the games each of ``parts`` (figure, name, colour) has; None without games.

    There are no points where no game ended.
    """
    steps, games, where = _games_at(curves, metrics)
    if not steps:
        return None
    series = []
    for name, label, colour in parts:
        counts = curves.mean(name)[where]
        if np.nansum(counts) > 0:
            shares = [plain(value, 4) for value in counts / games]
            series.append({"name": label, "colour": f"var(--{colour})", "mean": shares})
    return {
        "title": title,
        "about": about,
        "kind": "area",
        "tall": True,
        "joined": True,
        "steps": steps,
        "series": series,
        "format": "percent",
    }


def length_chart(curves: Curves, metrics: Metrics) -> dict[str, Any] | None:
    """How long games were; None without games."""
    steps, games, where = _games_at(curves, metrics)
    if not steps:
        return None
    plies = [plain(value, 4) for value in curves.mean("games.game_plies")[where] / games]
    return {
        "title": "Length of games",
        "about": "in plies, of those that ended",
        "kind": "line",
        "steps": steps,
        "series": [{"name": "mean", "colour": COLOURS[0], "mean": plies}],
    }


def _games_at(
    curves: Curves, metrics: Metrics
) -> tuple[list[float | int | None], NDArray[np.float64], NDArray[np.bool_]]:
    """The points at which games ended: their steps, how many games, and which points these are."""
    games = curves.mean("games.games")
    where = games > 0
    steps = [step for step, is_one in zip(curves.at(metrics.step), where, strict=True) if is_one]
    return steps, games[where], where


def points_chart(
    title: str, about: str, series: Sequence[Mapping[str, Any]], **options: Any
) -> dict[str, Any]:
    """Points with intervals, of series that each have their own ``step``."""
    steps = sorted({step for one in series for step in one["step"]})
    places = {step: i for i, step in enumerate(steps)}
    found = []
    for number, one in enumerate(series):
        lists: dict[str, list[float | None]] = {
            key: [None] * len(steps) for key in ("mean", "low", "high")
        }
        for i, step in enumerate(one["step"]):
            for key, values in lists.items():
                values[places[step]] = one[key][i]
        found.append({"name": one["name"], "colour": COLOURS[number % len(COLOURS)]} | lists)
    return {
        "title": title,
        "about": about,
        "kind": "points",
        "tall": True,
        "joined": True,
        "steps": steps,
        "series": found,
        **options,
    }


def _stands_still(metrics: Metrics, name: str) -> bool:
    if name not in _ONLY_IF_THEY_CHANGE:
        return False
    values = np.asarray(metrics.columns[name])
    values = values[np.isfinite(values)]
    return len(values) == 0 or bool((values == values[0]).all())
