"""Pawns dropped on the head of the king: legal unless they mate, by brute force."""

from __future__ import annotations

import random

import pytest
from oracles.text import drop_on, sfen_of

from keisei import Position

PIECES = "RBGGSSNNLLPPPP"
PROMOTED = "RBSNLP"


def king_square(sfen: str) -> tuple[int, int]:
    """File and rank of white's king."""
    for rank, row in enumerate(sfen.split()[0].split("/"), start=1):
        file = 9
        for letter in row.replace("+", ""):
            if letter == "k":
                return file, rank
            file -= int(letter) if letter.isdigit() else 1
    raise AssertionError(f"no white king in {sfen}")


def expect_legal_unless_it_mates(sfen: str) -> bool | None:
    """Whether the drop mates; None where it is no move for another reason."""
    file, rank = king_square(sfen)
    usi = f"P*{file}{'abcdefghi'[rank]}"
    try:
        after = Position.from_sfen(drop_on(sfen, usi))
    except ValueError:  # black would be left in check, or have two pawns on the file
        assert not Position.from_sfen(sfen).is_legal(usi), f"{usi} is not legal in {sfen}"
        return None
    mates = not after.legal_moves()
    assert Position.from_sfen(sfen).is_legal(usi) != mates, f"{usi} mates: {mates}, in {sfen}"
    return mates


# Each needs a part of the proof that the king has a flight.
TELLING = (
    "8k/2G3K2/8B/6BR1/6+r1+N/9/9/9/5+P3 b P 1",  # a pinned slider
    "9/9/8+R/9/9/9/k1K6/1N7/bS1N5 b P 1",  # a pinned knight
    "kpK6/9/pB1Gg1ss1/6n2/1L1+R2B2/2+n3r2/9/8s/9 b P 1",  # the mover's own king
    "2g3k2/3+P3L1/3B1+lG+s1/s2+p5/4+SL3/G4r3/7R1/3K5/9 b P 1",  # a lance to the last rank
)


@pytest.mark.parametrize("sfen", TELLING)
def test_telling_positions(sfen: str) -> None:
    assert expect_legal_unless_it_mates(sfen) is not None


def cramped(choose: random.Random) -> str | None:
    """Two kings and up to fourteen pieces, most near white's king; a pawn in black's hand."""
    king = (choose.randint(1, 9), choose.choice((1, 1, 2, 3, 5)))
    board = {king: "k"}
    while len(board) < 2:
        board[(choose.randint(1, 9), choose.randint(1, 9))] = "K"
    for piece in choose.sample(PIECES, choose.randint(3, len(PIECES))):
        near = choose.random() < 0.8
        file = king[0] + choose.randint(-2, 2) if near else choose.randint(1, 9)
        rank = king[1] + choose.randint(-2, 3) if near else choose.randint(1, 9)
        if not (1 <= file <= 9 and 1 <= rank <= 9) or (file, rank) in board:
            continue
        if (file, rank) == (king[0], king[1] + 1):
            continue
        letter = piece if choose.random() < 0.7 else piece.lower()
        promoted = piece in PROMOTED and choose.random() < 0.4
        board[(file, rank)] = f"+{letter}" if promoted else letter
    return sfen_of(board, "b", {"P": 1}, 1)


def test_random_cramped_positions() -> None:
    choose = random.Random(3)
    mates = others = 0
    for _ in range(60_000):
        sfen = cramped(choose)
        try:
            Position.from_sfen(sfen)
        except ValueError:  # white in check, a pawn that cannot move, two on a file
            continue
        found = expect_legal_unless_it_mates(sfen)
        mates += found is True
        others += found is False
    assert mates > 50 and others > 1000, (mates, others)
