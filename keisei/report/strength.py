"""How strong the run became: its evaluations, and the ladder of all that were played."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keisei.evaluation.ladder import Ladder, LadderError, LadderRow
from keisei.evaluation.scores import Score
from keisei.report.curves import plain
from keisei.report.html import Html, join, table, tag
from keisei.report.run_files import LADDER_FILE, RunFiles

ROWS = 30
"""of the ladder that are shown at once, at most"""

_OWN = re.compile(r"step[ -](\d+)")
_MARGIN = 50.0


@dataclass(frozen=True)
class Evaluated:
    """How one evaluation went against one opponent."""

    step: int
    opponent: str
    score: Score
    """nobody's games (undecided ones too) are draws"""
    black_wins: int
    white_wins: int
    undecided: int
    """games at the move limit, which are among the draws"""
    mean_plies: float


def evaluated(run: RunFiles) -> list[Evaluated]:
    """All results of the evaluation log, in its order; lines that are none are left out."""
    found = []
    for line in run.evaluations:
        opponents = line.get("opponents")
        for name, result in (opponents if isinstance(opponents, Mapping) else {}).items():
            if not isinstance(result, Mapping):
                continue
            black, white, losses, draws, undecided = (
                _count(result.get(key))
                for key in ("black_wins", "white_wins", "losses", "draws", "truncated")
            )
            score = Score(black + white, draws + undecided, losses)
            if score.games:
                plies = result.get("mean_plies")
                length = float(plies) if isinstance(plies, int | float) else math.nan
                found.append(
                    Evaluated(line["step"], str(name), score, black, white, undecided, length)
                )
    return found


def evaluations_json(results: Sequence[Evaluated]) -> list[dict[str, Any]]:
    """A curve for each opponent: where, points a game, and the bounds of its 95% interval."""
    curves: dict[str, dict[str, Any]] = {}
    for one in results:
        names = ("step", "mean", "low", "high", "games", "plies")
        curve = curves.setdefault(one.opponent, {"name": one.opponent} | {key: [] for key in names})
        low, high = one.score.interval()
        values = (one.step, one.score.rate, low, high, one.score.games, one.mean_plies)
        for key, value in zip(names, values, strict=True):
            curve[key].append(plain(value, 12 if key == "step" else 4))
    return list(curves.values())


def last_evaluation_html(results: Sequence[Evaluated]) -> Html:
    """How the newest evaluation went against each opponent."""
    last = [one for one in results if one.step == results[-1].step]
    rows = []
    for one in last:
        low, high = one.score.interval()
        rows.append(
            [
                show_player(one.opponent),
                f"{one.score.games:,}",
                f"{one.score.wins:,} ({one.black_wins:,} as black, {one.white_wins:,} as white)",
                f"{one.score.draws:,}" + (f" ({one.undecided:,})" if one.undecided else ""),
                f"{one.score.losses:,}",
                tag("b", None, f"{100 * one.score.rate:.1f}%"),
                f"{100 * low:.1f}% … {100 * high:.1f}%",
                f"{one.mean_plies:.1f}" if math.isfinite(one.mean_plies) else "–",
            ]
        )
    head = (
        "Opponent",
        "Games",
        "Won",
        "Drawn (undecided)",
        "Lost",
        "Score",
        "95% interval",
        "Mean plies",
    )
    return table(head, rows, "scores")


def read_ladder(run: RunFiles) -> Ladder | None:
    """The run's ladder; None if there is none."""
    path = run.folder / LADDER_FILE
    if not path.is_file():
        return None
    try:
        return Ladder(path)
    except (LadderError, OSError, RecursionError) as error:
        run.problems.append(f"{LADDER_FILE}: {error}")
        return None


