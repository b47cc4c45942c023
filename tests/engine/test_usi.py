"""The protocol, point by point, as GUIs and match runners use it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import cshogi
import pytest
from engine.driver import Engine, fields, score_line

Start = Callable[..., Engine]

MATED = "position sfen 4k4/9/9/9/9/9/4p4/4g4/4K4 b - 1"
MATE_IN_ONE = "position sfen 8k/9/8P/9/9/9/9/9/4K4 b G 1"
ONLY_CHECKS = "position sfen 8k/9/9/9/9/9/9/9/4K4 b R 1"
DECLARABLE = "position sfen +R+R+B+BKGGSS/SS7/9/9/9/9/9/9/k8 b 2P 1"
TSUME = "position sfen 8k/9/8P/9/9/9/9/9/9 b G2r2b3g4s4n4l17p 1"

# What GUIs and tournament scripts set by these names.
DECLARED = """
USI_Hash USI_Ponder Stochastic_Ponder MultiPV Threads BatchSize DNN_Model Device Precision
NodesLimit DepthLimit PvInterval MinimumThinkingTime NetworkDelay NetworkDelay2
RoundUpToFullSecond SlowMover MaxMovesToDraw EnteringKingRule ResignValue DrawValueBlack
DrawValueWhite PolicyTemperature USI_OwnBook BookFile GenerateAllLegalMoves DebugLogFile Seed
"""

GO_FORMS = [
    "go",
    "go btime 300000 wtime 300000 byoyomi 10000",
    "go byoyomi 10000 wtime 300000 btime 300000",
    "go btime 0 wtime 0 binc 1000 winc 2000",
    "go winc 2000 wtime 60000 binc 1000 btime 60000",
    "go btime -1500 wtime 0 byoyomi 3000",
    "go wtime 1000",
    "go movetime 500",
    "go depth 3",
    "go nodes 100 depth 9",
    "go nodes 1 btime 9223372036854775807",
    "go  btime\t100   wtime 100",
    "go btime 0 wtime 0 byoyomi 0",
    "go searchmoves 3c3d 8c8d nodes 3",
]

BAD_GO_FORMS = [
    "go btime",
    "go btime x wtime 1000",
    "go btime 1.5",
    "go byoyomi 99999999999999999999",
    "go nodes searchmoves 7g7f",
    "go fast",
    "go nodes 0",
    "go depth -3",
    "go searchmoves",
    "go perft 3",
    "go \x01\x7f",
]


def legal_moves(position: str) -> set[str]:
    board = cshogi.Board()
    board.set_position(position.removeprefix("position "))
    return {cshogi.move_to_usi(move) for move in board.legal_moves}


def test_usi_needs_no_model(start: Start) -> None:
    engine = start("--model", "no/such/file.pt")
    engine.send("usi")
    lines = engine.until("usiok")
    assert lines[0].startswith("id name keisei ")
    assert lines[1].startswith("id author ")
    options = lines[2:-1]
    assert options and all(
        re.fullmatch(
            r"option name \w+ type (filename|string) default \S+"
            r"|option name \w+ type check default (true|false)"
            r"|option name \w+ type spin default -?\d+ min -?\d+ max -?\d+"
            r"|option name \w+ type combo default \w+( var \w+)+",
            line,
        )
        for line in options
    ), options
    names = [line.split()[2] for line in options]
    assert len(set(names)) == len(names)
    # A runner refuses an engine without a move limit.
    assert set(DECLARED.split()) <= set(names), set(DECLARED.split()) - set(names)
    assert engine.quit() == []


def test_every_declared_default_is_accepted(start: Start) -> None:
    """GUIs send defaults back as they were declared."""
    engine = start("--model", "uniform", "--device", "cpu")
    engine.send("usi")
    lines = engine.until("usiok")
    assert "option name Device type string default cpu" in lines
    for line in lines:
        if line.startswith("option "):
            words = line.split()
            assert engine.ask(f"setoption name {words[2]} value {words[6]}") == []
    assert engine.ready() == ["readyok"]
    engine.quit()


def test_options_nobody_declared_are_tolerated(engine: Engine) -> None:
    answer = engine.ask(
        "setoption name UseBook value false",
        "setoption name Resign_Threshold value 10",
        "setoption name Contempt value",
    )
    assert len(answer) == 3
    assert all(line.startswith("info string setoption: no option ") for line in answer)
    assert engine.ready() == ["readyok"]
    engine.quit()


@pytest.mark.parametrize("form", GO_FORMS)
def test_go_in_all_forms(engine: Engine, form: str) -> None:
    position = "position startpos moves 7g7f"
    answer = engine.think(position, form)
    best = answer[-1].split()
    assert best[1] in legal_moves(position)
    if len(best) > 2:
        assert best[2] == "ponder" and best[3] in legal_moves(f"{position} {best[1]}")
    names = ["depth", "seldepth", "time", "nodes", "nps", "hashfull", "score", "pv"]
    shown = fields(score_line(answer), names)
    assert list(shown) == names
    numbers = {name: int(shown[name]) for name in names[:6]}
    assert numbers["seldepth"] >= numbers["depth"] >= 1
    assert 1 <= numbers["nodes"] <= 4 and 0 <= numbers["hashfull"] <= 1000
    assert re.fullmatch(r"(cp|mate) -?\d+", shown["score"])
    assert shown["pv"].split()[0] == best[1]
    assert engine.ask() == []
    engine.quit()


@pytest.mark.parametrize("form", BAD_GO_FORMS)
def test_go_with_a_bad_word_is_still_answered(engine: Engine, form: str) -> None:
    engine.ask("position startpos")
    answer = engine.think(form)
    assert answer[0].startswith("info string go"), answer
    assert answer[-1].split()[1] in legal_moves("position startpos")
    assert engine.ask() == []
    engine.quit()


def test_go_without_isready_or_position(start: Start) -> None:
    engine = start("--model", "uniform")
    assert engine.best("go nodes 2") in legal_moves("position startpos")
    engine.quit()


@pytest.mark.parametrize("go", ["go infinite", "go btime 100 infinite wtime 100"])
def test_infinite_waits_for_stop(engine: Engine, go: str) -> None:
    engine.ask("setoption name PvInterval value 0")
    engine.send("position startpos", go)
    engine.until("info depth ")
    # Nodes are limited: the search is over, its answer is held.
    waiting = engine.ask("", "setoption name Seed value 3")
    assert all(line.startswith("info depth ") for line in waiting), waiting
    assert engine.best("stop") in legal_moves("position startpos")
    assert engine.ask("stop") == []  # the answer and a stop may cross
    engine.quit()


@pytest.mark.parametrize("hit", ["ponderhit", "ponderhit btime 1000 wtime 1000 byoyomi 500"])
@pytest.mark.parametrize("go", ["go ponder", "go btime 1 ponder wtime 1 byoyomi 5"])
def test_ponder_waits_for_ponderhit(engine: Engine, go: str, hit: str) -> None:
    waiting = engine.ask("position startpos moves 7g7f", go)
    assert not any(line.startswith("bestmove") for line in waiting)
    assert engine.best(hit) in legal_moves("position startpos moves 7g7f")
    engine.quit()


def test_ponder_miss(engine: Engine) -> None:
    engine.ask("position startpos moves 7g7f 3c3d", "go ponder btime 1000 wtime 1000")
    pondered = engine.best("stop")
    assert pondered in legal_moves("position startpos moves 7g7f 3c3d")
    real = "position startpos moves 7g7f 8c8d"
    assert engine.best(real, "go btime 1000 wtime 1000") in legal_moves(real)
    engine.quit()


def test_infinite_pondering_outlives_ponderhit(engine: Engine) -> None:
    waiting = engine.ask("position startpos", "go ponder infinite", "ponderhit")
    assert not any(line.startswith("bestmove") for line in waiting)
    engine.best("stop")
    engine.quit()


@pytest.mark.parametrize("go", ["go infinite", "go ponder"])
@pytest.mark.parametrize(
    "ending", ["stop", "gameover win", "gameover draw", "gameover", "usinewgame", "isready"]
)
def test_whatever_ends_a_search_brings_its_one_bestmove(
    engine: Engine, go: str, ending: str
) -> None:
    engine.ask("position startpos", go)
    answer = engine.ask(ending)
    assert sum(line.startswith("bestmove ") for line in answer) == 1, answer
    assert engine.ask("stop") == []
    engine.quit()


def test_quit_and_the_end_of_input_bring_it_too(engine: Engine, start: Start) -> None:
    engine.ask("position startpos", "go infinite")
    last = engine.quit()
    assert sum(line.startswith("bestmove ") for line in last) == 1, last
    assert last[-1].startswith("bestmove ")
    other = start("--model", "uniform")
    other.ask("go ponder")
    other.end_of_input()
    assert other.rest()[-1].startswith("bestmove ")
    assert other.status() == 0


def test_pondering_on_after_ponderhit_keeps_the_clock(start: Start) -> None:
    """ShogiHome's early pondering tells the times by ponderhit alone."""
    engine = start("--model", "uniform")
    engine.ready()
    engine.ask("position startpos moves 7g7f 3c3d", "go ponder")
    assert engine.best("ponderhit btime 0 wtime 0 byoyomi 20") in legal_moves(
        "position startpos moves 7g7f 3c3d"
    )
    engine.ask("go ponder btime 0 wtime 0 byoyomi 20")
    engine.best("ponderhit")
    engine.quit()


