"""What options change, seen from outside."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from engine.driver import Engine, fields, score_line

Start = Callable[..., Engine]


@pytest.fixture
def mock(start: Start) -> Engine:
    """An engine whose evaluations differ from position to position."""
    engine = start("--model", "mock")
    engine.ask("setoption name Threads value 1")
    engine.ready()
    return engine


def test_multipv(mock: Engine) -> None:
    mock.ask("setoption name MultiPV value 4")
    answer = mock.think("position startpos", "go nodes 400")
    last = [fields(line, ["multipv", "score", "pv"]) for line in answer[-5:-1]]
    # The best line comes last, where runners read the score.
    assert [shown["multipv"] for shown in last] == ["4", "3", "2", "1"]
    assert len({shown["pv"].split()[0] for shown in last}) == 4
    assert last[-1]["pv"].split()[0] == answer[-1].split()[1]
    # No more lines than moves.
    answer = mock.think("go nodes 400 searchmoves 7g7f 2g2f")
    assert [fields(line, ["multipv"])["multipv"] for line in answer[-3:-1]] == ["2", "1"]
    mock.quit()


@pytest.mark.parametrize(
    ("option", "go", "nodes"),
    [
        ("NodesLimit value 50", "go", 50),
        ("NodesLimit value 50", "go nodes 20", 20),
        ("NodesLimit value 50", "go nodes 2000", 50),
        ("NodesLimit value 50", "go btime 600000 wtime 600000", 50),
    ],
)
def test_limits_of_nodes(mock: Engine, option: str, go: str, nodes: int) -> None:
    mock.ask(f"setoption name {option}")
    answer = mock.think("position startpos", go)
    assert int(fields(score_line(answer), ["nodes"])["nodes"]) == nodes
    mock.quit()


def test_depth_limit(mock: Engine) -> None:
    mock.ask("setoption name DepthLimit value 3")
    for go in ("go", "go depth 9", "go infinite"):
        mock.send("usinewgame", "position startpos", go)
        if go == "go infinite":
            mock.send("stop")
        line = score_line([*mock.until("bestmove ")])
        assert int(fields(line, ["depth"])["depth"]) <= 3
    mock.quit()


def test_draw_values(start: Start) -> None:
    """At the move limit every move draws: what that is worth to each side is an option."""
    engine = start("--model", "uniform")
    engine.ask(
        "setoption name NodesLimit value 64",
        "setoption name MaxMovesToDraw value 1",
        "setoption name DrawValueBlack value -300",
        "setoption name DrawValueWhite value 150",
    )
    shown = fields(score_line(engine.think("position startpos", "go")), ["score"])
    assert abs(int(shown["score"].removeprefix("cp ")) + 300) <= 1
    white = "position sfen lnsgkgsnl/7b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1"
    shown = fields(score_line(engine.think(white, "go")), ["score"])
    assert abs(int(shown["score"].removeprefix("cp ")) - 150) <= 1
    engine.quit()


ALIASES = {
    "UCT_Threads": "3",
    "DNN_Batch_Size": "16",
    "Draw_Ply": "320",
    "OwnBook": "false",
    "PV_Interval": "500",
}


@pytest.mark.parametrize("name", ALIASES)
def test_other_names_for_the_same_option(mock: Engine, name: str) -> None:
    assert mock.ask(f"setoption name {name} value {ALIASES[name]}") == []
    (refusal,) = mock.ask(f"setoption name {name} value x")
    assert refusal.startswith(f"info string setoption {name}: expected ")
    mock.quit()


def test_pv_interval(mock: Engine) -> None:
    """With 0 every report is shown; with a long interval only the last one."""
    mock.ask("setoption name PvInterval value 100000")
    assert len(mock.think("position startpos", "go nodes 3000")) == 2
    mock.ask("setoption name PvInterval value 0")
    assert len(mock.think("usinewgame", "position startpos", "go nodes 3000")) > 2
    mock.quit()


def test_debug_log_file(mock: Engine, tmp_path: Path) -> None:
    path = tmp_path / "log of it.txt"
    mock.ask(f"setoption name DebugLogFile value {path}")
    best = mock.best("position startpos", "go nodes 5")
    (refusal,) = mock.ask("setoption name DebugLogFile value no/such/folder/log")
    assert refusal.startswith("info string setoption DebugLogFile: expected a file that can be")
    mock.ask(b"caf\xe9")  # the log went on, in printable ASCII
    mock.ask("setoption name DebugLogFile value <empty>")
    mock.ask("position startpos moves 7g7f")
    lines = path.read_text(encoding="ascii").splitlines()
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} [<>] .*", line) for line in lines), lines
    texts = [line.split(" ", 1)[1] for line in lines]
    assert "> go nodes 5" in texts and any(text.startswith(f"< bestmove {best}") for text in texts)
    assert "> caf?" in texts and not any("7g7f" in text and text[0] == ">" for text in texts)
    mock.quit()


def test_hash_and_threads_change_between_searches(mock: Engine) -> None:
    for hash_mib, threads in ((1, 1), (16, 4), (2, 2)):
        assert (
            mock.ask(
                f"setoption name USI_Hash value {hash_mib}",
                f"setoption name Threads value {threads}",
            )
            == []
        )
        assert mock.ready() == ["readyok"]
        answer = mock.think("position startpos", "go nodes 3000")
        assert int(fields(score_line(answer), ["hashfull"])["hashfull"]) <= 1000
    mock.quit()


def test_gumbel_with_more_nodes_than_memory_could_list(mock: Engine) -> None:
    mock.ask("setoption name RootChoice value gumbel")
    mock.send("position startpos", "go nodes 1000000000000")
    begun = mock.until("info ")
    assert begun[-1].startswith("info depth "), begun
    mock.send("stop")
    answer = mock.until("bestmove ")
    assert not [line for line in answer if "string" in line], answer
    mock.quit()


DOCUMENT = Path(__file__).parents[2] / "docs" / "usi.md"


def documented() -> dict[str, tuple[str, str]]:
    """What docs/usi.md says of each option: its type or bounds, and its default."""
    out: dict[str, tuple[str, str]] = {}
    table = DOCUMENT.read_text(encoding="utf-8").split("## Options")[1].split("\n## ")[0]
    for row in re.findall(r"^\| (.*) \| (.*) \| (.*) \| .* \|$", table, re.MULTILINE)[1:]:
        names = re.findall(r"`(\w+)`", re.sub(r"\(.*\)", "", row[0]))
        bounds, defaults = row[1].split(", "), row[2].split(", ")
        for number, name in enumerate(names):
            out[name] = (
                bounds[min(number, len(bounds) - 1)],
                defaults[min(number, len(defaults) - 1)].strip("`"),
            )
    return out


def test_the_document_lists_every_option(start: Start) -> None:
    engine = start()
    engine.send("usi")
    declared: dict[str, tuple[str, str]] = {}
    for line in engine.until("usiok"):
        if match := re.match(
            r"option name (\w+) type (\w+) default (\S+)(?: min (\S+) max (\S+))?", line
        ):
            name, kind, default, low, high = match.groups()
            high = "10^12" if high == str(10**12) else high
            declared[name] = (kind if low is None else f"{low}..{high}", default)
    assert documented() == declared
    engine.quit()


def test_names_are_the_same_in_any_case(start: Start) -> None:
    engine = start("--model", "uniform")
    engine.ready()
    assert engine.ask("setoption name usi_hash value 100") == []
    (refused,) = engine.ask("setoption name multipv value 0")
    assert "expected a whole number from 1" in refused
