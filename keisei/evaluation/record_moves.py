"""What the writers of game records share: moves with all that is said of them, and scores."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from keisei.evaluation.game_record import GameRecord

_CP = 600.0
"""centipawns of one natural unit of log odds"""
_CP_MOST = 9999

RANKS = "abcdefghi"


def centipawns(value: float) -> int:
    """The score of an expected result in [-1, 1], as ``keisei_play`` gives it."""
    if abs(value) >= 1:
        return int(math.copysign(_CP_MOST, value))
    return max(-_CP_MOST, min(_CP_MOST, round(_CP * 2 * math.atanh(value))))


def value_of_centipawns(score: float) -> float:
    """The expected result in [-1, 1] of a score: tanh(cp / 1200)."""
    return math.tanh(score / (2 * _CP))


class Move(NamedTuple):
    """A move with what the formats say of it."""

    ply: int
    """from 1"""
    is_white: bool
    piece: str
    """in capitals, ``+`` before what was promoted already; of a drop the piece dropped"""
    source: str
    """the square it comes from in USI, empty for a drop"""
    target: str
    promotes: bool
    repeats_target: bool
    """whether the move before went to the same square"""
    seconds: int | None
    total: int
    """the mover's seconds up to here"""
    score: int | None
    """in centipawns, black's"""


def moves_of(game: GameRecord) -> Iterator[Move]:
    """Raises ValueError at an illegal move."""
    board = board_of(game.start)
    totals = [0, 0]
    last = ""
    positions = game.positions()
    next(positions)
    for i, (usi, _) in enumerate(zip(game.moves, positions, strict=True)):
        is_white = white_moves(game, i)
        target, promotes = usi[2:4], usi.endswith("+")
        drop = usi[1] == "*"
        piece = usi[0] if drop else board.pop(usi[:2]).upper()
        board[target] = f"+{piece}" if promotes else piece
        seconds = int(game.seconds[i]) if game.seconds else None
        totals[is_white] += seconds or 0
        value = game.values[i] if game.values else None
        score = None if value is None else centipawns(-value if is_white else value)
        yield Move(
            i + 1, is_white, piece, "" if drop else usi[:2], target, promotes, last == target,
            seconds, totals[is_white], score,
        )  # fmt: skip
        last = target


def board_of(sfen: str) -> dict[str, str]:
    """The pieces of an SFEN by square, in its letters."""
    board = {}
    for rank, row in zip(RANKS, sfen.split(" ")[0].split("/"), strict=True):
        file = 9
        for token in re.findall(r"\+?[A-Za-z]|[1-9]", row):
            if token.isdigit():
                file -= int(token)
            else:
                board[f"{file}{rank}"] = token
                file -= 1
    return board


def hand_of(sfen: str, white: bool) -> list[tuple[str, int]]:
    """Pieces in hand in capitals with their numbers, strongest first."""
    found = re.findall(r"(\d*)([A-Za-z])", sfen.split(" ")[2])
    held = {letter.upper(): int(n or 1) for n, letter in found if letter.islower() == white}
    return [(piece, held[piece]) for piece in "RBGSNLP" if piece in held]


def white_moves(game: GameRecord, ply: int) -> bool:
    """Whether white is to move after so many plies."""
    return (game.start.split(" ")[1] == "w") != (ply % 2 == 1)


def note_of(game: GameRecord) -> str:
    """The comment that holds what the formats have no words for."""
    rest: dict[str, Any] = {"ending": game.ending}
    if game.opening_plies:
        rest["opening_plies"] = game.opening_plies
    return f"keisei {json.dumps(rest)}"


def slashes(date: str) -> str:
    """``2026-11-22T20:15:00`` as both formats have it, ``2026/11/22 20:15:00``."""
    try:
        when = datetime.fromisoformat(date)
    except ValueError as error:
        raise ValueError(f"date: expected ISO 8601, got {date!r}") from error
    return when.strftime("%Y/%m/%d" if len(date) <= 10 else "%Y/%m/%d %H:%M:%S")


def mover_won(game: GameRecord, white_to_move: bool) -> bool:
    """Whether who was to move at the end won."""
    return game.winner == ("white" if white_to_move else "black")
