"""How games begin: openings, each played twice with colours exchanged."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from keisei import Position
from keisei.config_schema import ConfigError

SHIPPED = "openings.sfen"
"""the file that is taken where none is named; it lies beside this module"""
_FURTHER_PLIES = 2


@dataclass(frozen=True)
class Opening:
    """The first moves of a game."""

    start: str
    """SFEN of the first position, all four fields"""
    moves: tuple[str, ...] = ()
    """in USI"""


START = Opening(Position().sfen())
"""the even game without any moves"""


def load_openings(path: str | Path | None = None) -> tuple[Opening, ...]:
    """The openings of a file, or those that keisei brings.

    One a line: ``startpos`` or ``sfen SFEN`` or an SFEN, then, if there are any, ``moves`` and the
    moves in USI. Blank lines and lines that begin with ``#`` do not count. Raises ConfigError,
    which names the line, for one that cannot be read, has an illegal move or ends a game.
    """
    if path is None:
        source, text = SHIPPED, (resources.files("keisei.evaluation") / SHIPPED).read_text("utf-8")
    else:
        source = str(path)
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{source}: cannot be read: {error}") from error
    openings = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                openings.append(parse_opening(line))
            except ValueError as error:
                raise ConfigError(f"{source}: line {number}: {error}") from error
    if not openings:
        raise ConfigError(f"{source}: expected openings, one a line, got none")
    return tuple(openings)


def parse_opening(line: str) -> Opening:
    """One line of such a file; ValueError says what is wrong with it."""
    place, _, moves = line.strip().partition(" moves ")
    place = place.removesuffix(" moves").removeprefix("position ").removeprefix("sfen ")
    position = Position() if place == "startpos" else Position.from_sfen(place)
    opening = Opening(position.sfen(), tuple(moves.split()))
    for move in opening.moves:
        _refuse_end(position)
        position.push(move)
    _refuse_end(position)
    return opening


def _refuse_end(position: Position) -> None:
    outcome = position.outcome()
    if outcome is not None:
        raise ValueError(
            f"expected a game that goes on, got one that is over ({outcome.ending}) after "
            f"{position.plies_played} moves"
        )


def assign(
    openings: Sequence[Opening],
    games: int,
    *,
    first_game: int = 0,
    seed: int = 0,
    max_plies: int = 512,
) -> list[Opening]:
    """The opening of each game: games 2 k and 2 k + 1 share one, in the order of the set.

    Where there are more pairs than openings, the set is gone through again, and from then on each
    opening goes on by two moves that are drawn for the pair, so that players that draw nothing do
    not repeat their games. Openings that would leave both sides no move before the move limit are
    passed over. Without openings all games begin from the usual start.
    """
    openings = [one for one in openings if len(one.moves) + _FURTHER_PLIES + 2 <= max_plies]
    if not openings:
        return [START] * games
    laps: dict[int, Opening] = {}
    for game in range(first_game, first_game + games):
        pair = game // 2
        if pair not in laps:
            opening = openings[pair % len(openings)]
            laps[pair] = opening if pair < len(openings) else _extended(opening, f"{seed} {pair}")
    return [laps[game // 2] for game in range(first_game, first_game + games)]


def _extended(opening: Opening, key: str) -> Opening:
    """The opening and two more moves, uniformly drawn; fewer if the game ended with one."""
    draws = random.Random(key)
    position = Position.from_sfen(opening.start)
    for move in opening.moves:
        position.push(move)
    for _ in range(_FURTHER_PLIES):
        position.push(draws.choice(position.legal_moves()))
        if position.outcome() is not None:
            position.pop()
            break
    return Opening(opening.start, tuple(position.moves))