def ladder_json(rows: Sequence[LadderRow]) -> dict[str, Any] | None:
    """The ratings of the run's own networks along it; None if fewer than two are rated."""
    own = sorted((step, row) for row in rows if (step := own_step(row.name)) is not None)
    if len(own) < 2:
        return None
    return {
        "name": "this run",
        "step": [step for step, _ in own],
        "mean": [plain(row.rating.elo, 4) for _, row in own],
        "low": [plain(row.rating.low, 4) for _, row in own],
        "high": [plain(row.rating.high, 4) for _, row in own],
        "games": [row.rating.games for _, row in own],
    }


def own_step(name: str) -> int | None:
    """The step of one of the run's own networks, by its name in the ladder."""
    found = _OWN.fullmatch(name)
    return int(found[1]) if found else None


def ladder_html(ladder: Ladder, rows: Sequence[LadderRow]) -> Html:
    """The table, the strongest first, each with its interval on one common scale."""
    finite = [
        value
        for row in rows
        for value in (row.rating.elo, row.rating.low, row.rating.high)
        if math.isfinite(value)
    ]
    low, high = min(finite, default=0.0) - _MARGIN, max(finite, default=0.0) + _MARGIN
    body = [_row(row, low, high, anchor=row.name in ladder.anchors) for row in rows]
    head = ("", "Player", "Elo", "95% interval", "", "Games", "Score")
    shown = {row.rank for row in _most_telling(rows)}
    parts = [
        table(
            head,
            [cells for row, cells in zip(rows, body, strict=True) if row.rank in shown],
            "ladder",
        )
    ]
    if len(shown) < len(rows):
        parts.append(
            tag(
                "details",
                None,
                tag("summary", None, f"All {len(rows)} players"),
                table(head, body, "ladder"),
            )
        )
    parts += [
        tag("p", "note", f"No games connect these with {_names(ladder.anchors)}: {_names(group)}.")
        for group in ladder.unrated()
    ]
    return join(parts)


def _row(row: LadderRow, low: float, high: float, *, anchor: bool) -> list[Any]:
    rating = row.rating

    def place(value: float) -> float:
        return 100 * (min(max(value, low), high) - low) / (high - low)

    start, end = place(rating.low), place(rating.high)
    open_ends = [
        name
        for name, value in (("open-low", rating.low), ("open-high", rating.high))
        if math.isinf(value)
    ]
    bar = tag(
        "span",
        {"class": "interval", "aria-hidden": "true"},
        tag(
            "span",
            {
                "class": " ".join(["interval-bar", *open_ends]),
                "style": f"left:{start:.2f}%;width:{max(0.0, end - start):.2f}%",
            },
        ),
        tag("span", {"class": "interval-dot", "style": f"left:{place(rating.elo):.2f}%"}),
    )
    own = own_step(row.name) is not None
    name = tag("span", "own" if own else "other", show_player(row.name))
    span = "anchor" if anchor else f"{elo(rating.low)} … {elo(rating.high)}"
    return [
        str(row.rank),
        name,
        tag("b", None, elo(rating.elo)),
        span,
        bar,
        f"{rating.games:,}",
        f"{100 * rating.score:.1f}%",
    ]


def show_player(name: str) -> str:
    """A player's name for people."""
    step = own_step(name)
    return name if step is None else f"step {step:,}"


def elo(value: float) -> str:
    """A rating or a bound of one, with a true minus."""
    if math.isinf(value):
        return "+∞" if value > 0 else "−∞"
    return f"{value:+.0f}".replace("-", "−") if round(value) else "0"


def _most_telling(rows: Sequence[LadderRow]) -> list[LadderRow]:
    """All rows if they are few; else all others' and some of the run's own, evenly apart."""
    if len(rows) <= ROWS:
        return list(rows)
    others = [row for row in rows if own_step(row.name) is None][:ROWS]
    own = sorted(
        (row for row in rows if own_step(row.name) is not None),
        key=lambda row: own_step(row.name) or 0,
    )
    count = max(2, ROWS - len(others))
    places = sorted({round(i * (len(own) - 1) / (count - 1)) for i in range(count)}) if own else []
    return others + [own[i] for i in places]


def _names(names: Any) -> str:
    return ", ".join(map(str, names))


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0
