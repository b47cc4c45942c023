"""USI engines as players: what they are told, what is understood, and what their faults cost."""

from __future__ import annotations

import math
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest

from keisei import Position
from keisei.evaluation.fixed_players import UniformPlayer
from keisei.evaluation.match import MatchResult, play_match
from keisei.evaluation.openings import load_openings
from keisei.evaluation.opponents import make_player
from keisei.evaluation.players import Choice, Turn
from keisei.evaluation.usi_engine import (
    BadAnswer,
    EngineCrashed,
    EngineError,
    EngineOption,
    EngineStalled,
    SearchInfo,
    UsiEngine,
    parse_option,
)
from keisei.evaluation.usi_player import UsiPlayer, UsiSettings, expected_result, parse_usi
from keisei.utils.plugins import PluginError

DUMMY = Path(__file__).parent / "dummy_engine.py"
START = Position().sfen()
FAIRY = shutil.which("fairy-stockfish", path="/usr/games:/usr/local/bin:/usr/bin")


def command(*words: str) -> list[str]:
    return [sys.executable, str(DUMMY), *words]


def settings(*words: str, seconds: float = 30.0, processes: int = 2) -> UsiSettings:
    text = " ".join(f"'{word}'" for word in command(*words))
    return UsiSettings(text, go="nodes 10", seconds=seconds, processes=processes)


def test_an_engine_is_started_asked_and_left() -> None:
    with UsiEngine(
        command(), options={"skill_level": "-3", "Clear": "", "USI_Ponder": "false"}
    ) as e:
        assert (e.id_name, e.id_author) == ("dummy", "nobody")
        e.new_game()
        e.position(START)
        first = e.go("nodes 10", seconds=30)
        e.position(START, ["7g7f", "3c3d"])
        second = e.go("nodes 10", seconds=30)
        assert e.is_running
    assert not e.is_running
    assert first.move == "1g1f" and first.ponder is None and first.seconds > 0
    assert first.info == SearchInfo(3, 12, 100, None, ("1g1f", "3c3d"))
    assert first.others == (SearchInfo(centipawns=-900, pv=("9i9h",)),)
    assert second.info.centipawns == 200


def test_options_are_checked_and_sent_by_their_own_names() -> None:
    given = {"SKILL_LEVEL": "-20", "Style": "Very Risky", "own book": "false", "Clear": ""}
    engine = UsiEngine(command(), options=given)
    engine.start()
    engine.send("isready")
    line = engine._line(time.monotonic() + 30, "readyok")
    assert line.split(" string ")[1].split(" | ") == [
        "setoption name Skill Level value -20",
        "setoption name Style value Very Risky",
        "setoption name Own Book value false",
        "setoption name Clear",
    ]
    engine.quit()
    for name, value, message in [
        ("Threads", "2", r"option 'Threads': expected one of: USI_Hash, Skill Level, Style"),
        ("Skill_Level", "21", r"option Skill Level: expected -20 to 20, got '21'"),
        ("Skill_Level", "much", r"option Skill Level: expected a whole number, got 'much'"),
        ("Style", "Mad", r"option Style: expected Solid or Very Risky, got 'Mad'"),
        ("Own_Book", "yes", r"option Own Book: expected true or false, got 'yes'"),
    ]:
        with pytest.raises(BadAnswer, match=message):
            UsiEngine(command(), options={name: value}).start()


@pytest.mark.parametrize(
    ("line", "option"),
    [
        (
            "option name USI_Hash type spin default 16 min 1 max 1024",
            EngineOption("USI_Hash", "spin", "16", 1, 1024),
        ),
        (
            "option name Two Words type combo default A b var A b var C",
            EngineOption("Two Words", "combo", "A b", None, None, ("A b", "C")),
        ),
        ("option name Go type button", EngineOption("Go", "button")),
        (
            "option name File type string default <empty>",
            EngineOption("File", "string", "<empty>"),
        ),
        ("option name Empty type string default", EngineOption("Empty", "string", "")),
        ("option name Odd", EngineOption("Odd", "string")),
    ],
)
def test_option_lines(line: str, option: EngineOption) -> None:
    assert parse_option(line) == option


def test_faults_are_told_apart() -> None:
    with pytest.raises(EngineCrashed, match=r"no-such-program: cannot be started"):
        UsiEngine("no-such-program --x").start()
    with pytest.raises(EngineCrashed, match=r"ended with status 3; .*: no network file"):
        UsiEngine(command("dies at once"), name="odd").start()
    with pytest.raises(EngineStalled, match=r"engine odd: expected usiok in time, got nothing"):
        UsiEngine(command("says nothing"), name="odd", start_seconds=2.0).start()
    for fault, kind, message in [
        ("dies", EngineCrashed, r"ended with status 7; .*: segmentation fault, so to speak"),
        ("stalls", EngineStalled, r"expected bestmove in time"),
        ("empty", BadAnswer, r"expected a move after bestmove, got 'bestmove'"),
    ]:
        engine = UsiEngine(command(fault, "1"))
        engine.start()
        engine.position(START)
        engine.go("", seconds=30)
        with pytest.raises(kind, match=message):
            engine.go("", seconds=1.0 if fault == "stalls" else 30.0)
        engine.kill()
        assert not engine.is_running
    with pytest.raises(EngineCrashed, match="it was not started"):
        engine.send("usi")


