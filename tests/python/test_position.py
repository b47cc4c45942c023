"""keisei.Position as people use it."""

import ast
import copy
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import keisei

STARTPOS = "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1"
KINGS = "4k4/9/9/9/9/9/9/9/4K4"
# Black mates with G*5b.
MATE_IN_ONE = "4k4/9/4P4/9/9/9/9/9/4K4 b G2r2b3g4s4n4l17p 1"
ROOK_SHUFFLE = ["2h3h", "8b7b", "3h2h", "7b8b"]


def random_game(seed: int, plies: int) -> keisei.Position:
    choose = random.Random(seed)
    position = keisei.Position()
    for _ in range(plies):
        labels = position.legal_labels()
        if not labels:
            break
        position.push_label(choose.choice(labels))
    return position


def observed(position: keisei.Position) -> tuple[object, ...]:
    """Everything that can be seen of a position without changing it."""
    return (
        position.sfen(),
        position.words().tolist(),
        position.moves,
        position.ply,
        position.plies_played,
        position.occurrence,
        position.key,
        position.in_check,
        position.outcome(),
        position.legal_moves(),
    )


def test_start_position() -> None:
    position = keisei.Position()
    assert position.sfen() == STARTPOS
    assert (position.turn, position.ply, position.plies_played) == (0, 1, 0)
    assert (position.occurrence, position.in_check, position.can_declare) == (0, False, False)
    assert position.outcome() is None
    assert position.last_move is None
    assert position.moves == []
    assert len(position.legal_moves()) == 30
    assert {"7g7f", "2g2f", "5i5h", "2h1h"} < set(position.legal_moves())


def test_perft_of_the_start_position() -> None:
    assert [keisei.Position().perft(depth) for depth in range(5)] == [1, 30, 900, 25470, 719731]


def test_perft_refuses_a_negative_depth() -> None:
    with pytest.raises(ValueError, match="depth: expected 0 or more, got -1"):
        keisei.Position().perft(-1)


def test_push_and_pop_restore_everything() -> None:
    position = keisei.Position()
    seen = [observed(position)]
    choose = random.Random(5)
    moves = []
    for _ in range(120):
        moves.append(choose.choice(position.legal_moves()))
        position.push(moves[-1])
        seen.append(observed(position))
    assert position.moves == moves
    assert position.plies_played == 120
    assert position.ply == 121
    while moves:
        assert observed(position) == seen.pop()
        assert position.pop() == moves.pop()
    assert observed(position) == seen.pop()


def test_pop_at_the_start_is_an_index_error() -> None:
    position = keisei.Position()
    with pytest.raises(IndexError, match="no move to take back"):
        position.pop()
    assert position == keisei.Position()


@pytest.mark.parametrize(
    "attempt",
    [
        lambda p: p.push("7g7e"),
        lambda p: p.push("nonsense"),
        lambda p: p.push_label(0),
        lambda p: p.push_label(-1),
        lambda p: p.push_label(2187),
        lambda p: p.push_label(2**40),
        lambda p: p.label("7g7e"),
        lambda p: p.move(0),
        lambda p: p.move(2187),
        lambda p: p.is_legal("nonsense"),
        lambda p: p.outcome(max_plies=0),
        lambda p: p.perft(-1),
    ],
)
def test_what_is_refused_changes_nothing(attempt: Callable[[keisei.Position], object]) -> None:
    position = random_game(3, 40)
    before = observed(position)
    with pytest.raises(ValueError, match=r"^(move|label|max_plies|depth): "):
        attempt(position)
    assert observed(position) == before


def test_label_errors_name_the_label() -> None:
    position = keisei.Position()
    with pytest.raises(ValueError, match=r"label: expected 0 to 2186, got 2187"):
        position.move(2187)
    with pytest.raises(ValueError, match=r"label: 0 is not legal in lnsgkgsnl/"):
        position.push_label(0)


