"""How games end: no legal move, declaration, repetition, perpetual check, the move limit, and
which of them counts when several meet. Each for both colours."""

from __future__ import annotations

import pytest
from oracles import text

import keisei

COLOURS = pytest.mark.parametrize("turned", [False, True], ids=["black", "white"])

STARTPOS = "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1"
QUIET_LOOP = "2h3h 8b7b 3h2h 7b8b"

# A rook that checks for ever: every move of black in the loop gives check.
ROOK_AND_KING = "4k4/9/9/9/9/9/9/K4R3/9 b - 1"
CHECKING_LOOP = "4h5h 5a4a 5h4h 4a5a"
# The same position again without a check.
RESTING_LOOP = "4h3h 5a6a 3h4h 6a5a"
# The same with one quiet move and one check.
HALF_RESTING_LOOP = "4h3h 5a4a 3h4h 4a5a"
# White to move, in the rook's check.
IN_CHECK = "4k4/9/9/9/9/9/9/K3R4/9 w - 1"
FLEEING_LOOP = "5a4a 5h4h 4a5a 4h5h"

# Ten pieces in the camp and 28 points for black: 10 of them, three big pieces in hand, three golds.
DECLARES = "1K7/+P+P+P+P+P+P+P+P+P/P8/9/9/9/9/9/4k4 b 2RB3G 1"
# Every piece of black blocked, nothing in hand, no check; and every condition of declaration met.
BLOCKED_AND_DECLARES = "+L+LRRK+NBBG/GGGSSSS+L+L/PPPPPPPPP/9/4ppp2/ppp6/9/4k4/9 b 3n3p 1"

End = tuple[str, int | None] | None


def start(sfen: str, turned: bool) -> keisei.Position:
    return keisei.Position.from_sfen(text.turn_sfen(sfen) if turned else sfen)


def play(position: keisei.Position, moves: str, turned: bool) -> None:
    for move in moves.split():
        position.push(text.turn_usi(move) if turned else move)


def end(position: keisei.Position, max_plies: int | None = None) -> End:
    outcome = position.outcome(max_plies=max_plies)
    return None if outcome is None else (outcome.ending, outcome.winner)


def ends_along(sfen: str, moves: str, turned: bool) -> list[End]:
    """The end at the start and after each move."""
    position = start(sfen, turned)
    out = [end(position)]
    for move in moves.split():
        play(position, move, turned)
        out.append(end(position))
    return out


def black_wins(turned: bool) -> int:
    return 1 if turned else 0


def white_wins(turned: bool) -> int:
    return 0 if turned else 1


# Repetition.


@COLOURS
def test_repetition_at_the_fourth_occurrence_and_not_at_the_third(turned: bool) -> None:
    ends = ends_along(STARTPOS, " ".join([QUIET_LOOP] * 3), turned)
    assert ends == [None] * 12 + [("repetition", None)]


@COLOURS
def test_occurrences_are_counted_and_taken_back(turned: bool) -> None:
    position = start(STARTPOS, turned)
    for times in (1, 2, 3):
        play(position, QUIET_LOOP, turned)
        assert position.occurrence == times
    assert end(position) == ("repetition", None)
    position.pop()
    assert end(position) is None
    assert position.occurrence == 2
    # A game may go on past the draw.
    play(position, "7b8b 7g7f", turned)
    assert end(position) is None
    assert position.occurrence == 0


def test_the_side_to_move_and_the_hands_are_part_of_the_position() -> None:
    """The board of the start comes back, but not the position."""
    board = "4k3r/9/9/9/9/9/9/9/R3K4"
    position = keisei.Position.from_sfen(f"{board} b P 1")
    # Black loses a move on a detour, so it is white's turn.
    play(position, "9i8i 5a4a 8i7i 4a5a 7i9i", turned=False)
    assert position.sfen() == f"{board} w P 6"
    assert position.occurrence == 0
    # White takes a dropped pawn and comes back in three moves, so the pawn has changed hands.
    position = keisei.Position.from_sfen(f"{board} b P 1")
    play(position, "P*1b 1a1b 5i6i 1b1d 6i5i 1d1a", turned=False)
    assert position.sfen() == f"{board} b p 7"
    assert position.occurrence == 0
    # The very same comes back.
    play(position, "9i8i 5a4a 8i9i 4a5a", turned=False)
    assert position.sfen() == f"{board} b p 11"
    assert position.occurrence == 1


