import dataclasses
import json

import pytest

from keisei.evaluation.game_record import START_SFEN, GameRecord

GAME = GameRecord(
    black="run 12000",
    white="random",
    start=START_SFEN,
    moves=("7g7f", "3c3d", "8h2b+", "3a2b"),
    ending="resignation",
    winner="white",
    opening_plies=2,
    values=(None, None, 0.25, -0.5),
    seconds=(0.0, 0.0, 1.5, 0.25),
    date="2026-11-22T20:15:00",
    event="evaluation at step 12000",
)


def test_a_game_survives_json():
    again = GameRecord.from_json(json.loads(json.dumps(GAME.to_json())))
    assert again == GAME
    assert hash(again) == hash(GAME)


def test_what_says_nothing_is_not_written():
    plain = GameRecord("a", "b", START_SFEN, ("7g7f",), "move_limit", None)
    assert plain.to_json() == {
        "black": "a",
        "white": "b",
        "start": START_SFEN,
        "moves": ["7g7f"],
        "ending": "move_limit",
        "winner": None,
    }
    assert GameRecord.from_json(plain.to_json()) == plain


def test_positions_are_those_of_the_moves():
    sfens = [position.sfen() for position in GAME.positions()]
    assert len(sfens) == GAME.plies + 1
    assert sfens[0] == START_SFEN
    assert sfens[-1] == "lnsgkg1nl/1r5s1/pppppp1pp/6p2/9/2P6/PP1PPPPPP/7R1/LNSGKGSNL b Bb 5"


def test_an_illegal_move_is_named_with_its_ply():
    wrong = dataclasses.replace(GAME, moves=("7g7f", "7g7f", "8h2b+", "3a2b"))
    with pytest.raises(ValueError, match=r"ply 2: .*7g7f"):
        list(wrong.positions())


@pytest.mark.parametrize(
    ("winner", "ending", "black", "white"),
    [("black", "time", 1, 0), ("white", "crash", 0, 1), (None, "repetition", 0.5, 0.5)],
)
def test_score(winner, ending, black, white):
    game = dataclasses.replace(GAME, winner=winner, ending=ending)
    assert (game.score("black"), game.score("white")) == (black, white)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ending": "mate"}, "ending: expected one of no_legal_move, .*, got 'mate'"),
        ({"winner": "sente"}, "winner: expected 'black', 'white' or None, got 'sente'"),
        ({"winner": None}, "winner: expected 'black' or 'white' by resignation, got None"),
        ({"ending": "repetition"}, "winner: expected nobody by repetition, got 'white'"),
        ({"opening_plies": 5}, "opening_plies: expected 0 to 4, .* got 5"),
        ({"values": (0.5,)}, "values: expected none or one for each of 4 moves, got 1"),
        ({"values": (0.5, 2.0, 0, 0)}, "values: expected -1 to 1 or None, got 2.0"),
        ({"seconds": (0, float("nan"), 0, 0)}, "seconds: expected 0 or more, got nan"),
        ({"black": "a\nb"}, "black: expected one line"),
    ],
)
def test_what_does_not_fit_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(GAME, **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": 1}, r"game: missing \[\], unknown \['colour'\]"),
        ({"moves": "7g7f"}, "moves: expected a list of strings, got '7g7f'"),
        ({"values": ["0.5"] * 4}, "values: expected a list of numbers and nulls"),
        ({"opening_plies": True}, "opening_plies: expected a whole number, got True"),
        ({"black": None}, "black: expected a string, got None"),
    ],
)
def test_wrong_json_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        GameRecord.from_json(GAME.to_json() | change)


def test_missing_json_is_refused():
    data = GAME.to_json()
    del data["start"]
    with pytest.raises(ValueError, match=r"game: missing \['start'\], unknown \[\]"):
        GameRecord.from_json(data)