def test_ply_continues_the_move_number_of_the_sfen() -> None:
    position = keisei.Position.from_sfen(STARTPOS[:-1] + "41")
    position.push("7g7f")
    assert (position.ply, position.plies_played, position.sfen()[-2:]) == (42, 1, "42")


def test_copy_has_its_own_history() -> None:
    position = random_game(1, 30)
    for duplicate in (position.copy(), copy.copy(position), copy.deepcopy(position)):
        assert observed(duplicate) == observed(position)
        before = observed(position)
        duplicate.push(duplicate.legal_moves()[0])
        assert observed(position) == before
        duplicate.pop()
        duplicate.pop()
        assert observed(position) == before


def test_equality_and_hash_are_of_board_hands_and_turn() -> None:
    position = keisei.Position()
    for move in ROOK_SHUFFLE:
        position.push(move)
    assert position == keisei.Position()
    assert hash(position) == hash(keisei.Position())
    assert position.key == keisei.Position().key
    assert position.occurrence == 1
    assert (position != keisei.Position()) is False
    assert position != keisei.Position.from_sfen(STARTPOS.replace(" b ", " w "))
    assert position != keisei.Position.from_sfen(STARTPOS.replace(" b - ", " w - "))
    assert keisei.Position.from_sfen(f"{KINGS} b P 1") != keisei.Position.from_sfen(
        f"{KINGS} b p 1"
    )
    assert position != STARTPOS
    assert position.__eq__(STARTPOS) is NotImplemented
    assert len({position, keisei.Position(), random_game(1, 1)}) == 2


def test_positions_have_one_key_each() -> None:
    by_key: dict[int, str] = {}
    for seed in range(10):
        position = random_game(seed, 100)
        while position.moves:
            board = position.sfen().rsplit(" ", 1)[0]
            assert by_key.setdefault(position.key, board) == board
            assert 0 <= position.key < 2**64
            position.pop()
    assert len(by_key) > 500


def test_mate_is_won_by_the_side_that_gave_it() -> None:
    position = keisei.Position.from_sfen(MATE_IN_ONE)
    assert position.outcome() is None
    position.push("G*5b")
    outcome = position.outcome()
    assert position.in_check
    assert position.legal_moves() == []
    assert outcome is not None
    assert (outcome.ending, outcome.winner) == ("no_legal_move", 0)
    assert repr(outcome) == "Outcome(ending='no_legal_move', winner=0)"


def test_repetition_ends_at_the_fourth_occurrence_and_play_may_go_on() -> None:
    position = keisei.Position()
    for occurrence in range(4):
        assert position.occurrence == occurrence
        outcome = position.outcome()
        if occurrence < 3:
            assert outcome is None
        else:
            assert outcome is not None
            assert (outcome.ending, outcome.winner) == ("repetition", None)
        for move in ROOK_SHUFFLE:
            position.push(move)
    assert position.occurrence == 3
    assert position.outcome() == outcome
    for _ in range(2 * len(ROOK_SHUFFLE)):
        position.pop()
    assert position.occurrence == 2
    assert position.outcome() is None


def test_perpetual_check_loses_for_the_side_that_gives_it() -> None:
    # White's rook checks on 9h and 9i, the king steps between 5h and 5i.
    position = keisei.Position.from_sfen("4k4/9/9/9/9/9/9/r8/4K4 w - 1")
    for move in ["9h9i", "5i5h", "9i9h", "5h5i"] * 3:
        assert position.outcome() is None
        position.push(move)
    outcome = position.outcome()
    assert outcome is not None
    assert (outcome.ending, outcome.winner) == ("perpetual_check", 0)


def test_declaration_is_an_outcome_for_the_side_to_move() -> None:
    entered = "K8/RRBBGGGGS/SSS6/9/9/9/9/9/8k"
    position = keisei.Position.from_sfen(f"{entered} b - 1")
    assert position.can_declare
    outcome = position.outcome()
    assert outcome is not None
    assert (outcome.ending, outcome.winner) == ("declaration", 0)
    assert not keisei.Position.from_sfen(f"{entered} w - 1").can_declare


