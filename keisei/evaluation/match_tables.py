"""What the matches of several players came to, as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from keisei.evaluation.evaluate import OpponentResult
from keisei.evaluation.match import MatchResult
from keisei.evaluation.scores import Pairs, Score

_TITLE = "results of the first player, with 95% intervals"
_ENDLESS = 100_000
"""columns"""


@dataclass(frozen=True)
class Pairing:
    """The match of two of the players."""

    first: str
    second: str
    result: MatchResult
    complete: bool = True
    """False: it was cut short, and the result is that of the games that were finished"""

    @property
    def counted(self) -> Pairs | Score:
        """Pairs where there are any: their games are not independent."""
        return self.result.pairs if self.result.pairs.pairs else self.result.score

    def to_json(self) -> dict[str, Any]:
        """Plain values; the results are the first player's."""
        own = OpponentResult(self.second, self.result).to_json()
        return {"first": self.first, "second": self.second, "complete": self.complete, **own}


def show_pairings(console: Console, pairings: Sequence[Pairing], games: int) -> None:
    """Writes the results as tables or, where these have no room, a few lines for each pairing.

    Args:
        console: Where to, and how wide that is.
        pairings: In their order.
        games: How many each pairing was to have.
    """
    table = _results(pairings, games)
    needed = console.measure(table, options=console.options.update(max_width=_ENDLESS)).maximum
    if needed <= console.width:
        console.print(table)
        console.print(_endings(pairings))
        return
    console.print(f"{_TITLE}:", markup=False, highlight=False)
    for pairing in pairings:
        _show_lines(console, pairing, games)
    console.print()


def _results(pairings: Sequence[Pairing], games: int) -> Table:
    table = Table(title=_TITLE)
    for column in ("first", "second", "games", "won =drawn lost", "score", "Elo", "black", "white"):
        table.add_column(column, justify="left" if column in ("first", "second") else "right")
    for pairing in pairings:
        result = pairing.result
        table.add_row(
            pairing.first,
            pairing.second,
            _count(pairing, games),
            str(result.score),
            _rate(result.score),
            _elo(pairing.counted),
            _rate(result.black),
            _rate(result.white),
        )
    return table


def _endings(pairings: Sequence[Pairing]) -> Table:
    table = Table(title="by way of ending")
    for column in ("first", "second", "mean plies", "endings"):
        table.add_column(column)
    for pairing in pairings:
        plies = f"{pairing.result.mean_plies:.1f}"
        table.add_row(pairing.first, pairing.second, plies, _ways(pairing.result))
    return table


def _show_lines(console: Console, pairing: Pairing, games: int) -> None:
    result = pairing.result
    names = f"{pairing.first} against {pairing.second}"
    console.print()
    console.print(Text(f"{names}, {_count(pairing, games)} games", "bold", overflow="fold"))
    lines = Table.grid(padding=(0, 2, 0, 0))
    for name, score, elo in (
        ("all", result.score, f"Elo {_elo(pairing.counted)}"),
        ("as black", result.black, ""),
        ("as white", result.white, ""),
    ):
        lines.add_row(name, str(score), _rate(score), elo)
    console.print(Padding.indent(lines, 2))
    text = f"{_ways(result)}; {result.mean_plies:.1f} plies a game"
    console.print(Padding.indent(Text(text), 2))


def _count(pairing: Pairing, games: int) -> str:
    return str(pairing.result.games) + ("" if pairing.complete else f" of {games}")


def _elo(counted: Pairs | Score) -> str:
    return "{:+.0f} [{:+.0f}, {:+.0f}]".format(counted.elo, *counted.elo_interval())


def _rate(score: Score) -> str:
    if not score.games:
        return "-"
    low, high = score.interval()
    return f"{100 * score.rate:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"


def _ways(result: MatchResult) -> str:
    return ", ".join(f"{name} {score}" for name, score in result.endings.items())
