"""Moves are written as people write them."""

from __future__ import annotations

import pytest

from keisei import Position
from keisei.evaluation.game_record import START_SFEN
from keisei.report.notation import board_of, write_move


def test_the_first_board() -> None:
    board = board_of(START_SFEN)
    assert len(board) == 40
    assert (board["5i"], board["5a"], board["2h"], board["8b"]) == ("K", "k", "R", "r")
    assert board_of("8k/9/9/4+P4/9/9/9/9/K8 b - 1") == {"1a": "k", "5d": "+P", "9i": "K"}


@pytest.mark.parametrize(
    ("sfen", "move", "japanese", "letters"),
    [
        (START_SFEN, "7g7f", "☗７六歩(77)", "P7g-7f"),
        ("k8/9/9/9/9/9/9/1B5r1/K8 b - 1", "8h2b+", "☗２二角成(88)", "B8h-2b+"),
        ("k6r1/9/9/9/9/9/9/7R1/K8 b - 1", "2h2a+", "☗２一飛成(28)", "R2hx2a+"),
        ("k8/9/9/9/9/9/9/9/K8 w p 1", "P*5e", "☖５五歩打", "P*5e"),
        ("k8/9/9/9/9/9/9/4+s4/K8 w - 1", "5h5i", "☖５九成銀(58)", "+S5h-5i"),
    ],
)
def test_moves(sfen: str, move: str, japanese: str, letters: str) -> None:
    position = Position.from_sfen(sfen)
    assert position.is_legal(move)
    assert write_move(position, move) == (japanese, letters)
