"""A board of kanji whose columns stand below each other."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from keisei import Position
from keisei.training.blocks import Block, plain
from keisei.training.board_panel import LARGE, SMALL, board_block
from keisei.training.live_game import LiveGame

FULL = "l6nl/5+P1gk/2np1S3/p1p4Pp/3P2Sp1/1PPb2P1P/P5GS1/R8/LN4bKL w GR5pnsg 63"


def game(sfen: str = FULL, **others: object) -> LiveGame:
    given = {"last_move": "2h7h", "value": 0.3, "ply": 62, "slot": 4} | others
    return LiveGame(sfen, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("view", [None, game(), game(Position().sfen(), last_move=None, ply=0)])
def test_every_line_has_the_width(large: bool, ascii_only: bool, view: LiveGame | None) -> None:
    width, height = LARGE if large else SMALL
    block = board_block(view, large=large, ascii_only=ascii_only)
    lines = list(plain(block))
    assert len(lines) == height and {cell_len(line) for line in lines} == {width}
    if ascii_only:
        assert all(line.isascii() for line in lines)


def test_the_start_position() -> None:
    start = game(Position().sfen(), last_move=None, ply=0)
    assert list(plain(board_block(start, large=False))) == [
        "▽ -                           ",
        " 9  8  7  6  5  4  3  2  1    ",
        "v香v桂v銀v金v王v金v銀v桂v香 a ",
        " · v飛 ·  ·  ·  ·  · v角 ·  b ",
        "v歩v歩v歩v歩v歩v歩v歩v歩v歩 c ",
        " ·  ·  ·  ·  ·  ·  ·  ·  ·  d ",
        " ·  ·  ·  ·  ·  ·  ·  ·  ·  e ",
        " ·  ·  ·  ·  ·  ·  ·  ·  ·  f ",
        " 歩 歩 歩 歩 歩 歩 歩 歩 歩 g ",
        " ·  角 ·  ·  ·  ·  ·  飛 ·  h ",
        " 香 桂 銀 金 玉 金 銀 桂 香 i ",
        "▲ -                           ",
        "start black █████░░░ +0.30    ",
    ]  # fmt: skip


def cells(block: Block) -> str:
    return "\n".join(plain(block))


def test_hands_the_promoted_and_the_value_for_black() -> None:
    text = cells(board_block(game(), large=False))
    assert "▽ 歩5 桂 銀 金 " in text and "▲ 金 飛 " in text
    assert "と · v金v王" in text and "v角 玉 香" in text, "white has the king of the higher name"
    assert "2h7h black ███░░░░░ -0.30" in text, "the value is the mover's, and white is to move"


def styles(block: Block, large: bool) -> dict[str, str]:
    """The background of each square by its name."""
    found = {}
    lines = block[2:11] if not large else block[3:20:2]
    for row, line in enumerate(lines):
        column, x = 0, 0
        for part in line:
            for character in part.text:
                inside = x % 5 == 2 if large else x % 3 == 1
                if inside and column < 9 and part.style is not None and part.style.bgcolor:
                    found[f"{9 - column}{chr(97 + row)}"] = part.style.bgcolor.name
                    column += 1
                x += cell_len(character)
    return found


@pytest.mark.parametrize("large", [False, True])
def test_the_last_move_is_marked(large: bool) -> None:
    grounds = styles(board_block(game(last_move="2h7h"), large=large), large)
    assert len(grounds) == 81
    usual = grounds["5e"]
    assert {name for name, ground in grounds.items() if ground != usual} == {"2h", "7h"}
    assert grounds["2h"] != grounds["7h"]
    dropped = styles(board_block(game(last_move="P*4d"), large=large), large)
    assert {name for name, ground in dropped.items() if ground != usual} == {"4d"}


@pytest.mark.parametrize(
    ("ending", "winner", "text"),
    [
        ("no_legal_move", "white", "white won: no legal move"),
        ("repetition", None, "nobody won: repetition"),
        ("move_limit", None, "nobody won: cut off"),
    ],
)
def test_how_it_ended(ending: str, winner: str | None, text: str) -> None:
    shown = cells(board_block(game(value=None, ending=ending, winner=winner), large=True))
    assert text in shown


def test_a_value_that_is_no_number_is_shown_as_such() -> None:
    assert "nan" in cells(board_block(game(value=float("nan")), large=False))