@pytest.mark.parametrize("hit", ["ponderhit", "ponderhit btime 1000 wtime 1000 binc 10 winc 10"])
def test_stochastic_ponder(engine: Engine, hit: str) -> None:
    """It thinks about all moves of the opponent; the answer is to the one that was made."""
    engine.ask("setoption name Stochastic_Ponder value true", "setoption name PvInterval value 0")
    position = "position startpos moves 7g7f 3c3d 2g2f 8c8d"
    engine.send(position, "go ponder btime 1000 wtime 1000 binc 10 winc 10")
    shown = fields(engine.until("info depth ")[-1], ["pv"])
    assert shown["pv"].split()[0] in legal_moves("position startpos moves 7g7f 3c3d 2g2f")
    assert engine.best(hit) in legal_moves(position)
    engine.ask(position, "go ponder")
    assert engine.best("stop") in legal_moves(position)
    engine.ask("position startpos", "go ponder")
    assert engine.best("ponderhit") in legal_moves("position startpos")
    engine.quit()


def test_a_new_go_ends_the_old_one(engine: Engine) -> None:
    engine.send("position startpos", "go infinite", "position startpos moves 7g7f", "go")
    first, second = engine.until("bestmove ")[-1], engine.until("bestmove ")[-1]
    assert first.split()[1] in legal_moves("position startpos")
    assert second.split()[1] in legal_moves("position startpos moves 7g7f")
    assert engine.ask() == []
    engine.quit()


