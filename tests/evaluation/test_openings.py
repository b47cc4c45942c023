"""Openings: those that keisei brings, files of others, and who gets which."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keisei import Position
from keisei.config_schema import ConfigError
from keisei.evaluation.openings import START, Opening, assign, load_openings, parse_opening


def test_those_that_keisei_brings() -> None:
    """500, legal (or they would not load), going on, calm, and no two to one position."""
    openings = load_openings()
    assert len(openings) == 500
    ends: dict[str, Opening] = {}
    movers = [0, 0]
    for opening in openings:
        position = Position.from_sfen(opening.start)
        for move in opening.moves:
            position.push(move)
        assert opening.start == START.start and 12 <= len(opening.moves) <= 24
        assert position.outcome() is None and not position.in_check
        assert len(position.legal_moves()) > 20, "somebody is nearly beaten"
        board, mover, hands, _ = position.sfen().split()
        mirrored = "/".join("".join(re.findall(r"\+?.", rank)[::-1]) for rank in board.split("/"))
        for key in {f"{board} {mover} {hands}", f"{mirrored} {mover} {hands}"}:
            assert key not in ends, f"{opening} and {ends[key]} lead to one position"
            ends[key] = opening
        movers[position.turn] += 1
    assert min(movers) > 100 and {len(opening.moves) for opening in openings} == {*range(12, 25)}


def test_a_file_of_openings(tmp_path: Path) -> None:
    sfen = "lnsgkgsnl/1r7/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1"
    path = tmp_path / "openings.txt"
    path.write_text(
        f"# mine\n\nstartpos moves 7g7f 3c3d\n  sfen {sfen} moves 3c3d\n{sfen}\nstartpos\n"
        "position startpos moves 2g2f\nstartpos moves\n"
    )
    start = Position().sfen()
    assert load_openings(path) == (
        Opening(start, ("7g7f", "3c3d")),
        Opening(sfen, ("3c3d",)),
        Opening(sfen),
        START,
        Opening(start, ("2g2f",)),
        START,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected openings, one a line, got none"),
        ("# none\n\n", "expected openings, one a line, got none"),
        ("startpos moves 7g7f\nstartpos moves 7g7e\n", "line 2: .*7g7e"),
        ("startpos moves 7g7f 7f7e\n", "line 1: .*7f7e"),
        ("elsewhere moves 7g7f\n", "line 1: sfen"),
        (
            "sfen 4k4/4G4/4P4/9/9/9/9/9/4K4 w - 1\n",
            r"line 1: expected a game that goes on, got one that is over \(no_legal_move\) after 0",
        ),
        (
            "sfen 4k4/9/4P4/9/9/9/9/9/4K4 b G 1 moves G*5b\n",
            r"line 1: expected .* \(no_legal_move\) after 1 moves",
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "openings.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"openings\.txt: {message}"):
        load_openings(path)
    with pytest.raises(ConfigError, match="missing: cannot be read: "):
        load_openings(tmp_path / "missing")


def test_pairs_share_and_laps_go_on() -> None:
    openings = [parse_opening(f"startpos moves {move} 3c3d") for move in ("7g7f", "2g2f", "5g5f")]
    games = assign(openings, 18, seed=4)
    assert games[::2] == games[1::2]
    assert games[:6:2] == openings
    for number, opening in enumerate(openings):
        for lap in (1, 2):
            again = games[2 * (3 * lap + number)]
            assert again.start == opening.start and again.moves[:2] == opening.moves
            assert len(again.moves) == 4
    assert len(set(games[::2])) == 9
    assert assign(openings, 18, seed=4) == games != assign(openings, 18, seed=5)
    assert assign(openings, 8, first_game=10, seed=4) == games[10:]


def test_what_leaves_no_game_is_passed_over() -> None:
    short, long = parse_opening("startpos"), parse_opening("startpos moves 7g7f 3c3d 2g2f")
    assert assign([long, short], 4, max_plies=7) == [long, long, short, short]
    assert assign([long, short], 2, max_plies=6) == [short, short]
    assert assign([long], 2, max_plies=3) == [START, START]
    assert assign([], 100) == [START] * 100