def test_move_limit_counts_from_the_games_start() -> None:
    position = keisei.Position.from_sfen(STARTPOS[:-1] + "101")
    position.push("7g7f")
    assert position.outcome() is None
    assert position.outcome(max_plies=2) is None
    limited = position.outcome(max_plies=1)
    assert limited is not None
    assert (limited.ending, limited.winner) == ("move_limit", None)
    with pytest.raises(ValueError, match="max_plies: expected 1 or more, or None, got 0"):
        position.outcome(max_plies=0)


def test_a_mate_problem_plays_without_the_attackers_king() -> None:
    position = keisei.Position.from_sfen("4k4/9/4P4/9/9/9/9/9/9 b G 1", tsume=True)
    assert not position.in_check
    position.push("G*5b")
    assert position.in_check
    outcome = position.outcome()
    assert outcome is not None
    assert (outcome.ending, outcome.winner) == ("no_legal_move", 0)
    position.pop()
    position.push("G*5h")
    position.push("5a4a")
    assert (position.turn, position.in_check) == (0, False)
    assert "5h5g" in position.legal_moves()


def test_outcomes_compare_and_hash() -> None:
    position = keisei.Position.from_sfen(MATE_IN_ONE)
    position.push("G*5b")
    first, second = position.outcome(), position.copy().outcome()
    limited = keisei.Position()
    limited.push("7g7f")
    assert first == second
    assert hash(first) == hash(second)
    assert first != limited.outcome(max_plies=1)
    assert first != "no_legal_move"


def test_words_are_the_packed_position() -> None:
    position = random_game(9, 77)
    words = position.words()
    assert (words.dtype, words.shape) == (np.int32, (17,))
    for given in (words, words.view(np.uint32), words.tolist(), words.astype(np.int64)):
        again = keisei.Position.from_words(given)
        assert again == position
        assert again.turn == position.turn
        assert again.words().tolist() == words.tolist()
        assert again.legal_moves() == position.legal_moves()
        assert (again.ply, again.moves) == (1, [])
    # A copy: writing to it leaves the position alone.
    words[:] = 0
    assert position.words().any()


