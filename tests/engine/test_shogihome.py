"""What ShogiHome, the GUI, sends to an engine: start-up, game, pondering, analysis, consideration,
mate search; in its order and its words, waiting for what it waits for.

From its source (sunfish-shogi/shogihome, src/background/usi/engine.ts and src/renderer/players):
after `usiok` all options are sent, the two that every engine is taken to have included; `readyok`
is answered by `usinewgame`; a position comes with every `go`; times are the rest without the
increment, with either byoyomi or increments; a new `go` while one is under way is kept back until
`stop` has brought the old answer; options changed meanwhile follow right after it; `gameover` comes
right behind `stop`, and the answer that is still owed is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import cshogi
import pytest
from engine.driver import Engine, fields, score_line

Start = Callable[..., Engine]


class ShogiHome:
    """The GUI's side of the pipe."""

    def __init__(self, engine: Engine, early_ponder: bool = False, **options: str) -> None:
        self.engine = engine
        self.early_ponder = early_ponder
        engine.send("usi")
        lines = engine.until("usiok")
        declared: dict[str, str] = {"USI_Hash": "32", "USI_Ponder": "true"}
        for line in lines:
            if match := re.fullmatch(r"option name (\S+) type (\S+) default (\S*).*", line):
                declared[match[1]] = match[3]
        for name, value in {**declared, **options}.items():
            engine.send(f"setoption name {name} value {value}")

    def ready(self) -> None:
        self.engine.ready()
        self.engine.send("usinewgame")

    def moves(self, *lines: str) -> tuple[str, str | None]:
        """The answer to `go`, and the reply that the engine expects."""
        answer = self.engine.think(*lines)
        words = answer[-1].split()
        if words[1] not in ("resign", "win"):
            shown = fields(score_line(answer), ["depth", "nodes", "nps", "score", "pv"])
            assert shown["pv"].split()[0] == words[1]
        return words[1], words[3] if words[2:3] == ["ponder"] else None


def position(moves: list[str]) -> str:
    return "position startpos" + (" moves " + " ".join(moves) if moves else "")


def legal(board: cshogi.Board, usi: str) -> bool:
    try:
        return bool(board.is_legal(board.move_from_usi(usi)))
    except (ValueError, IndexError):
        return False


@pytest.mark.parametrize("early", [False, True], ids=["ponder", "early ponder"])
def test_a_game_with_pondering(start: Start, early: bool) -> None:
    """Both players are this engine; the guest's moves are hits and misses in turn."""
    gui = ShogiHome(start("--model", "mock"), early, PvInterval="0", NetworkDelay2="20")
    gui.ready()
    engine = gui.engine
    board = cshogi.Board()
    moves: list[str] = []
    times = (
        "btime 1200 wtime 1300 byoyomi 60" if not early else "btime 900 wtime 900 binc 40 winc 40"
    )
    best, reply = gui.moves(position(moves), f"go {times}")
    for turn in range(6):
        assert legal(board, best), (moves, best)
        board.push_usi(best)
        moves.append(best)
        other = next(cshogi.move_to_usi(m) for m in board.legal_moves)
        if reply is not None:
            assert legal(board, reply), (moves, reply)
            pondered = [*moves, reply]
            engine.send(position(pondered), "go ponder" + ("" if early else f" {times}"))
            if turn % 2 == 0:  # the guest plays as expected
                other = reply
                board.push_usi(other)
                moves.append(other)
                best, reply = gui.moves(f"ponderhit {times}" if early else "ponderhit")
                continue
            engine.send("stop")
            engine.until("bestmove ")  # of the wrong guess: ignored
        board.push_usi(other)
        moves.append(other)
        best, reply = gui.moves(position(moves), f"go {times}")
    # The guest resigns while the engine ponders.
    engine.send(position([*moves, best]), "go ponder" if early else f"go ponder {times}")
    engine.send("stop", "gameover win", "isready")
    lines = engine.until("readyok")
    assert sum(line.startswith("bestmove ") for line in lines) == 1
    engine.send("usinewgame")
    assert gui.moves("position startpos", f"go {times}")[0] != "resign"
    engine.send("gameover draw")
    engine.quit()


def test_consideration(start: Start) -> None:
    """`infinite`; the board is moved on meanwhile, and options change between."""
    gui = ShogiHome(start("--model", "mock"), MultiPV="3", PvInterval="0")
    gui.ready()
    engine = gui.engine
    for moves in ([], ["7g7f"], ["7g7f", "3c3d"], ["7g7f"], []):
        engine.send(position(moves), "go infinite")
        seen = set()
        while len(seen) < 3:
            line = engine.until("info depth ")[-1]
            seen.add(fields(line, ["multipv", "score", "pv"])["multipv"])
        assert seen == {"1", "2", "3"}
        engine.send("stop")
        engine.until("bestmove ")
        engine.send("setoption name MultiPV value 3")
    engine.send("position startpos moves 7g7f", "go infinite", "quit")
    assert sum(line.startswith("bestmove ") for line in engine.rest()) == 1
    assert engine.status() == 0


def test_analysis_of_a_record(start: Start) -> None:
    """Each position of a game for a while, with the score of every one."""
    gui = ShogiHome(start("--model", "mock"), PvInterval="0")
    gui.ready()
    moves = ["7g7f", "3c3d", "2g2f", "8c8d", "2f2e", "8d8e", "6i7h", "4a3b"]
    scores = []
    for count in range(len(moves) + 1):
        gui.engine.send(position(moves[:count]), "go infinite")
        gui.engine.until("info depth ")
        gui.engine.send("stop")
        scores.append(fields(score_line(gui.engine.until("bestmove ")), ["score"])["score"])
    assert len(scores) == len(moves) + 1
    gui.engine.send("gameover draw")
    gui.engine.quit()


@pytest.mark.parametrize("limit", ["infinite", "5000"])
def test_mate_search(start: Start, limit: str) -> None:
    gui = ShogiHome(start("--model", "uniform"))
    gui.ready()
    engine = gui.engine
    problem = "position sfen 8k/9/8P/9/9/9/9/9/9 b G2r2b3g4s4n4l17p 1"
    assert engine.think(problem, f"go mate {limit}")[-1] == "checkmate G*1b"
    assert engine.think("position startpos", f"go mate {limit}")[-1] == "checkmate nomate"
    # Broken off: an answer all the same, one of the three that there are.
    engine.send("position startpos moves 7g7f 3c3d 8h2b+", "go mate infinite", "stop")
    assert engine.until("checkmate ")[-1].split()[1] in ("nomate", "timeout")
    engine.quit()


def test_a_registration_dialogue(start: Start) -> None:
    """Adding an engine: its name and options, and away; no model, and nothing written."""
    engine = start()
    engine.send("usi")
    lines = engine.until("usiok")
    assert lines[0].startswith("id name ") and lines[1].startswith("id author ")
    assert engine.quit() == []
