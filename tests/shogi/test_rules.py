"""Named positions for every special rule of movement, each for both colours.

Positions are written with black to move; the white case is the same board turned.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from oracles import text

import keisei


class Case(NamedTuple):
    """A position, moves that are legal in it and moves that are not."""

    name: str
    sfen: str
    legal: str
    illegal: str


def both_colours(cases: list[Case]) -> list[object]:
    out = []
    for case in cases:
        out.append(pytest.param(case, id=f"{case.name}, black"))
        turned = Case(
            case.name,
            text.turn_sfen(case.sfen),
            " ".join(text.turn_usi(move) for move in case.legal.split()),
            " ".join(text.turn_usi(move) for move in case.illegal.split()),
        )
        out.append(pytest.param(turned, id=f"{case.name}, white"))
    return out


def drops(piece: str, squares: str | list[str]) -> str:
    """Drops of a piece on squares, given as `1a 2b` or a list."""
    names = squares.split() if isinstance(squares, str) else squares
    return " ".join(f"{piece}*{square}" for square in names)


def on_file(file: int, ranks: str = text.RANKS) -> list[str]:
    return [f"{file}{rank}" for rank in ranks]


def on_rank(rank: str) -> list[str]:
    return [file + rank for file in text.FILES]


CASES = [
    # Two pawns on a file.
    Case(
        "nifu: no second pawn on a file, wherever the first stands",
        "4k4/9/9/2P6/9/9/9/6P2/4K4 b P 1",
        drops("P", on_file(2, "bcdefghi") + on_file(5, "cdefgh")),
        drops("P", on_file(7, "bcefghi") + on_file(3, "bcdefgi")),
    ),
    Case(
        "nifu: a promoted pawn or an enemy pawn on the file is no pawn of one's own",
        "4k4/9/9/2+P3p2/9/9/9/9/4K4 b P 1",
        drops("P", "7b 7c 7e 7h 3c 3e 3i"),
        drops("P", "7d 3d 7a 3a"),
    ),
    # Where a piece could never move again.
    Case(
        "dead ends: pawn and lance not on the last rank, knight not on the last two",
        "4k4/9/9/9/9/9/9/9/4K4 b RBGSNLP 1",
        drops("P", on_file(1, "bcdefghi"))
        + " "
        + drops("L", on_file(1, "bcdefghi"))
        + " "
        + drops("N", on_file(1, "cdefghi"))
        + " "
        + " ".join(drops(piece, "1a 2a 9a 1b 9b 1i") for piece in "SGBR"),
        drops("P", on_rank("a"))
        + " "
        + drops("L", on_rank("a"))
        + " "
        + drops("N", on_rank("a") + on_rank("b")),
    ),
    Case(
        "forced promotion: pawn and lance to the last rank, knight to the last two",
        "4k4/P8/2N3N2/N7L/9/9/9/9/4K4 b - 1",
        "9b9a+ 7c8a+ 7c6a+ 3c4a+ 3c2a+ 9d8b+ 1d1a+ 1d1b 1d1b+ 1d1c 1d1c+",
        "9b9a 7c8a 7c6a 3c4a 3c2a 9d8b 1d1a",
    ),
    Case(
        "promotion is a choice elsewhere: into, within and out of the far ranks",
        "7k1/9/3S5/2S6/1P7/B8/9/R8/4K4 b - 1",
        "6c5b 6c5b+ 6c5d 6c5d+ 6c7b 6c7b+ 7d7c 7d7c+ 7d8c 7d8c+ 8e8d 9h9g 9h1h",
        "8e8d+ 7d6e+ 9h9g+ 9h1h+",
    ),
    Case(
        "gold, king and promoted pieces never promote",
        "8k/4G4/3+P5/2K6/9/9/9/9/9 b - 1",
        "5b5a 5b5c 6c6b 6c6d 7d7c",
        "5b5a+ 5b5c+ 6c6b+ 6c6d+ 7d7c+",
    ),
    Case(
        "a rook or bishop promotes on the way out of the far ranks, a horse does not again",
        "8k/9/R3B4/9/9/9/9/9/K1+B6 b - 1",
        "9c9h+ 9c9h 5c1g 5c1g+ 9c8c+ 7i6h",
        "7i6h+ 7i1c+",
    ),
    # A pawn drop may not mate.
    Case(
        "uchifuzume: a protected pawn, no flight, no taker",
        "7nk/9/8G/9/9/9/9/9/4K4 b P 1",
        drops("P", "1d 2b 2c 1i"),
        "P*1b P*1a",
    ),
    Case(
        "uchifuzume forbids the pawn drop only: any other piece may mate there",
        "7nk/9/8G/9/9/9/9/9/4K4 b GSLP 1",
        "L*1b G*1b S*1b 1c1b",
        "P*1b",
    ),
    Case(
        "a pawn that moves may mate",
        "7nk/9/7GP/9/9/9/9/9/4K4 b P 1",
        "1c1b 1c1b+",
        drops("P", "1b 1d 1e"),
    ),
    Case(
        "near miss: the king can take the pawn",
        "7nk/9/6S2/9/9/9/9/9/4K4 b P 1",
        "P*1b",
        "",
    ),
    Case(
        "near miss: the king has a flight square",
        "8k/9/8G/9/9/9/9/9/4K4 b P 1",
        "P*1b",
        "",
    ),
    Case(
        "near miss: another piece can take the pawn",
        "7nk/7g1/8G/9/9/9/9/9/4K4 b P 1",
        "P*1b",
        "",
    ),
    Case(
        "near miss: a knight can take the pawn",
        "7nl/7pk/9/8G/9/9/9/9/4K4 b P 1",
        "P*1c",
        "",
    ),
    Case(
        "uchifuzume: the same with a silver in the knight's place, which does not reach the pawn",
        "7sl/7pk/9/8G/9/9/9/9/4K4 b P 1",
        "",
        "P*1c",
    ),
    Case(
        "uchifuzume: the defender is pinned and may not take",
        "7nk/7g1/8G/9/4B4/9/9/9/4K4 b P 1",
        "",
        "P*1b",
    ),
    Case(
        "near miss: the defender is pinned on the file and takes the pawn along it",
        "7lk/9/6S1g/7N1/9/9/9/9/4K3R b P 1",
        "P*1b",
        "",
    ),
    Case(
        "uchifuzume: the same with a knight there, which does not go back",
        "7lk/9/6S1n/7N1/9/9/9/9/4K3R b P 1",
        "",
        "P*1b",
    ),
    Case(
        "near miss: the pawn cuts off a rook's guard of a flight square",
        "3nkn3/R8/9/9/9/9/9/9/4K4 b P 1",
        "P*5b",
        "",
    ),
    Case(
        "uchifuzume: the same with that flight square guarded by another piece",
        "3nkn3/R8/5G3/9/9/9/9/9/4K4 b P 1",
        "",
        "P*5b",
    ),
    Case(
        "uchifuzume: the pawn's guard is pinned to its own king, and guards all the same",
        "3nkn3/9/K3G3r/9/9/9/9/9/9 b P 1",
        "",
        "P*5b",
    ),
    Case(
        "near miss: the king behind its own pawns steps aside",
        "4k4/3p1p3/4G4/9/9/9/9/9/4K4 b P 1",
        "P*5b",
        "",
    ),
    Case(
        "uchifuzume in the middle of the board",
        "9/9/9/3sps3/3lkl3/9/4G4/9/4K4 b P 1",
        "",
        "P*5f",
    ),
    Case(
        "a known trap: the drop-pawn mate that Pgx allows",
        "G+N2G2k1/5+L3/8+R/9/s1+bSP2pP/9/3n2p2/PNb+ls4/2+s1+p3K b G10Prgn2l2p 371",
        "",
        "P*2b",
    ),
    # Check and pins.
    Case(
        "check: only taking, blocking and the king's flight remain",
        "k3r4/9/9/1B7/9/3G5/9/9/4K4 b P 1",
        "8d5a 8d5a+ 6f5f 6f5e P*5b P*5h 5i4h 5i4i 5i6h 5i6i",
        "8d7c 8d9e 6f6e 6f7f P*4b P*6d 5i5h",
    ),
    Case(
        "double check: only the king moves",
        "k3r4/9/9/9/8b/9/9/9/4K1G2 b RGP 1",
        "5i6i 5i6h 5i4i",
        "R*5b G*5e P*5h 3i4h P*3g R*4h 5i5h 5i4h",
    ),
    Case(
        "a king in check may not step back along the line of the attack",
        "4r3k/9/9/9/4K4/9/9/9/9 b - 1",
        "5e6d 5e6e 5e6f 5e4d 5e4e 5e4f",
        "5e5d 5e5f",
    ),
    Case(
        "a king may not take a guarded piece",
        "4k4/9/9/4p4/4g4/4K4/9/9/9 b - 1",
        "5f4g 5f5g 5f6g",
        "5f5e 5f4e 5f6e 5f4f 5f6f",
    ),
    Case(
        "a king may take an unguarded piece",
        "4k4/9/9/5p3/4g4/4K4/9/9/9 b - 1",
        "5f5e 5f4g 5f6g",
        "5f4e 5f6e 5f4f",
    ),
    Case(
        "pins along the file, the rank and both diagonals: movement only along the line",
        "k3l4/9/+b7b/9/2S1G1G2/9/r1R1K4/9/9 b - 1",
        "5e5d 5e5f 3e2d 7e8d 7e6f 7g8g 7g9g 7g6g",
        "5e4d 5e6d 5e4e 5e6e 3e3d 3e4e 3e2e 3e3f 7e7d 7e6d 7g7f 7g7h 7g7a",
    ),
    Case(
        "a pinned knight never moves",
        "k3r4/9/9/9/9/9/4N4/9/4K4 b - 1",
        "5i4i 5i6i",
        "5g4e 5g6e",
    ),
    Case(
        "a pawn pinned on its file moves, a lance pinned on a diagonal does not",
        "k7r/9/9/9/8P/9/8K/7L1/6b2 b - 1",
        "1e1d",
        "2h2g 2h2a",
    ),
    Case(
        "a piece attacked along two lines is pinned along the king's line only",
        "k3r4/9/9/9/4S3r/9/4K4/9/9 b - 1",
        "5e5d",
        "5e4d 5e6d 5e4f 5e6f",
    ),
    Case(
        "two own pieces on a line: neither is pinned",
        "k3r4/9/9/4P4/4S4/9/4K4/9/9 b - 1",
        "5e4d 5e6f 5d5c",
        "5e5d",
    ),
    Case(
        "an enemy piece on the line: the own one is not pinned",
        "k3r4/9/9/4p4/4S4/9/4K4/9/9 b - 1",
        "5e4d 5e6f 5e5d",
        "",
    ),
    Case(
        "a pinned pawn may not uncover its king along the rank",
        "k8/9/9/9/r2P4K/9/9/9/9 b - 1",
        "1e1d 1e2f",
        "6e6d",
    ),
    Case(
        "a knight's check cannot be blocked; the knight can be taken",
        "4k4/9/9/9/9/9/3n5/3P5/4K4 b G 1",
        "5i4i 5i6i 5i4h 5i5h 6h6g",
        "G*5h G*4h G*5e G*6f",
    ),
    Case(
        "check at contact cannot be blocked; the checker can be taken",
        "4k4/9/9/9/9/9/9/4g4/3GKG3 b R 1",
        "6i5h 4i5h 5i5h",
        "R*5g R*1i 6i6h 4i4h 5i6h 5i4h",
    ),
]


def _check(case: Case) -> None:
    position = keisei.Position.from_sfen(case.sfen)
    moves = set(position.legal_moves())
    for move in case.legal.split():
        assert move in moves, f"{move} is legal in {case.sfen}"
        assert position.is_legal(move)
        position.push(move)
        position.pop()
    for move in case.illegal.split():
        assert move not in moves, f"{move} is not legal in {case.sfen}"
        assert not position.is_legal(move)
        before = (position.sfen(), position.moves)
        with pytest.raises(ValueError, match="legal"):
            position.push(move)
        assert (position.sfen(), position.moves) == before


@pytest.mark.parametrize("case", both_colours(CASES))
def test_named_position(case: Case) -> None:
    _check(case)


@pytest.mark.parametrize("case", both_colours(CASES))
def test_named_position_as_others_see_it(case: Case) -> None:
    cshogi = pytest.importorskip("cshogi", reason="cshogi is not installed (extra: test)")
    rsshogi_core = pytest.importorskip("rsshogi.core", reason="rsshogi is not installed")
    moves = set(keisei.Position.from_sfen(case.sfen).legal_moves())
    assert moves == {cshogi.move_to_usi(m) for m in cshogi.Board(case.sfen).legal_moves}
    assert moves == {m.to_usi() for m in rsshogi_core.Board(case.sfen).legal_moves()}


@pytest.mark.parametrize("turned", [False, True], ids=["black", "white"])
@pytest.mark.parametrize(
    ("move", "answers"),
    [
        # The bishop leaves the rook's file: the rook alone checks, so its file may be blocked.
        ("5e9i", "5a4a 5a6a 5a4b 5a6b G*5b G*5c G*5d G*5e G*5f G*5g"),
        # It checks too: two checkers, so only the king moves.
        ("5e3c", "5a4a 5a6a 5a6b"),
        ("5e3c+", "5a4a 5a6a 5a6b"),
        # It stays on the file: no check.
        ("5i4i", None),
    ],
)
def test_discovered_check(move: str, answers: str | None, turned: bool) -> None:
    sfen = "4k4/9/9/9/4B4/9/9/4R4/4K4 b g 1"
    to = text.turn_usi if turned else str
    position = keisei.Position.from_sfen(text.turn_sfen(sfen) if turned else sfen)
    position.push(to(move))
    assert position.in_check == (answers is not None)
    if answers is not None:
        assert sorted(position.legal_moves()) == sorted(to(answer) for answer in answers.split())


@pytest.mark.parametrize("turned", [False, True], ids=["black", "white"])
def test_every_pawn_drop_that_is_refused_would_mate(turned: bool) -> None:
    """Made as text, the refused drop is check and leaves no legal move."""
    refused = [c for c in CASES if c.name.startswith("uchifuzume") and "P*" in c.illegal]
    assert len(refused) >= 7
    for case in refused:
        move = case.illegal.split()[0]
        after = text.drop_on(case.sfen, move)
        position = keisei.Position.from_sfen(text.turn_sfen(after) if turned else after)
        assert position.in_check
        assert position.legal_moves() == []


@pytest.mark.parametrize(
    "move",
    [
        "7g7e",
        "7g7f+",
        "P*5e",
        "2b8h+",
        "8h2b",
        "5i5i",
        "7f7e",
        "1a1b",
        "7g7f ",
        "",
        "resign",
        "7g7",
    ],
)
def test_a_refused_move_changes_nothing(move: str) -> None:
    position = keisei.Position()
    position.push("2g2f")
    position.push("3c3d")
    before = (position.sfen(), position.moves, position.key, position.words().tolist())
    with pytest.raises(ValueError, match=r"."):
        position.push(move)
    with pytest.raises(ValueError, match=r"."):
        position.label(move)
    assert (position.sfen(), position.moves, position.key, position.words().tolist()) == before