def test_words_carry_the_occurrence() -> None:
    position = keisei.Position()
    for move in 2 * ROOK_SHUFFLE:
        position.push(move)
    again = keisei.Position.from_words(position.words())
    assert again.occurrence == 2
    assert np.array_equal(again.planes(), position.planes())
    for move in ROOK_SHUFFLE:
        again.push(move)
    assert again.occurrence == 3
    # Only two of the four are known to this game.
    assert again.outcome() is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([0] * 16, r"words: expected 17 integers of 32 bits, got int64 \[16\]"),
        (np.zeros((1, 17), np.int32), r"got int32 \[1, 17\]"),
        (np.zeros(17, np.float32), r"got float32 \[17\]"),
        ("text", "expected 17 integers"),
        (None, "expected 17 integers"),
        ([0] * 16 + [2**32], r"word 16 is 4294967296, expected 32 bits"),
        ([0] * 17, r"words: no valid position: sfen: .* has 0 kings"),
    ],
)
def test_words_that_are_no_position_are_refused(words: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        keisei.Position.from_words(words)  # type: ignore[arg-type]


@pytest.mark.parametrize("word", range(17))
def test_words_with_any_bit_turned_are_refused_or_another_position(word: int) -> None:
    position = random_game(21, 60)
    original = position.words().view(np.uint32)
    refused = 0
    for bit in range(32):
        words = original.copy()
        words[word] ^= np.uint32(1 << bit)
        try:
            other = keisei.Position.from_words(words)
        except ValueError:
            refused += 1
        else:
            assert other.words().view(np.uint32).tolist() == words.tolist()
    assert refused >= (8 if word == 15 else 5)


def test_legal_mask_holds_the_legal_labels() -> None:
    for seed in range(20):
        position = random_game(seed, 10 * seed)
        mask = position.legal_mask()
        assert (mask.dtype, mask.shape) == (np.int32, (81,))
        bits = (mask[:, None] >> np.arange(27)) & 1
        assert np.flatnonzero(bits).tolist() == position.legal_labels()
        assert not (mask.view(np.uint32) >> 27).any()


def test_planes_are_zeros_and_ones_of_the_mover() -> None:
    position = keisei.Position()
    planes = position.planes()
    assert (planes.dtype, planes.shape) == (np.float32, (121, 9, 9))
    assert np.isin(planes, (0, 1)).all()
    # Plane 0 is the mover's pawns: on the seventh rank of both players.
    assert planes[0].sum() == 9
    assert planes[0, :, 6].all()
    position.push("2g2f")
    assert position.planes()[0, :, 6].all()
    position.push("5c5d")
    turned = keisei.Position()
    turned.push("2g2f")
    assert position.planes()[0, 1].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert turned.planes()[0, 1, 6] == 1


def test_the_opponents_planes_are_those_of_the_turned_position() -> None:
    position = keisei.Position()
    for usi in ("7g7f", "3c3d", "8h2b+", "3a2b", "B*5e"):
        position.push(usi)
    other = keisei.Position.from_sfen(position.sfen().replace(" w ", " b "))
    assert np.array_equal(position.planes(opponent=True), other.planes())
    assert np.array_equal(position.planes(), other.planes(opponent=True))
    for usi in ("2b3a", "5e8h", "3a2b", "8h5e"):
        position.push(usi)
    assert position.occurrence == 1
    assert position.planes(opponent=True)[119].all(), "how often it occurred stays"


def test_str_is_a_board() -> None:
    position = keisei.Position.from_sfen(
        "l6nl/5+P1gk/2np1S3/p1p4Pp/3P2Sp1/1PPb2P1P/P5GS1/R8/LN4bKL w RGgsn5p 31"
    )
    assert str(position) == "\n".join(
        [
            "white in hand: g s n 5p",
            "  9  8  7  6  5  4  3  2  1",
            "  l  .  .  .  .  .  .  n  l  a",
            "  .  .  .  .  . +P  .  g  k  b",
            "  .  .  n  p  .  S  .  .  .  c",
            "  p  .  p  .  .  .  .  P  p  d",
            "  .  .  .  P  .  .  S  p  .  e",
            "  .  P  P  b  .  .  P  .  P  f",
            "  P  .  .  .  .  .  G  S  .  g",
            "  R  .  .  .  .  .  .  .  .  h",
            "  L  N  .  .  .  .  b  K  L  i",
            "black in hand: R G",
            "white to move, move 31",
        ]
    )
    assert "black in hand: -" in str(keisei.Position())
    assert str(keisei.Position()).endswith("black to move, move 1")


def test_repr_makes_the_position_again() -> None:
    position = random_game(2, 25)
    assert eval(repr(position), {"keisei": keisei}) == position


def test_classes_belong_to_the_package() -> None:
    assert (keisei.Position.__module__, keisei.Outcome.__module__) == ("keisei", "keisei")
    with pytest.raises(TypeError):
        type("Derived", (keisei.Position,), {})


def test_the_stub_names_what_the_module_has() -> None:
    stub = Path(keisei.__file__).with_name("_core.pyi")
    classes = {
        node.name: {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    assert set(classes) == {"Outcome", "Position"}
    for name, described in classes.items():
        cls = getattr(keisei, name)
        public = {member for member in vars(cls) if not member.startswith("_")}
        assert public == {member for member in described if not member.startswith("_")}
        assert all(getattr(cls, member).__doc__ for member in public)
