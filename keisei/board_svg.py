"""Draws a position as a standalone SVG picture.

`Position._repr_svg_` calls this, so a position shows itself as a board in a notebook. The picture
needs nothing but a font with Japanese characters where it is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keisei.pieces import Piece, board_pieces, hand_pieces, squares_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keisei._core import Position

_CELL = 50
_BOARD = 9 * _CELL
_PANEL = 92
_GAP = 34
_MARGIN = 16
_LEFT = _MARGIN + _PANEL + _GAP
_TOP = _MARGIN + 22
_WIDTH = _LEFT + _BOARD + _GAP + _PANEL + _MARGIN
_HEIGHT = _TOP + _BOARD + _MARGIN + 6

# Strong pieces are cut larger, as on a real board.
_SCALE = {"P": 0.86, "L": 0.9, "N": 0.92, "S": 0.96, "G": 0.96, "B": 1.0, "R": 1.0, "K": 1.04}

_FONTS = (
    "'Noto Serif CJK JP','Noto Serif JP','Hiragino Mincho ProN','Yu Mincho',YuMincho,"
    "'IPAexMincho','IPAMincho','MS PMincho',serif"
)
# A notebook puts the picture into its page, so every name in it has a prefix of its own.
_SANS = "ui-sans-serif,'Helvetica Neue',Arial,sans-serif"
_STYLE = f"""
.keisei-man{{font:600 27px {_FONTS};fill:#1d1710;text-anchor:middle}}
.keisei-promoted{{fill:#b3261e}}
.keisei-edge{{font:600 13px {_SANS};fill:#6b5637;text-anchor:middle}}
.keisei-hand{{font:600 16px {_SANS};fill:#3a2d1a}}
"""

_MAN = "M0-21 13.5-15.5 18.5 20.5H-18.5L-13.5-15.5Z"
_DEFS = f"""
<linearGradient id="keisei-wood" x1="0" y1="0" x2="1" y2="1">
<stop offset="0" stop-color="#efcb8b"/><stop offset="1" stop-color="#e2b66c"/></linearGradient>
<linearGradient id="keisei-ivory" x1="0" y1="0" x2="0.35" y2="1">
<stop offset="0" stop-color="#fff3d4"/><stop offset="1" stop-color="#f3d9a2"/></linearGradient>
<g id="keisei-man"><path d="{_MAN}" transform="translate(1.2 1.8)" fill="#5a3f17" opacity=".32"/>
<path d="{_MAN}" fill="url(#keisei-ivory)" stroke="#8a6630" stroke-linejoin="round"/></g>
"""


def _piece(x: float, y: float, piece: Piece) -> str:
    scale = _SCALE[piece.letters[-1].upper()]
    turn = " rotate(180)" if piece.is_white else ""
    style = "keisei-man keisei-promoted" if piece.is_promoted else "keisei-man"
    return (
        f'<g transform="translate({x:g} {y:g}){turn} scale({scale:g})"><use href="#keisei-man"/>'
        f'<text class="{style}" y="12.5">{piece.kanji}</text></g>'
    )


def _square_rect(square: str, fill: str) -> str:
    """Colours one square, named as in USI (`7g`)."""
    x = _LEFT + (9 - int(square[0])) * _CELL
    y = _TOP + (ord(square[1]) - ord("a")) * _CELL
    return f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="{fill}"/>'


def _grid() -> Iterator[str]:
    lines = "".join(
        f"M{_LEFT + i * _CELL} {_TOP}v{_BOARD}M{_LEFT} {_TOP + i * _CELL}h{_BOARD}"
        for i in range(1, 9)
    )
    yield f'<path d="{lines}" stroke="#6d4f22" stroke-width="1" fill="none"/>'
    yield (
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_BOARD}" height="{_BOARD}" fill="none" '
        'stroke="#4a3414" stroke-width="2.2"/>'
    )
    for column in (3, 6):
        for row in (3, 6):
            x, y = _LEFT + column * _CELL, _TOP + row * _CELL
            yield f'<circle cx="{x}" cy="{y}" r="3.2" fill="#4a3414"/>'
    for i in range(9):
        x = _LEFT + i * _CELL + _CELL // 2
        yield f'<text class="keisei-edge" x="{x}" y="{_TOP - 9}">{9 - i}</text>'
        y = _TOP + i * _CELL + _CELL // 2 + 5
        rank = chr(ord("a") + i)
        yield f'<text class="keisei-edge" x="{_LEFT + _BOARD + 14}" y="{y}">{rank}</text>'


def _hand_panel(pieces: list[tuple[Piece, int]], white: bool, to_move: bool) -> Iterator[str]:
    """White's stand is at the upper left, black's at the lower right, as players sit."""
    height = 46 + 44 * 7
    x = _MARGIN if white else _LEFT + _BOARD + _GAP
    y = _TOP if white else _TOP + _BOARD - height
    edge, width = ("#2f6f52", 3) if to_move else ("#8a6630", 1)
    yield (
        f'<rect x="{x}" y="{y}" width="{_PANEL}" height="{height}" rx="7" fill="url(#keisei-wood)" '
        f'stroke="{edge}" stroke-width="{width:g}"/>'
    )
    fill = "#fbf6ea" if white else "#1d1710"
    yield (
        f'<circle cx="{x + 20}" cy="{y + 22}" r="7" fill="{fill}" stroke="#1d1710" '
        f'stroke-width="1.4"/><text class="keisei-hand" x="{x + 34}" y="{y + 28}">'
        f"{'white' if white else 'black'}</text>"
    )
    for slot, (piece, count) in enumerate(pieces):
        cy = y + 62 + 44 * slot
        yield _piece(x + 29, cy, piece)
        if count > 1:
            yield f'<text class="keisei-hand" x="{x + 54}" y="{cy + 7}">&#215; {count}</text>'


def board_svg(position: Position) -> str:
    """The position as one SVG document (text of an `<svg>` element).

    Black sits below. The squares of the last move are coloured, a king in check stands on red, and
    the stand of the side to move has a green edge.
    """
    sfen = position.sfen()
    board, side, hands, number = sfen.split(" ")
    pieces = list(board_pieces(board))
    in_hand = [] if hands == "-" else list(hand_pieces(hands))
    to_move = "black" if side == "b" else "white"
    title = f"Shogi position, move {number}, {to_move} to move: {sfen}"

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'width="{_WIDTH}" height="{_HEIGHT}" role="img"><title>{title}</title>'
        ),
        f"<style>{_STYLE}</style><defs>{_DEFS}</defs>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="12" fill="#faf4e6"/>',
        (
            f'<rect x="{_LEFT}" y="{_TOP}" width="{_BOARD}" height="{_BOARD}" '
            'fill="url(#keisei-wood)"/>'
        ),
    ]
    last = squares_of(position.last_move)
    parts += [_square_rect(square, "#f7ec9b") for square in last if square]
    if position.in_check:
        king = "K" if side == "b" else "k"
        parts += [
            _square_rect(f"{9 - column}{chr(ord('a') + row)}", "#ef8f7d")
            for column, row, piece in pieces
            if piece.letters == king
        ]
    parts += _grid()
    parts += [
        _piece(_LEFT + column * _CELL + _CELL / 2, _TOP + row * _CELL + _CELL / 2, piece)
        for column, row, piece in pieces
    ]
    for white in (True, False):
        own = [(piece, count) for piece, count in in_hand if piece.is_white == white]
        parts += _hand_panel(own, white, (side == "w") == white)
    return "\n".join(parts) + "\n</svg>\n"
