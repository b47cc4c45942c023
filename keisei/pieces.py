"""Pieces as SFEN writes them, and as people read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

KANJI = {
    "P": "歩", "L": "香", "N": "桂", "S": "銀", "G": "金", "B": "角", "R": "飛", "K": "玉",
    "+P": "と", "+L": "杏", "+N": "圭", "+S": "全", "+B": "馬", "+R": "龍",
    "k": "王",
}  # fmt: skip
"""One character for each piece; white's are those of black, but for the king"""

_MOVE = re.compile(r"(?:([1-9][a-i])|[PLNSBRG]\*)([1-9][a-i])\+?")


class Piece(NamedTuple):
    """A man of the board or a hand in SFEN letters: capitals are black's, `+` is promoted."""

    letters: str

    @property
    def is_white(self) -> bool:
        """Whose it is."""
        return self.letters[-1].islower()

    @property
    def is_promoted(self) -> bool:
        """Whether it is promoted."""
        return self.letters[0] == "+"

    @property
    def kanji(self) -> str:
        """The one character that it is shown by."""
        return KANJI.get(self.letters) or KANJI[self.letters.upper()]


def board_pieces(board: str) -> Iterator[tuple[int, int, Piece]]:
    """Yields (column from the left, row from the top, piece) of an SFEN board field."""
    for row, rank in enumerate(board.split("/")):
        column = 0
        for token in re.findall(r"\+?[A-Za-z]|[1-9]", rank):
            if token.isdigit():
                column += int(token)
            else:
                yield column, row, Piece(token)
                column += 1


def hand_pieces(hands: str) -> Iterator[tuple[Piece, int]]:
    """Yields (piece, how many) of an SFEN field of hands; `-` has none."""
    for count, letter in re.findall(r"(\d*)([A-Za-z])", hands):
        yield Piece(letter), int(count or 1)


def squares_of(move: str | None) -> tuple[str | None, str | None]:
    """Where a move in USI came from (None: a hand) and went to; (None, None) if there is none."""
    found = _MOVE.fullmatch(move or "")
    return (found[1], found[2]) if found else (None, None)
