"""Engine against engine: clocks, faults counted by name, the referee's rules."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from keisei import Position
from keisei.evaluation.arena import TimeControl, parse_time, play_engines
from keisei.evaluation.cli import main
from keisei.evaluation.match import MatchCancelledError, MatchResult
from keisei.evaluation.openings import Opening, load_openings
from keisei.evaluation.scores import Score
from keisei.evaluation.sprt import SPRT
from keisei.evaluation.usi_player import UsiSettings

DUMMY = Path(__file__).parent / "dummy_engine.py"
PATIENT = 60.0
# Much more than an answer takes on a busy machine; a late engine waits until it is over.
CLOCK = TimeControl(byoyomi=3000)
# Black can declare (28 points), and has many other moves.
DECLARABLE = "+R+R+B+BGGG1K/SSSS5/9/9/9/9/9/9/k8 b G4N4L9P9p 101"


def dummy(*words: str, seconds: float = PATIENT) -> UsiSettings:
    text = " ".join(f"'{word}'" for word in (sys.executable, str(DUMMY), *words))
    return UsiSettings(text, go="nodes 10", seconds=seconds)


def play(first: UsiSettings, second: UsiSettings, **options) -> MatchResult:
    given = {"games": 4, "parallel": 2, "max_plies": 20, "names": ("A", "B")} | options
    return play_engines(first, second, **given)


@pytest.mark.parametrize("control", [None, CLOCK], ids=["nodes", "clock"])
@pytest.mark.parametrize(
    ("fault", "ending", "seconds"),
    [
        ("dies", "crash", PATIENT),
        ("stalls", "stall", 0.5),
        ("illegal", "illegal_move", PATIENT),
        ("empty", "illegal_move", PATIENT),
        ("wins", "illegal_move", PATIENT),
        ("resigns", "resignation", PATIENT),
    ],
)
def test_a_faulty_engine_loses_each_game_by_its_fault(
    fault: str, ending: str, seconds: float, control: TimeControl | None
) -> None:
    if fault == "stalls" and control is not None:
        control = TimeControl(byoyomi=500)  # the other, which is honest, is never asked
    faulty = dummy(fault, seconds=seconds)
    result = play(faulty, faulty, games=2, control=control, records=None)
    # Whoever is asked first, black, is at fault.
    assert result.endings == {ending: Score(1, 0, 1)}
    assert result.black == Score(0, 0, 1) and result.white == Score(1, 0, 0)
    assert [record.winner for record in result.records] == ["white", "white"]
    assert [record.plies for record in result.records] == [0, 0]


def test_faults_in_the_middle_of_games_are_counted_exactly() -> None:
    """After three moves the process dies; it is started again, and so on in each game."""
    result = play(dummy("dies", "3"), dummy(), games=6, records=None)
    assert result.endings == {"crash": Score(0, 0, 6)}
    # As black it dies at its fourth move, that is after six plies; as white after seven.
    assert [record.plies for record in result.records] == [6, 7] * 3


def test_a_late_answer_loses_by_time() -> None:
    late = dummy("late")
    result = play(late, dummy(), games=2, control=TimeControl(byoyomi=1500))
    assert result.endings == {"time": Score(0, 0, 2)}


def test_a_flood_on_stderr_is_no_fault() -> None:
    result = play(dummy("floods"), dummy(), games=2, control=CLOCK)
    assert result.endings == {"move_limit": Score(0, 2, 0)}


def test_without_a_clock_nobody_is_late() -> None:
    result = play(dummy("late"), dummy(), games=1, max_plies=4)
    assert result.endings == {"move_limit": Score(0, 1, 0)}


def test_an_engine_that_cannot_be_started_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="engine A: it ended with status 3"):
        play(dummy("dies at once"), dummy())


def test_games_are_the_same_whatever_runs_beside_them() -> None:
    openings = load_openings()[:3]
    alone, together = (
        play(dummy(), dummy(), games=6, parallel=n, openings=openings, max_plies=40, records=None)
        for n in (1, 3)
    )
    for one, other in zip(alone.records, together.records, strict=True):
        assert (one.moves, one.start, one.ending, one.winner, one.black) == (
            other.moves,
            other.start,
            other.ending,
            other.winner,
            other.black,
        )
    assert [record.black for record in alone.records] == ["A", "B"] * 3
    for number, record in enumerate(alone.records):
        opening = openings[number // 2]
        assert record.opening_plies == len(opening.moves)
        assert record.moves[: len(opening.moves)] == opening.moves
        assert len(record.seconds) == record.plies and record.date is not None
        assert set(record.seconds[: record.opening_plies]) == {0.0}
        assert record.values[: record.opening_plies] == (None,) * record.opening_plies
        assert record.values[-1] is not None


def test_a_declaration_ends_a_game_when_it_is_made() -> None:
    assert Position.from_sfen(DECLARABLE).can_declare
    opening = Opening(DECLARABLE)
    made = play(dummy("wins"), dummy(), games=1, openings=[opening])
    assert made.endings == {"declaration": Score(1, 0, 0)}
    not_made = play(dummy(), dummy(), games=1, openings=[opening], max_plies=4)
    assert not_made.endings == {"move_limit": Score(0, 1, 0)}


def test_repetition_is_seen() -> None:
    """Two kings that only walk to and fro."""
    start = "4k4/9/9/9/9/9/9/9/4K4 b - 1"
    result = play(dummy(), dummy(), games=2, openings=[Opening(start)], max_plies=200)
    assert result.endings == {"repetition": Score(0, 2, 0)}


def test_the_match_ends_when_the_test_is_sure() -> None:
    test = SPRT(0, 400, alpha=0.1, beta=0.1)

    def enough(result: MatchResult) -> bool:
        return test.decide(result.pairs) is not None

    result = play(dummy(), dummy("resigns"), games=400, parallel=3, enough=enough)
    assert result.losses == 0 and 4 <= result.games < 400
    assert test.decide(result.pairs) == "H1"
    shorter = result.games - 2
    assert test.decide(play(dummy(), dummy("resigns"), games=shorter).pairs) is None


def test_what_is_finished_is_told_in_pairs_and_in_order() -> None:
    told: list[MatchResult] = []

    def enough(result: MatchResult) -> bool:
        told.append(result)
        return False

    whole = play(dummy(), dummy("resigns"), games=7, parallel=3, enough=enough, records=None)
    assert [result.games for result in told] == [2, 4, 6, 7]
    assert told[-1] == whole
    for result in told:
        assert result.records == whole.records[: result.games]


def test_each_game_that_is_over_is_told() -> None:
    told: list[Score] = []
    whole = play(dummy(), dummy("resigns"), games=5, parallel=2, finished=told.append)
    assert told == [Score(wins=count) for count in range(1, 6)]
    assert whole.score == told[-1]


def test_games_that_are_thrown_away_are_not_told() -> None:
    told: list[Score] = []
    enough = {"enough": lambda _: True, "finished": told.append}
    result = play(dummy(), dummy("resigns"), games=40, parallel=1, **enough)
    assert result.games == 2 and told == [Score(wins=1), Score(wins=2)]


def test_a_match_can_be_cancelled() -> None:
    with pytest.raises(MatchCancelledError, match="A against B was asked to stop"):
        play(dummy(), dummy(), cancelled=lambda: True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("300+2", TimeControl(300_000, 2000, 0)),
        ("60/0.5", TimeControl(60_000, 0, 500)),
        ("0/1", TimeControl(0, 0, 1000)),
        ("10", TimeControl(10_000, 0, 0)),
    ],
)
def test_times_are_read(text: str, expected: TimeControl) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize("text", ["", "x", "1+x", "0/0", "-1+1", "nan", "inf"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="time: expected"):
        parse_time(text)


def test_the_command_plays_engines(tmp_path: Path) -> None:
    players = [f"A=usi:{dummy().command};go=nodes 5", f"B=usi:{dummy('resigns').command}"]
    out = tmp_path / "out.json"
    saved = ["--save-games", str(tmp_path / "games"), "--json", str(out)]
    status = main([*players, "--games", "4", "--time", "60+1", "--max-plies", "30", *saved])
    assert status == 0
    (pairing,) = json.loads(out.read_text())["pairings"]
    assert pairing["score"]["wins"] == 4
    assert pairing["endings"] == {"resignation": {"wins": 4, "draws": 0, "losses": 0}}
    assert (tmp_path / "games" / "games.csa").read_text().count("%TORYO") == 4


def test_a_clock_is_for_engines_alone(caplog: pytest.LogCaptureFixture) -> None:
    assert main([f"A=usi:{dummy().command}", "random", "--time", "60+1"]) == 2
    assert "--time: expected USI engines alone, which have clocks, got 'random'" in caplog.text
