"""Draws a position as pixels, with letters for the pieces: for where no Japanese font may be.

Black's pieces point up, white's down; promoted ones are red and have a ``+``, as in SFEN.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keisei.pieces import Piece, board_pieces, hand_pieces, squares_of

_CELL = 40
_BOARD = 9 * _CELL
_STAND = 58
_MARGIN = 14
_TOP = 44
_LEFT = _MARGIN + _STAND + _MARGIN
_WIDTH = _LEFT + _BOARD + 22 + _STAND + _MARGIN
_HEIGHT = _TOP + _BOARD + _MARGIN
_FINER = 3  # drawn so many times as large, then made small: smooth edges

_PAPER, _WOOD, _LINE, _INK = (250, 244, 230), (232, 192, 122), (96, 70, 32), (29, 23, 16)
_PIECE, _RED, _MOVED, _STANDS = (255, 240, 208), (179, 38, 30), (247, 236, 155), (240, 226, 196)
# Half width and height of a piece, in cells: a house with a pointed roof.
_OUTLINE = ((0.0, -0.44), (0.27, -0.32), (0.36, 0.42), (-0.36, 0.42), (-0.27, -0.32))
_HAND_ORDER = "RBGSNLP"

Color = tuple[int, int, int]


@functools.cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size * _FINER)


class _Sheet:
    """A picture that is drawn on in its final coordinates."""

    def __init__(self) -> None:
        from PIL import Image, ImageDraw

        self._image = Image.new("RGB", (_WIDTH * _FINER, _HEIGHT * _FINER), _PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def box(self, x: float, y: float, width: float, height: float, fill: Color) -> None:
        """A filled rectangle from its upper left corner."""
        self._draw.rectangle(
            [x * _FINER, y * _FINER, (x + width) * _FINER - 1, (y + height) * _FINER - 1], fill
        )

    def line(self, ends: tuple[float, float, float, float], width: float = 1.0) -> None:
        """A line of the grid."""
        self._draw.line([end * _FINER for end in ends], _LINE, round(width * _FINER))

    def shape(self, points: list[tuple[float, float]], fill: Color) -> None:
        """A filled polygon with an edge."""
        scaled = [(x * _FINER, y * _FINER) for x, y in points]
        self._draw.polygon(scaled, fill=fill, outline=_LINE, width=_FINER)

    def text(
        self, x: float, y: float, text: str, size: int, fill: Color = _INK, anchor: str = "mm"
    ) -> None:
        """Some letters; ``anchor`` as Pillow has it."""
        self._draw.text((x * _FINER, y * _FINER), text, fill=fill, font=_font(size), anchor=anchor)

    def pixels(self) -> NDArray[np.uint8]:
        """The picture, uint8 [H, W, 3]."""
        return np.asarray(self._image.reduce(_FINER), dtype=np.uint8)


def _piece(sheet: _Sheet, x: float, y: float, piece: Piece, cell: float = _CELL) -> None:
    letters, side = piece.letters, -1 if piece.is_white else 1
    sheet.shape([(x + side * a * cell, y + side * b * cell) for a, b in _OUTLINE], _PIECE)
    fill = _RED if piece.is_promoted else _INK
    size = round(cell * (0.42 if len(letters) > 1 else 0.5))
    sheet.text(x, y + side * 0.06 * cell, letters.upper(), size, fill)


def _stand(sheet: _Sheet, hand: dict[str, int], white: bool, to_move: bool) -> None:
    """White's pieces in hand at the upper left, black's at the lower right, as players sit."""
    height = 30 + 7 * 36
    x = _MARGIN if white else _LEFT + _BOARD + 22
    y = _TOP if white else _TOP + _BOARD - height
    sheet.box(x, y, _STAND, height, _STANDS)
    name = "white" if white else "black"
    sheet.text(x + _STAND / 2, y + 14, name, 14, _RED if to_move else _INK)
    held = [(letter, hand[letter]) for letter in _HAND_ORDER if letter in hand]
    for place, (letter, count) in enumerate(held):
        cy = y + 46 + 36 * place
        _piece(sheet, x + 19, cy, Piece(letter.lower() if white else letter), 34)
        if count > 1:
            sheet.text(x + 45, cy, str(count), 15)


def board_image(sfen: str, last_move: str | None = None, title: str = "") -> NDArray[np.uint8]:
    """The position of an SFEN as a picture, uint8 [H, W, 3]: some 520 x 420 pixels.

    The squares of ``last_move`` (USI) are coloured, the side to move is named in red, and ``title``
    stands above.
    """
    board, side, hands = sfen.split(" ")[:3]
    sheet = _Sheet()
    sheet.text(_MARGIN, 12, title, 15, anchor="lm")
    sheet.box(_LEFT, _TOP, _BOARD, _BOARD, _WOOD)
    for square in squares_of(last_move):
        if square is not None:
            x = _LEFT + (9 - int(square[0])) * _CELL
            sheet.box(x, _TOP + (ord(square[1]) - ord("a")) * _CELL, _CELL, _CELL, _MOVED)
    for i in range(10):
        width = 2.0 if i in (0, 9) else 1.0
        sheet.line((_LEFT + i * _CELL, _TOP, _LEFT + i * _CELL, _TOP + _BOARD), width)
        sheet.line((_LEFT, _TOP + i * _CELL, _LEFT + _BOARD, _TOP + i * _CELL), width)
    for i in range(9):
        middle = (i + 0.5) * _CELL
        sheet.text(_LEFT + middle, _TOP - 11, str(9 - i), 13, _LINE)
        sheet.text(_LEFT + _BOARD + 11, _TOP + middle, chr(ord("a") + i), 13, _LINE)
    for column, row, piece in board_pieces(board):
        _piece(sheet, _LEFT + (column + 0.5) * _CELL, _TOP + (row + 0.5) * _CELL, piece)
    for white in (True, False):
        held = hand_pieces(hands)
        own = {piece.letters.upper(): n for piece, n in held if piece.is_white == white}
        _stand(sheet, own, white, (side == "w") == white)
    return sheet.pixels()
