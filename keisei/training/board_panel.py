"""The board of one live game on a terminal.

Black's pieces are black; white's, which stand upside down on a real board, are blue with a small
``v`` before them, as in Japanese text diagrams. Promoted pieces are red. The square that the last
move went to is bright, the one it came from a little less.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.segment import Segment

from keisei.pieces import Piece, board_pieces, hand_pieces, squares_of
from keisei.training.blocks import Block, Line, fit, segment, sized, text_line
from keisei.training.live_game import LiveGame

SMALL = (30, 13)
"""Cells of the compact board: width, height"""
LARGE = (48, 23)
"""Cells of the board with lines"""

_WOOD, _FROM, _TO = "#dfb873", "#f0d98a", "#fff3a0"
_LINES = f"#8a6630 on {_WOOD}"
_ENDINGS = {
    "no_legal_move": "no legal move",
    "declaration": "by declaration",
    "repetition": "repetition",
    "perpetual_check": "perpetual check",
    "move_limit": "cut off at the move limit",
}


def board_block(game: LiveGame | None, *, large: bool, ascii_only: bool = False) -> Block:
    """The board, both hands and a line on the last move and the value; ``SMALL`` or ``LARGE``."""
    width, height = LARGE if large else SMALL
    if game is None:
        waiting = text_line("no game is watched yet", width, "dim")
        return sized([[], waiting], width, height)
    board, side, hands, _ = game.sfen.split(" ")
    pieces = {(column, row): piece for column, row, piece in board_pieces(board)}
    in_hand = [] if hands == "-" else list(hand_pieces(hands))
    cells = _Cells(pieces, *squares_of(game.last_move), ascii_only)
    rows = _large(cells) if large else _small(cells)
    lines = [
        _hand(in_hand, white=True, to_move=side == "w", ascii_only=ascii_only),
        *rows,
        _hand(in_hand, white=False, to_move=side == "b", ascii_only=ascii_only),
        _about(game, side, width, ascii_only),
    ]
    return sized(lines, width, height)


class _Cells:
    """What stands on each square, as text of three cells and its style."""

    def __init__(
        self,
        pieces: dict[tuple[int, int], Piece],
        came_from: str | None,
        went_to: str | None,
        ascii_only: bool,
    ) -> None:
        self._pieces = pieces
        self._from, self._to = came_from, went_to
        self.ascii_only = ascii_only

    def __call__(self, column: int, row: int) -> Segment:
        square = f"{9 - column}{chr(ord('a') + row)}"
        ground = _TO if square == self._to else _FROM if square == self._from else _WOOD
        piece = self._pieces.get((column, row))
        if piece is None:
            dot = " . " if self.ascii_only else " · "
            return segment(dot, f"#a98a4f on {ground}")
        text, colour = shown(piece, self.ascii_only)
        bold = "bold " if square == self._to else ""
        return segment(text, f"{bold}{colour} on {ground}")


def shown(piece: Piece, ascii_only: bool) -> tuple[str, str]:
    """A piece in three cells, and its colour."""
    colour = "#b3261e" if piece.is_promoted else "#123f9c" if piece.is_white else "#1d1710"
    if ascii_only:
        return f"{piece.letters:>2} ", colour
    return f"{'v' if piece.is_white else ' '}{piece.kanji}", colour


def _small(cells: _Cells) -> Iterator[Line]:
    """Ten lines of 30 cells: files, then a line for each rank."""
    yield [segment("".join(f" {9 - column} " for column in range(9)), "dim")]
    for row in range(9):
        rank = chr(ord("a") + row)
        yield [*(cells(column, row) for column in range(9)), segment(f" {rank}", "dim")]


def _large(cells: _Cells) -> Iterator[Line]:
    """Twenty lines of 48 cells: files, then a line for each rank between lines."""
    across, down = ("-", "|") if cells.ascii_only else ("─", "│")

    def ruled(left: str, cross: str, right: str) -> Line:
        if cells.ascii_only:
            left = cross = right = "+"
        return [segment(left + cross.join([across * 4] * 9) + right, _LINES)]

    yield [segment("".join(f"  {9 - column}  " for column in range(9)), "dim")]
    yield ruled("┌", "┬", "┐")
    for row in range(9):
        line = [segment(down, _LINES)]
        for column in range(9):
            cell = cells(column, row)
            line += [cell, Segment(" ", cell.style), segment(down, _LINES)]
        yield [*line, segment(f" {chr(ord('a') + row)}", "dim")]
        if row < 8:
            yield ruled("├", "┼", "┤")
    yield ruled("└", "┴", "┘")


def _hand(
    in_hand: list[tuple[Piece, int]], *, white: bool, to_move: bool, ascii_only: bool
) -> Line:
    signs = ("w", "b") if ascii_only else ("▽", "▲")
    line = [segment(f"{signs[0 if white else 1]} ", "bold green" if to_move else "dim")]
    own = [(piece, count) for piece, count in in_hand if piece.is_white == white]
    for piece, count in own:
        name = piece.letters.upper() if ascii_only else piece.kanji
        line.append(segment(name, "bold"))
        line.append(segment(f"{count} " if count > 1 else " ", "dim"))
    return line if own else [*line, segment("-", "dim")]


def _about(game: LiveGame, side: str, width: int, ascii_only: bool) -> Line:
    """The last move, and who is expected to win; or who has won, and how."""
    last = game.last_move or ("-" if game.ply else "start")
    move = [segment(f"{last} ", "bold")]
    if game.ending is not None:
        text = _ENDINGS.get(game.ending, game.ending)
        result = f"{game.winner} won" if game.winner else "nobody won"
        return fit([*move, segment(f"{result}: {text}", "bold magenta")], width)
    if game.value is None:
        return fit(move, width)
    mover = "black" if side == "b" else "white"
    if game.value != game.value:
        return fit([*move, segment(f"{mover} nan", "bold red")], width)
    for_black = game.value if side == "b" else -game.value
    cells = 8
    full = max(0, min(cells, round((1 + for_black) / 2 * cells)))
    black, white = ("#", ".") if ascii_only else ("█", "░")
    return fit(
        [
            *move,
            segment("black ", "dim"),
            segment(black * full + white * (cells - full), "cyan"),
            segment(f" {for_black:+.2f}", "bold"),
        ],
        width,
    )
