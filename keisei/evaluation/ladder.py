"""The ladder of a run: all scores of all players against each other, and the ratings from these.

It stands in the run's folder as ``ladder.json``::

    {"format": 1, "anchors": {"random": 0.0}, "scores": [
      {"a": "step 2000", "b": "random", "wins": 9, "draws": 1, "losses": 0, "step": 2000}]}

``step`` is the number of plies that the run had learned from when the games were played, or null
if the games have nothing to do with where the run stands. No torch is needed.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keisei.evaluation.ratings import CONFIDENCE, Rating, Results, Score, bradley_terry, unrated
from keisei.utils.files import replacing

FILE_NAME = "ladder.json"
"""the ladder's name in a run's folder"""
ANCHORS: Mapping[str, float] = {"random": 0.0}
"""uniformly random play is the zero of the scale"""

_FORMAT = 1
_Key = tuple[str, str, int | None]


class LadderError(ValueError):
    """A file is no ladder; the text names the file and what is wrong."""


@dataclass(frozen=True)
class LadderRow:
    """One player in the table."""

    rank: int
    """from 1; the strongest is first"""
    name: str
    rating: Rating


class Ladder:
    """Scores by pairing, kept in a file if a path is given."""

    def __init__(self, path: Path | None = None, anchors: Mapping[str, float] = ANCHORS):
        """Reads the file if it is there; its anchors are then those of the ladder.

        Raises LadderError if it is no ladder.
        """
        self.path = path
        self.anchors = dict(anchors)
        self._scores: dict[_Key, Score] = {}
        self._rated: dict[float, dict[str, Rating]] = {}
        if path is not None and path.exists():
            try:
                self._read(json.loads(path.read_text(encoding="utf-8")))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise LadderError(f"{path}: no ladder: {error!r}") from error

    def add(self, name_a: str, name_b: str, score: Score, step: int | None = None) -> None:
        """Adds games of ``name_a`` against ``name_b`` to those that are there; writes the file."""
        self.add_all({(name_a, name_b): score}, step)

    def add_all(self, results: Results, step: int | None = None) -> None:
        """Adds games of several pairings, and writes the file once."""
        for a, b in results:
            if a == b:
                raise ValueError(f"ladder: expected two players, got {a!r} against itself")
        for (a, b), score in results.items():
            key = (a, b, step)
            self._scores[key] = self._scores.get(key, Score()) + score
        self._rated.clear()
        self._write()

    def forget_after(self, step: int) -> None:
        """Drops games of later steps: what a run that died played past the one it goes on from."""
        kept = {key: s for key, s in self._scores.items() if key[2] is None or key[2] <= step}
        if kept != self._scores:
            self._scores = kept
            self._rated.clear()
            self._write()

    @property
    def results(self) -> Results:
        """All scores by pairing, as ``bradley_terry`` takes them."""
        results: dict[tuple[str, str], Score] = defaultdict(Score)
        for (a, b, _), score in self._scores.items():
            results[a, b] += score
        return dict(results)

    def ratings(self, confidence: float = CONFIDENCE) -> dict[str, Rating]:
        """Players and their ratings, the strongest first; empty before an anchor has played.

        Hundreds of players take seconds, so ratings are kept until games are added or dropped.
        """
        if confidence not in self._rated:
            results = self.results
            names = {name for pair, score in results.items() if score.games for name in pair}
            played = not names.isdisjoint(self.anchors)
            self._rated[confidence] = (
                bradley_terry(results, self.anchors, confidence) if played else {}
            )
        return dict(self._rated[confidence])

    def unrated(self) -> tuple[tuple[str, ...], ...]:
        """Players whom no games connect with an anchor, in groups that games connect."""
        return unrated(self.results, self.anchors)

    def rows(self) -> tuple[LadderRow, ...]:
        """The table, the strongest first."""
        return tuple(LadderRow(i, *item) for i, item in enumerate(self.ratings().items(), 1))

    def text(self) -> str:
        """The table for people, with Elo, 95% intervals, games and points a game."""
        rows = self.rows()
        width = max([len("player"), *(len(row.name) for row in rows)])
        lines = [f"  #  {'player':{width}}     Elo           95%  games  score"]
        for row in rows:
            rating = row.rating
            span = "anchor" if row.name in self.anchors else _span(rating)
            lines.append(
                f"{row.rank:3}  {row.name:{width}}  {_elo(rating.elo):>6}  {span:>12}  "
                f"{rating.games:5}  {rating.score:5.1%}"
            )
        for group in self.unrated():
            lines.append(f"no games connect with an anchor: {', '.join(group)}")
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the file has them."""
        scores = [
            {"a": a, "b": b, "wins": s.wins, "draws": s.draws, "losses": s.losses, "step": step}
            for (a, b, step), s in self._scores.items()
        ]
        return {"format": _FORMAT, "anchors": self.anchors, "scores": scores}

    def _read(self, data: Mapping[str, Any]) -> None:
        if data["format"] != _FORMAT:
            raise ValueError(f"format: expected {_FORMAT}, got {data['format']!r}")
        self.anchors = {str(name): float(elo) for name, elo in data["anchors"].items()}
        for row in data["scores"]:
            key = (str(row["a"]), str(row["b"]), None if row["step"] is None else int(row["step"]))
            score = Score(*(int(row[name]) for name in ("wins", "draws", "losses")))
            self._scores[key] = self._scores.get(key, Score()) + score

    def _write(self) -> None:
        if self.path is not None:
            with replacing(self.path) as temporary:
                temporary.write_text(json.dumps(self.to_json(), indent=1), encoding="utf-8")


def _elo(elo: float) -> str:
    return f"{elo:+.0f}" if math.isfinite(elo) else ("+∞" if elo > 0 else "-∞")


def _span(rating: Rating) -> str:
    return f"{_elo(rating.low)} .. {_elo(rating.high)}"
