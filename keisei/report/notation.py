"""Moves as people write them: Japanese with the origin in brackets (as KIF has it), and letters."""

from __future__ import annotations

from typing import NamedTuple

from keisei import Position

_FILES = "１２３４５６７８９"
_RANKS = "一二三四五六七八九"
_NAMES = {
    "P": "歩", "L": "香", "N": "桂", "S": "銀", "G": "金", "B": "角", "R": "飛", "K": "玉",
    "+P": "と", "+L": "成香", "+N": "成桂", "+S": "成銀", "+B": "馬", "+R": "龍",
}  # fmt: skip


class Written(NamedTuple):
    """A move in two ways."""

    japanese: str
    """such as ☗７六歩(77)"""
    letters: str
    """such as P7g-7f, Bx2b+, P*5e"""


def board_of(sfen: str) -> dict[str, str]:
    """The pieces of an SFEN by square: ``{"5i": "K", "2b": "b", "7c": "+p"}``."""
    pieces = {}
    for rank, row in zip("abcdefghi", sfen.split(" ", 1)[0].split("/"), strict=True):
        file, promoted = 9, ""
        for character in row:
            if character == "+":
                promoted = "+"
            elif character.isdigit():
                file -= int(character)
            else:
                pieces[f"{file}{rank}"] = promoted + character
                file, promoted = file - 1, ""
    return pieces


def write_move(position: Position, usi: str) -> Written:
    """A legal move of a position."""
    mark = "☗☖"[position.turn]
    to = usi[2:4]
    place = _FILES[int(to[0]) - 1] + _RANKS["abcdefghi".index(to[1])]
    if usi[1] == "*":
        return Written(f"{mark}{place}{_NAMES[usi[0]]}打", usi[:4])
    board = board_of(position.sfen())
    piece = board[usi[:2]].upper()
    rank = 1 + "abcdefghi".index(usi[1])
    promotes = usi.endswith("+")
    between = "x" if to in board else "-"
    return Written(
        f"{mark}{place}{_NAMES[piece]}{'成' if promotes else ''}({usi[0]}{rank})",
        f"{piece}{usi[:2]}{between}{to}{'+' if promotes else ''}",
    )