def test_ponderhit_out_of_the_blue(engine: Engine) -> None:
    answer = engine.ask("ponderhit")
    assert len(answer) == 1 and answer[0].startswith("info string ponderhit: ")
    engine.quit()


def test_game_after_game(engine: Engine) -> None:
    for result in ("win", "lose", "draw"):
        assert engine.ask("usinewgame") == []
        for position in ("position startpos", "position startpos moves 2g2f 8c8d"):
            assert engine.best(position, "go byoyomi 10") in legal_moves(position)
        assert engine.ask(f"gameover {result}") == []
        assert engine.ready() == ["readyok"]
    engine.quit()


@pytest.mark.parametrize(
    "position",
    [
        "position sfen lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1 moves 7g7f",
        # Handicaps: white, with fewer pieces, moves first.
        "position sfen lnsgkgsnl/7b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1",
        "position sfen 4k4/9/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1 moves 5a5b 7g7f",
        # More than nine of a piece in hand, late in a long game.
        "position sfen 4k4/9/9/9/9/9/9/9/4K4 w RB4G4S4N4L18Prb 301",
        "position  startpos   moves\t7g7f 3c3d ",
        "position startpos moves",
        TSUME,
    ],
)
def test_positions(engine: Engine, position: str) -> None:
    plain = " ".join(position.split()).removesuffix(" moves")
    assert engine.best(position, "go") in legal_moves(plain)
    assert engine.best(position + "\r", "go\r") in legal_moves(plain)
    engine.quit()


def test_a_position_without_its_move_number(engine: Engine) -> None:
    sfen = "4k4/9/9/9/9/9/9/9/4K4 w RB4G4S4N4L18Prb"
    with_number = engine.best(f"position sfen {sfen} 1 moves 5a5b", "go")
    assert engine.best(f"position sfen {sfen} moves 5a5b", "go") == with_number != "resign"
    engine.quit()


def test_a_whole_game_against_itself(engine: Engine) -> None:
    """Every move is legal for an independent rulebook, to the end of the game."""
    board = cshogi.Board()
    moves: list[str] = []
    while len(moves) < 400:
        answer = engine.best("position startpos moves " + " ".join(moves), "go byoyomi 1")
        if answer in ("resign", "win"):
            assert (answer == "resign") == board.is_game_over()
            break
        move = board.move_from_usi(answer)
        assert board.is_legal(move), (board.sfen(), answer)
        board.push(move)
        moves.append(answer)
    assert len(moves) > 20
    engine.quit()