def play(*words: str, games: int = 6, seconds: float = 30.0, processes: int = 2) -> MatchResult:
    player = UsiPlayer(settings(*words, seconds=seconds, processes=processes), "dummy")
    try:
        return play_match(
            player,
            UniformPlayer(),
            games=games,
            max_plies=24,
            openings=load_openings(),
            names=("dummy", "random"),
            records=None,
        )
    finally:
        player.close()


def test_a_match_is_what_the_engine_plays() -> None:
    """Whatever the number of its processes: each game is its own."""
    result = play()
    assert result.games == 6
    for game, record in enumerate(result.records):
        positions = [position.copy() for position in record.positions()]
        for ply in range(record.opening_plies, record.plies):
            if (ply % 2 == 0) == (game % 2 == 0):
                assert record.moves[ply] == min(positions[ply].legal_moves())
                assert record.values[ply] is not None and record.values[ply] > 0
            else:
                assert record.values[ply] is None
    one = play(processes=1)
    assert [game.moves for game in one.records] == [game.moves for game in result.records]


def test_what_floods_stderr_plays_on() -> None:
    assert play("floods", games=2).games == 2


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        ("dies", "crash"),
        ("illegal", "illegal_move"),
        ("resigns", "resignation"),
        ("wins", "illegal_move"),
        ("empty", "illegal_move"),
    ],
)
def test_a_fault_loses_the_game_and_no_other(fault: str, ending: str) -> None:
    """The third move of a process is bad; started again after a death, its third one again."""
    result = play(fault, "2", games=2, processes=1)
    assert result.losses == result.endings[ending].games >= 1
    record = next(record for record in result.records if record.ending == ending)
    assert record.winner is not None and getattr(record, record.winner) == "random"


def test_an_engine_that_is_silent_loses_by_it() -> None:
    result = play("stalls", "1", games=2, processes=2, seconds=0.5)
    assert result.endings["stall"].losses == 2


def test_an_engine_that_is_left_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A match that is given up ends its engines, on one thread, while others start them."""
    engine = UsiEngine(command())
    engine.kill()
    engine.command = ["false"]
    begin, left = threading.Thread.start, []

    def leave_first(thread: threading.Thread) -> None:
        if not left:
            assert engine._process is not None
            left.append(engine._process.wait())
            with pytest.raises(EngineCrashed):
                engine.send("stop")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", leave_first)
    with pytest.raises(EngineCrashed, match="ended with status 1"):
        engine.start()
    assert left == [1] and not engine.is_running


def test_what_cannot_be_started_is_no_loss_but_an_error() -> None:
    with pytest.raises(EngineError, match="ended with status 3"):
        play("dies at once")


def test_settings_in_one_line() -> None:
    got = parse_usi("my engine --x; Skill Level = -10 ;go=nodes 5; seconds=2.5;processes=3;A=b=c;")
    assert got == UsiSettings(
        "my engine --x", {"Skill Level": "-10", "A": "b=c"}, "nodes 5", 2.5, 3
    )
    assert parse_usi("engine") == UsiSettings("engine")
    for text, message in [
        ("", "expected a command"),
        (";go=x", "expected a command"),
        ("engine;quick", "expected NAME=VALUE, got 'quick'"),
        ("engine;seconds=0", "expected positive numbers"),
        ("engine;processes=0", "expected positive numbers"),
    ]:
        with pytest.raises(ValueError, match=message):
            parse_usi(text)
    with pytest.raises(PluginError, match="opponent 'e': expected a program that can be run"):
        make_player("usi:no-such-program", name="e")


def test_scores_as_expected_results() -> None:
    assert expected_result(SearchInfo(centipawns=0)) == 0.0
    # 600 ln((1 + v) / (1 - v)) with v = 0.5
    assert expected_result(SearchInfo(centipawns=659)) == pytest.approx(0.5, abs=1e-3)
    assert expected_result(SearchInfo(mate=3)) == 1.0 and expected_result(SearchInfo(mate=-4)) == -1
    assert math.isnan(expected_result(SearchInfo()))


@pytest.mark.skipif(FAIRY is None, reason="Fairy-Stockfish (Debian fairy-stockfish) is not here")
def test_fairy_stockfish_beats_random_play() -> None:
    player = make_player(f"usi:{FAIRY};Skill_Level=20;go=nodes 300")
    try:
        result = play_match(
            player, UniformPlayer(), games=4, openings=load_openings(), records=None
        )
    finally:
        player.close()
    assert result.wins == 4, result.endings


class Interrupting(UniformPlayer):
    """Gives the match up while the engine has more to do."""

    def choose(self, turn: Turn) -> Choice:
        raise KeyboardInterrupt


def test_a_match_that_is_given_up_leaves_no_search_behind() -> None:
    player = UsiPlayer(settings(), "dummy")
    with pytest.raises(KeyboardInterrupt):
        play_match(player, Interrupting(), games=4)
    engines = list(player._engines)
    assert len(engines) == 2 and all(engine.is_running for engine in engines)
    player.close()
    assert not any(engine.is_running for engine in engines)


def test_stop_ends_a_search() -> None:
    """And is not sent to an engine that does not search."""
    with UsiEngine(command("ponders")) as engine:
        engine.new_game()
        engine.stop()
        engine.position(START)
        answered = threading.Event()

        def stop() -> None:
            while not answered.wait(0.01):
                engine.send("stop")

        stopping = threading.Thread(target=stop)
        stopping.start()
        best = engine.go("infinite", seconds=60)
        answered.set()
        stopping.join()
    assert best.move == "1g1f"
