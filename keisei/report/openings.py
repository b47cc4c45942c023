"""How a run began its games, and how that changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keisei import Position
from keisei.report.html import Html, join, tag
from keisei.report.notation import write_move
from keisei.report.run_files import OPENINGS_FILE, RunFiles

BINS = 12
"""stretches of the run that are told apart"""
_BRANCHES = (8, 5, 3, 2)
"""moves that are shown at each ply, the most frequent"""


@dataclass
class Node:
    """A move, and how often it was played in each part of the run."""

    move: str
    counts: list[int]
    replies: dict[str, Node] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Games with it."""
        return sum(self.counts)

    def best(self, position: Position, count: int) -> list[Node]:
        """The most frequent legal replies, in the position after this move."""
        legal = set(position.legal_moves())
        replies = [node for node in self.replies.values() if node.move in legal]
        return sorted(replies, key=lambda node: -node.total)[:count]


@dataclass
class Openings:
    """The openings from one first position."""

    start: str
    """SFEN"""
    steps: list[int]
    """where each part of the run ends"""
    root: Node
    games: int
    """from that position"""
    others: int
    """from other positions, or of rare openings that were not stored"""


def collect_openings(run: RunFiles, bins: int = BINS) -> Openings | None:
    """The openings from the position that most games began with; None if there are none."""
    parts = _parts(run.openings, bins)
    starts: Counter[str] = Counter()
    games = 0
    for lines in parts:
        for line in lines:
            games += _whole(line.get("games"))
            for start, openings in _mapping(line.get("starts")).items():
                starts[start] += sum(map(_whole, _mapping(openings).values()))
    if not starts or not starts.total():
        return None
    start = starts.most_common(1)[0][0]
    try:
        Position.from_sfen(start)
    except ValueError as error:
        run.problems.append(f"{OPENINGS_FILE}: {error}")
        return None
    root = Node("", [0] * len(parts))
    for part, lines in enumerate(parts):
        for line in lines:
            openings = _mapping(_mapping(line.get("starts")).get(start))
            for moves, count in openings.items():
                _add(root, moves.split(), part, _whole(count))
    steps = [int(lines[-1]["step"]) for lines in parts]
    return Openings(start, steps, root, root.total, max(0, games - root.total))


def first_moves_json(openings: Openings, count: int = 6) -> dict[str, Any]:
    """The shares of the most frequent first moves along the run, and of all others."""
    totals = openings.root.counts
    position = Position.from_sfen(openings.start)
    series: list[tuple[str, list[int]]] = []
    rest = list(totals)
    for node in openings.root.best(position, count):
        rest = [have - took for have, took in zip(rest, node.counts, strict=True)]
        series.append((write_move(position, node.move).letters, node.counts))
    if any(rest):
        series.append(("others", rest))
    return {
        "step": openings.steps,
        "series": [
            {
                "name": name,
                "mean": [
                    round(count / total, 4) if total else None
                    for count, total in zip(counts, totals, strict=True)
                ],
            }
            for name, counts in series
        ],
    }


def tree_html(openings: Openings) -> Html:
    """The tree of the moves, each with its share and how that changed; it opens and closes."""
    head = tag(
        "div",
        "op-row op-head",
        tag("span", "op-move", "Move"),
        tag("span", "op-share", "Share"),
        tag("span", "op-games", "Games"),
        tag("span", "op-strip", "Start of the run … end"),
    )
    position = Position.from_sfen(openings.start)
    return tag("div", "openings", head, _branches(openings.root, position, 0, openings.root.counts))


def _branches(node: Node, position: Position, ply: int, totals: Sequence[int]) -> Html:
    if ply == len(_BRANCHES):
        return Html("")
    return join(
        _row(child, position, ply, totals, node.total)
        for child in node.best(position, _BRANCHES[ply])
    )


def _row(node: Node, position: Position, ply: int, totals: Sequence[int], before: int) -> Html:
    written = write_move(position, node.move)
    share = node.total / max(1, before)
    row = (
        tag(
            "span",
            {"class": "op-move", "style": f"--ply:{ply}"},
            tag("b", None, written.letters),
            tag("i", {"lang": "ja"}, written.japanese),
        ),
        tag(
            "span",
            {"class": "op-share", "style": f"--share:{share:.4f}"},
            tag("span", None, f"{100 * share:.0f}%"),
        ),
        tag("span", "op-games", f"{node.total:,}"),
        _strip(node.counts, totals),
    )
    after = position.copy()
    after.push(node.move)
    replies = _branches(node, after, ply + 1, node.counts)
    if not replies:
        return tag("div", "op-row", *row)
    attributes = {"open": ""} if ply == 0 and share >= 0.25 else None
    return tag("details", attributes, tag("summary", "op-row", *row), replies)


def _strip(counts: Sequence[int], totals: Sequence[int]) -> Html:
    """A cell for each part of the run, the darker the larger the move's share there."""
    cells = []
    for count, total in zip(counts, totals, strict=True):
        share = count / total if total else 0.0
        title = f"{100 * share:.0f}% of {total:,}" if total else "no game"
        style = f"--share:{math.sqrt(share):.3f}"  # small ones can be told apart too
        cells.append(tag("span", {"style": style, "title": title}))
    return tag("span", "op-strip", *cells)


def _parts(lines: Sequence[Mapping[str, Any]], bins: int) -> list[list[Mapping[str, Any]]]:
    """The lines in so many parts of the run of equal length; empty parts are left out."""
    last = max((line["step"] for line in lines), default=0)
    parts: list[list[Mapping[str, Any]]] = [[] for _ in range(bins)]
    for line in lines:
        if 0 < line["step"] <= last:
            parts[(line["step"] - 1) * bins // last].append(line)
    return [part for part in parts if part]


def _add(root: Node, moves: Sequence[str], part: int, count: int) -> None:
    """Adds games with an opening, as far as its moves are legal."""
    root.counts[part] += count
    node = root
    for move in moves[: len(_BRANCHES)]:
        child = node.replies.get(move)
        if child is None:
            child = node.replies[move] = Node(move, [0] * len(root.counts))
        child.counts[part] += count
        node = child


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _whole(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