# Perpetual check.


@COLOURS
def test_perpetual_check_loses_for_the_one_who_checks(turned: bool) -> None:
    ends = ends_along(ROOK_AND_KING, " ".join([CHECKING_LOOP] * 3), turned)
    assert ends == [None] * 12 + [("perpetual_check", white_wins(turned))]


@COLOURS
def test_perpetual_check_completed_by_the_check_itself(turned: bool) -> None:
    ends = ends_along(IN_CHECK, " ".join([FLEEING_LOOP] * 3), turned)
    assert ends == [None] * 12 + [("perpetual_check", white_wins(turned))]


@COLOURS
@pytest.mark.parametrize("rest_at", [0, 1, 2])
@pytest.mark.parametrize("rest", [RESTING_LOOP, HALF_RESTING_LOOP], ids=["two", "one"])
def test_perpetual_check_broken_once_is_a_draw(rest: str, rest_at: int, turned: bool) -> None:
    loops = [CHECKING_LOOP] * 3
    loops[rest_at] = rest
    ends = ends_along(ROOK_AND_KING, " ".join(loops), turned)
    assert ends == [None] * 12 + [("repetition", None)]


@COLOURS
def test_quiet_moves_before_the_first_occurrence_save_nobody(turned: bool) -> None:
    sfen = "4k4/9/9/9/9/9/9/K5R2/9 b - 1"
    loop = "3h4h 4a3a 4h3h 3a4a"
    ends = ends_along(sfen, " ".join(["9h9g 5a4a", *[loop] * 3]), turned)
    assert ends == [None] * 14 + [("perpetual_check", white_wins(turned))]


@COLOURS
def test_checks_before_the_first_occurrence_condemn_nobody(turned: bool) -> None:
    """Checks, then a quiet circle four times round: a draw."""
    ends = ends_along(
        ROOK_AND_KING, " ".join(["4h5h 5a4a 5h3h 4a5a"] + ["3h2h 5a6a 2h3h 6a5a"] * 3), turned
    )
    assert ends == [None] * 16 + [("repetition", None)]


# No legal move.


@COLOURS
def test_mate_loses(turned: bool) -> None:
    position = start("4k4/9/4G4/9/9/9/9/9/4K4 b G 1", turned)
    play(position, "G*5b", turned)
    assert position.in_check
    assert position.legal_moves() == []
    assert end(position) == ("no_legal_move", black_wins(turned))


@COLOURS
def test_no_legal_move_loses_without_check_too(turned: bool) -> None:
    position = start("8k/6S2/7G1/9/9/9/9/9/4K4 w - 1", turned)
    assert not position.in_check
    assert position.legal_moves() == []
    assert end(position) == ("no_legal_move", black_wins(turned))


# Declaration.


@COLOURS
def test_declaration_with_just_enough(turned: bool) -> None:
    position = start(DECLARES, turned)
    assert position.can_declare
    assert end(position) == ("declaration", black_wins(turned))


@pytest.mark.parametrize(
    ("hand", "black", "white"),
    [
        ("2RB3G", True, True),  # 28 points
        ("2RB2G", False, True),  # 27
        ("2RBG", False, False),  # 26
        ("2R2B", True, True),  # 30
        ("2B4G4S", True, True),  # 28
        ("2B3G4S", False, True),  # 27
        ("B4G4S3N", False, False),  # 26
    ],
)
def test_28_points_for_black_and_27_for_white(hand: str, black: bool, white: bool) -> None:
    sfen = DECLARES.replace("2RB3G", hand)
    assert start(sfen, turned=False).can_declare == black
    assert start(sfen, turned=True).can_declare == white
    assert end(start(sfen, turned=False)) == (("declaration", 0) if black else None)
    assert end(start(sfen, turned=True)) == (("declaration", 1) if white else None)


