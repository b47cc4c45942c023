"""USI moves in and out."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keisei

KINGS = "4k4/9/9/9/9/9/9/9/4K4"

MALFORMED = [
    "", "7", "7g7", "7g7f7", "7g7f++", "7g7f=", "7g7f ", " 7g7f", "7g 7f", "7G7F", "0g7f", "7j7f",
    "7g7j", "7g0f", "g7f7", "76P", "P*", "P*5", "P*5e+", "p*5e", "K*5e", "+P*5e", "*5e", " *5e",
    "X*5e", "P5e", "PP5e", "P*55", "P*e5", "resign", "win", "none", "0000", "(none)", "\uff17g7f",
    "7g7f\n", "7g7f\x00",
]  # fmt: skip


@pytest.mark.parametrize("usi", MALFORMED)
def test_text_that_is_no_move_is_refused(usi: str) -> None:
    position = keisei.Position()
    for use in (position.push, position.label, position.is_legal):
        with pytest.raises(ValueError, match=r"^move: .* is not a USI move, expected for example"):
            use(usi)
    assert position == keisei.Position()
    assert position.moves == []


@pytest.mark.parametrize(
    ("sfen", "usi", "reason"),
    [
        (f"{KINGS} b R 1", "P*5e", "there is no such piece in hand"),
        (f"{KINGS} b R 1", "R*5i", "5i is not empty"),
        (f"{KINGS} w r 1", "R*5a", "5a is not empty"),
        (f"{KINGS} b - 1", "1a1b", "1a is empty"),
        (f"{KINGS} w - 1", "1a1b", "1a is empty"),
        (f"{KINGS} b - 1", "5a5b", "the piece on 5a is the opponent's"),
        (f"{KINGS} w - 1", "5i5h", "the piece on 5i is the opponent's"),
        ("4k4/9/9/9/9/9/9/4P4/4K4 b - 1", "5i5h", "an own piece stands on 5h"),
        ("8k/G8/9/9/9/9/9/9/4K4 b - 1", "9b9a+", "the piece on 9b does not promote"),
        ("4k4/9/9/9/4r4/9/9/8P/4K4 b - 1", "1h1g", "the king is in check"),
        # A label of this direction and square is legal, but for the nearer piece.
        ("8k/9/9/9/9/9/9/9/R1R1K4 b - 1", "9i6i", None),
        ("8k/9/9/9/R8/9/9/9/R3K4 b - 1", "9i9d", None),
        ("4k4/9/9/9/9/9/4P4/9/4K4 b P 1", "P*5e", None),
        # No piece travels so.
        (f"{KINGS} b - 1", "5i4f", None),
        (f"{KINGS} b - 1", "5i5i", "an own piece stands on 5i"),
        ("8k/9/9/9/9/9/9/9/R3K4 b - 1", "9i8h", None),
        ("8k/9/9/9/P8/9/9/9/4K4 b - 1", "9e9d+", None),
    ],
)
def test_illegal_moves_say_why(sfen: str, usi: str, reason: str | None) -> None:
    position = keisei.Position.from_sfen(sfen)
    assert not position.is_legal(usi)
    where = sfen.rsplit(" ", 1)[0]
    expected = f"move: '{usi}' is not legal in '{where}'" + (f": {reason}" if reason else "")
    for use in (position.push, position.label):
        with pytest.raises(ValueError, match=r"^move: ") as caught:
            use(usi)
        assert str(caught.value) == expected
    assert position.sfen() == sfen


@pytest.mark.parametrize(
    ("sfen", "usi", "after"),
    [
        (
            "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1",
            "7g7f",
            "lnsgkgsnl/1r5b1/ppppppppp/9/9/2P6/PP1PPPPPP/1B5R1/LNSGKGSNL w - 2",
        ),
        (
            "lnsgkgsnl/1r5b1/ppppppppp/9/9/2P6/PP1PPPPPP/1B5R1/LNSGKGSNL w - 2",
            "3c3d",
            "lnsgkgsnl/1r5b1/pppppp1pp/6p2/9/2P6/PP1PPPPPP/1B5R1/LNSGKGSNL b - 3",
        ),
        (
            "lnsgkgsnl/1r5b1/pppppp1pp/6p2/9/2P6/PP1PPPPPP/1B5R1/LNSGKGSNL b - 3",
            "8h2b+",
            "lnsgkgsnl/1r5+B1/pppppp1pp/6p2/9/2P6/PP1PPPPPP/7R1/LNSGKGSNL w B 4",
        ),
        (
            "lnsgkgsnl/1r5+B1/pppppp1pp/6p2/9/2P6/PP1PPPPPP/7R1/LNSGKGSNL w B 4",
            "3a2b",
            "lnsgkg1nl/1r5s1/pppppp1pp/6p2/9/2P6/PP1PPPPPP/7R1/LNSGKGSNL b Bb 5",
        ),
        (
            "lnsgkg1nl/1r5s1/pppppp1pp/6p2/9/2P6/PP1PPPPPP/7R1/LNSGKGSNL b Bb 5",
            "B*4e",
            "lnsgkg1nl/1r5s1/pppppp1pp/6p2/5B3/2P6/PP1PPPPPP/7R1/LNSGKGSNL w b 6",
        ),
        # Drops and promotions of white; a captured promoted piece is plain in hand.
        (f"{KINGS} w n 8", "N*1a", "4k3n/9/9/9/9/9/9/9/4K4 b - 9"),
        ("4k4/9/9/9/9/9/7p1/7+P1/4K4 w - 8", "2g2h+", "4k4/9/9/9/9/9/9/7+p1/4K4 b p 9"),
    ],
)
def test_moves_in_and_out(sfen: str, usi: str, after: str) -> None:
    position = keisei.Position.from_sfen(sfen)
    assert usi in position.legal_moves()
    assert position.move(position.label(usi)) == usi
    position.push(usi)
    assert position.sfen() == after
    assert position.last_move == usi


def test_promotion_and_staying_are_two_moves() -> None:
    position = keisei.Position.from_sfen("8k/9/S8/9/9/9/9/9/4K4 b - 1")
    assert position.label("9c9b") != position.label("9c9b+")


def test_labels_are_of_the_mover() -> None:
    # The same move seen by each side: one label, two texts.
    black = keisei.Position()
    white = keisei.Position.from_sfen(black.sfen().replace(" b ", " w "))
    for usi, turned in [("7g7f", "3c3d"), ("2h7h", "8b3b"), ("5i4h", "5a6b"), ("9i9h", "1a1b")]:
        assert black.label(usi) == white.label(turned)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), plies=st.integers(0, 250))
def test_every_legal_label_is_one_text_and_back(seed: int, plies: int) -> None:
    choose = random.Random(seed)
    position = keisei.Position()
    for _ in range(plies):
        labels = position.legal_labels()
        if not labels:
            break
        position.push_label(choose.choice(labels))
    labels = position.legal_labels()
    texts = position.legal_moves()
    assert texts == [position.move(label) for label in labels]
    assert len(set(texts)) == len(texts)
    assert [position.label(text) for text in texts] == labels
    assert all(position.is_legal(text) for text in texts)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=8))
def test_foreign_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"^move: "):
        keisei.Position.from_sfen(f"{KINGS} b - 1").push(text)
