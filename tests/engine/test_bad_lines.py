"""Every bad line gets an info string and leaves the engine as it was."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from engine.driver import Engine

GOOD = "position startpos moves 7g7f"
BAD_POSITIONS = [
    "position",
    "position x",
    "position startpos 7g7f",
    "position startpos moves 7g7f 7g7f",
    "position startpos moves 7g7e",
    "position startpos moves 3c3d",
    "position startpos moves P*5e",
    "position startpos moves 7g7f resign",
    "position startpos moves 7g7f 3c3d 8h2b+ 5a5b?",
    "position startpos moves 9999",
    "position startpos moves 7g7f moves 3c3d",
    "position sfen",
    "position sfen moves 7g7f",
    "position sfen startpos",
    "position lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1",
    "position sfen lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSN b - 1",
    "position sfen lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL x - 1",
    "position sfen lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - one",
    "position sfen lnsgkgsnl/1r5b1/ppppppppp/9/9/P8/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1",
    "position sfen 4k4/9/9/9/9/9/9/9/4K4 b 19P 1",
    "position sfen 9/9/9/9/9/9/9/9/4K4 b - 1",
    "position sfen 8k/8R/9/9/9/9/9/9/4K4 b - 1",
    "position sfen " + "9/" * 5000 + " b - 1",
    "position startpos moves " + "7g7f " * 3000,
    "position startpos moves \xff\xfe",
    b"position startpos moves \x00\x80\xff 7g7f",
]
BAD_LINES = [
    "x",
    "Go",
    "bestmove 7g7f",
    "setoption",
    "setoption name",
    "setoption Seed value 1",
    "setoption name Seed 1",
    "setoption name Seed value",
    "setoption name Seed value -1",
    "setoption name Seed value 2147483648",
    "setoption name Seed value 1 2",
    "setoption name Seed value 1e3",
    "setoption name Seed value 99999999999999999999999999",
    "setoption name ResignValue value 0",
    "setoption name ResignValue value 100000",
    "setoption name MaxMovesToDraw value -1",
    "setoption name MaxMovesToDraw value 100001",
    "setoption name EnteringKingRule value TryRule",
    "setoption name USI_Hash value 0",
    "setoption name Threads value -1",
    "setoption name UCT_Threads value 100000",
    "setoption name MultiPV value 0",
    "setoption name MultiPV value 1.5",
    "setoption name USI_Ponder value yes",
    "setoption name USI_Ponder value 1",
    "setoption name SlowMover value 0",
    "setoption name NetworkDelay value -1",
    "setoption name MinimumThinkingTime value 100001",
    "setoption name DrawValueBlack value -10000",
    "setoption name PolicyTemperature value 0",
    "setoption name RootChoice value random",
    "setoption name DebugLogFile value no/such/folder/log.txt",
    "setoption name Device value cpu,,cpu",
    "setoption name Device value cuda,cuda:0",
    "setoption name Device value auto,cpu",
    "setoption name Device value cpu,tpu",
    "z" * 9_000_000,
    "setoption name EnteringKingRule value",
    "setoption name Precision value fp8",
    "setoption name Device value tpu",
    "setoption name Device value cuda:",
    "setoption name Device value cuda:-1",
    "setoption name Device value",
    "setoption name " + "N" * 100_000 + " value 1",
    "ponderhit",
    "\x1b[31m",
    b"\x00",
    b"\xff\xfe usi",
    b"\xe5\xb0\x86\xe6\xa3\x8b",
    "y" * 1_000_000,
]


def test_bad_lines_change_nothing(engine: Engine) -> None:
    engine.ask("setoption name Threads value 1", GOOD)
    before = engine.best("go")
    for bad in BAD_LINES:
        answer = engine.ask(bad)
        assert len(answer) == 1, (bad[:80], answer)
        assert answer[0].startswith("info string "), (bad[:80], answer)
        assert len(answer[0]) < 500
        assert engine.best("go") == before, bad[:80]
    assert engine.ready() == ["readyok"]
    engine.quit()


@pytest.mark.parametrize("bad", BAD_POSITIONS, ids=lambda bad: repr(bad)[:60])
def test_no_move_of_the_old_position_after_a_refused_one(engine: Engine, bad: str | bytes) -> None:
    before = engine.best("setoption name Threads value 1", GOOD, "go")
    answer = engine.ask(bad)
    assert len(answer) == 1 and answer[0].startswith("info string "), answer
    assert engine.best("go byoyomi 1000") == "resign"
    assert engine.best("go") == "resign"
    assert engine.think("go mate infinite")[-1] == "checkmate timeout"
    assert engine.best("usinewgame", "go") == "resign"
    assert engine.best("go infinite", "stop") == "resign"
    assert engine.best(GOOD, "go") == before
    engine.quit()


def test_empty_lines_are_nothing(engine: Engine) -> None:
    assert engine.ask("", "   ", "\t", "\r") == []
    engine.quit()


VOCABULARY = (
    "usi setoption position startpos sfen moves go infinite ponder mate searchmoves stop ponderhit "
    "gameover usinewgame name value Seed ResignValue MaxMovesToDraw EnteringKingRule Device "
    "7g7f 3c3d 8h2b+ P*5e b w - 1 -1 btime wtime byoyomi binc winc depth nodes movetime "
    "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL 4k4/9/9/9/9/9/9/9/4K4 2r2b4g4s "
    "\x00 \xff + * / 99999999999999999999 CSARule27 cuda:0 lose"
)
WORDS = VOCABULARY.split(" ")


def garbage(rng: random.Random) -> str | bytes:
    if rng.random() < 0.1:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(60))).replace(b"\n", b"")
    if rng.random() < 0.1:
        return GOOD
    start = rng.choice(("position startpos moves", "position sfen", "go", "setoption name", ""))
    return " ".join((start, *(rng.choice(WORDS) for _ in range(rng.randrange(8)))))


def test_garbage(start: Callable[..., Engine]) -> None:
    """Whatever comes, each `go` has its one answer in the end, and the engine plays on."""
    engine = start("--model", "uniform")
    rng = random.Random(20)
    sent: list[str | bytes] = []
    for _ in range(3000):
        line = garbage(rng)
        words = (line if isinstance(line, bytes) else line.encode()).split()
        if words[:1] != [b"quit"]:
            sent.append(line)
    goes = sum(
        (line if isinstance(line, bytes) else line.encode()).split()[:1] == [b"go"] for line in sent
    )
    assert goes > 300
    answers = [
        line for line in engine.ask(*sent, "stop") if line.startswith(("bestmove ", "checkmate "))
    ]
    assert len(answers) == goes
    assert engine.best("setoption name NodesLimit value 1", GOOD, "go") != "resign"
    engine.quit()