@COLOURS
@pytest.mark.parametrize(
    ("why", "sfen"),
    [
        ("nine pieces", DECLARES.replace("/P8/", "/9/").replace("3G", "4G")),
        (
            "the tenth piece outside the camp",
            DECLARES.replace("/P8/9/", "/9/P8/").replace("3G", "4G"),
        ),
        ("the king on the fourth rank", "SS7/+P+P+P+P+P+P+P+P+P/P8/K8/9/9/9/9/4k4 b 2R2B4G 1"),
        ("in check along the rank", DECLARES.replace("1K7", "1K6r").replace("2RB3G", "R2B4G3S")),
        ("in check by a pawn", "1p7/1K7/+P+P+P+P+P+P+P+P+P/9/9/9/9/9/4k4 b 2R2B4G 1"),
        (
            "a rook outside the camp",
            DECLARES.replace("/9/9/9/9/9/", "/9/9/5R3/9/9/").replace("2R", "R"),
        ),
        ("the opponent's turn", DECLARES.replace(" b ", " w ")),
    ],
)
def test_declaration_refused(why: str, sfen: str, turned: bool) -> None:
    position = start(sfen, turned)
    assert not position.can_declare, why
    assert end(position) is None, why


@COLOURS
@pytest.mark.parametrize("big", ["R", "+R", "B", "+B"])
def test_big_pieces_in_the_camp_count_five(big: str, turned: bool) -> None:
    """Ten pieces, one of them big: 9 + 5, and 14 in hand; white needs one less."""
    hand = "RB4G" if not turned else "RB3G"
    sfen = f"1K7/+P+P+P+P+P+P+P+P+P/{big}8/9/9/9/9/9/4k4 b {hand} 1"
    if big[-1] == "B":
        sfen = sfen.replace("/9/9/9/9/9/4k4", "/9/9/9/9/9/5k3")
    assert start(sfen, turned).can_declare
    fewer = sfen.replace("4G", "3G") if not turned else sfen.replace("3G", "2G")
    assert not start(fewer, turned).can_declare


# The move limit.


@COLOURS
def test_the_move_limit_counts_from_the_start_of_the_game(turned: bool) -> None:
    position = start(STARTPOS.replace(" 1", " 100"), turned)
    assert position.ply == 100
    assert end(position, max_plies=2) is None
    play(position, "7g7f", turned)
    assert end(position, max_plies=2) is None
    play(position, "3c3d", turned)
    assert position.ply == 102
    assert end(position, max_plies=2) == ("move_limit", None)
    assert end(position, max_plies=3) is None
    assert end(position) is None
    # The limit is no rule of movement.
    play(position, "2g2f", turned)
    assert end(position, max_plies=2) == ("move_limit", None)
    position.pop()
    position.pop()
    assert end(position, max_plies=2) is None


# Several ends at once: no legal move, then declaration, then repetition, then the limit.


@COLOURS
def test_no_legal_move_comes_before_declaration(turned: bool) -> None:
    position = start(BLOCKED_AND_DECLARES, turned)
    assert position.legal_moves() == []
    assert position.can_declare
    assert end(position) == ("no_legal_move", white_wins(turned))


@COLOURS
def test_no_legal_move_comes_before_the_limit(turned: bool) -> None:
    position = start("4k4/9/4G4/9/9/9/9/9/4K4 b G 1", turned)
    play(position, "G*5b", turned)
    assert end(position, max_plies=1) == ("no_legal_move", black_wins(turned))


@COLOURS
def test_declaration_comes_before_repetition(turned: bool) -> None:
    position = start(DECLARES, turned)
    play(position, " ".join(["8a7a 5i4i 7a8a 4i5i"] * 3), turned)
    assert position.occurrence == 3
    assert end(position) == ("declaration", black_wins(turned))


@COLOURS
def test_declaration_comes_before_the_limit(turned: bool) -> None:
    position = start(DECLARES, turned)
    play(position, "8a7a 5i4i", turned)
    assert end(position, max_plies=2) == ("declaration", black_wins(turned))


@COLOURS
def test_repetition_comes_before_the_limit(turned: bool) -> None:
    position = start(STARTPOS, turned)
    play(position, " ".join([QUIET_LOOP] * 3), turned)
    for max_plies in (11, 12):
        assert end(position, max_plies) == ("repetition", None)
    position.pop()
    assert end(position, 11) == ("move_limit", None)
    assert end(position, 12) is None


@COLOURS
def test_perpetual_check_comes_before_the_limit(turned: bool) -> None:
    position = start(ROOK_AND_KING, turned)
    play(position, " ".join([CHECKING_LOOP] * 3), turned)
    assert end(position, 12) == ("perpetual_check", white_wins(turned))