def test_resign_without_a_legal_move(engine: Engine) -> None:
    assert engine.think(MATED, "go") == [
        "info depth 0 time 0 nodes 0 score mate -1",
        "bestmove resign",
    ]
    assert engine.best("go searchmoves 5i4h") == "resign"
    engine.quit()


def test_declaration(engine: Engine) -> None:
    answer = engine.think(DECLARABLE, "go")
    assert answer[-1] == "bestmove win"
    assert fields(score_line(answer), ["score"]) == {"score": "mate 1"}
    assert engine.ask("go infinite") == [answer[-2]]
    assert engine.best("stop") == "win"
    # One piece fewer in hand is one point short.
    assert engine.best(DECLARABLE.replace("2P", "P"), "go") != "win"
    assert engine.ask("setoption name EnteringKingRule value NoEnteringKing") == []
    assert engine.best(DECLARABLE, "go") in legal_moves(DECLARABLE)
    assert engine.ask("setoption name EnteringKingRule value CSARule27") == []
    assert engine.best("go") == "win"
    assert engine.best("go searchmoves 1a2b") == "1a2b"
    engine.quit()


def test_declaration_by_the_24_point_rule(engine: Engine) -> None:
    assert engine.ask("setoption name EnteringKingRule value CSARule24") == []
    # 31 points win, 30 would only draw.
    assert engine.best(DECLARABLE.replace("2P", "4P"), "go") != "win"
    assert engine.best(DECLARABLE.replace("2P", "5P"), "go") == "win"
    engine.quit()


def test_searchmoves(engine: Engine) -> None:
    assert engine.best("position startpos", "go searchmoves 7g7f") == "7g7f"
    assert engine.best("go searchmoves 2g2f btime 100 wtime 100") == "2g2f"
    for _ in range(10):
        assert engine.best("go btime 100 searchmoves 2g2f 9g9f depth 2") in {"2g2f", "9g9f"}
    answer = engine.think("go searchmoves 7g7f 5a5b nonsense")
    assert [line.split(":")[0] for line in answer[:2]] == ["info string go searchmoves"] * 2
    assert answer[-1].split()[1] == "7g7f"
    assert engine.best("go searchmoves 5a5b") == "resign"
    engine.quit()


@pytest.mark.parametrize("go", ["go mate infinite", "go mate 5000", "go mate", "go byoyomi 1 mate"])
def test_go_mate(engine: Engine, go: str) -> None:
    assert engine.think(MATE_IN_ONE, go)[-1] == "checkmate G*1b"
    assert engine.think(TSUME, go)[-1] == "checkmate G*1b"
    # No check at all, so no mate.
    assert engine.think("position startpos", go)[-1] == "checkmate nomate"
    assert engine.think(MATED, go)[-1] == "checkmate nomate"
    engine.quit()


def test_a_mating_move_is_scored_as_mate(engine: Engine) -> None:
    answer = engine.think(MATE_IN_ONE, "go searchmoves G*1b")
    assert fields(score_line(answer), ["score", "pv"]) == {"score": "mate 1", "pv": "G*1b"}
    engine.quit()


def test_a_seed_gives_one_game_and_seeds_differ(start: Start) -> None:
    def line(seed: int) -> list[str]:
        engine = start("--model", "uniform")
        engine.ask(f"setoption name Seed value {seed}", "setoption name Threads value 1")
        engine.ask("setoption name NodesLimit value 4", "setoption name GumbelScale value 100")
        moves: list[str] = []
        for _ in range(12):
            moves.append(engine.best("position startpos moves " + " ".join(moves), "go"))
        engine.quit()
        return moves

    assert line(1) == line(1)
    assert line(1) != line(2)


def test_keep_alive_while_loading(start: Start, tmp_path: Path) -> None:
    """A pipe in place of a file: loading lasts until somebody writes to it."""
    pipe = tmp_path / "slow.pt"
    os.mkfifo(pipe)
    engine = start("--model", str(pipe))
    engine.send("isready")
    assert engine.line() == ""
    with pipe.open("wb"):
        pass
    rest = engine.rest()
    assert len(rest) == 1 and rest[0].startswith(f"info string Error! model {pipe}: ")
    assert engine.status() == 1


def test_end_of_input_ends_it(start: Start) -> None:
    engine = start()
    engine.end_of_input()
    assert engine.rest() == []
    assert engine.status() == 0
