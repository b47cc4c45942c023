"""The command keisei_play --analyse, with the engine and its mock network."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine.driver import KEISEI_PLAY, Engine, fields, run, score_line

from keisei import analyse

MOVES = ("7g7f", "3c3d", "8h2b+", "3a2b")
MOCK = ("--model", "mock", "--device", "cpu", "--threads", "1", "--nodes", "24")


@pytest.fixture
def game(tmp_path: Path) -> Path:
    path = tmp_path / "game.sfen"
    path.write_text(f"startpos moves {' '.join(MOVES)}\n")
    return path


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine("--model", "mock", "--device", "cpu")
    yield engine
    engine.close()


def test_values_and_losses_are_those_of_the_engine(
    game: Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.ask("setoption name Threads value 1")
    engine.ready()
    engine.ask("usinewgame")
    chances, best = [], []
    for ply in range(len(MOVES) + 1):
        moves = f" moves {' '.join(MOVES[:ply])}" if ply else ""
        said = engine.think(f"position startpos{moves}", "go nodes 24")
        found = fields(score_line(said), ["score", "pv"])
        kind, number = found["score"].split()
        assert kind == "cp", "no end is near here"
        cp = int(number) * (-1) ** ply
        chances.append(1 / (1 + math.exp(-cp / 600)))
        best.append(found["pv"].split())
    assert analyse.main(["--analyse", str(game), *MOCK, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [move["chance"] for move in data["moves"]] == pytest.approx(chances[1:])
    assert [move["lines"][0]["moves"] for move in data["moves"]] == best[:-1]
    losses = [
        0.0 if best[i][0] == move else max(0.0, (chances[i] - chances[i + 1]) * (-1) ** i)
        for i, move in enumerate(MOVES)
    ]
    assert max(losses) > 0
    assert [move["loss"] for move in data["moves"]] == pytest.approx(losses)


def test_the_installed_command_prints_a_table_and_writes_a_kif(game: Path) -> None:
    pytest.importorskip("rsshogi")
    out = game.with_name("out.kif")
    done = run("--analyse", str(game), *MOCK, "--multipv", "2", "--kif", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "black - white: 4 plies, unfinished, nobody won"
    shown = [line.split() for line in lines if line.lstrip()[:1].isdigit()]
    assert [words[1] for words in shown] == ["▲7g7f", "△3c3d", "▲8h2b+", "△3a2b"]
    assert [line.partition(":")[0] for line in lines[-3:-1]] == ["black", "white"]
    # What it wrote it reads, and finds the same.
    again = run("--analyse", str(out), *MOCK, "--multipv", "2")
    assert again.stdout == done.stdout


def test_each_game_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "games.sfen"
    path.write_text("startpos moves 7g7f\nstartpos\nstartpos moves 2g2f 8c8d\n")
    out = tmp_path / "out.kifu"
    assert analyse.main(["--analyse", str(path), *MOCK, "--json", "--kif", str(out)]) == 0
    games = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(game["moves"]) for game in games] == [1, 0, 2]
    assert sorted(file.name for file in tmp_path.glob("out*")) == [
        "out-1.kifu", "out-2.kifu", "out-3.kifu"
    ]  # fmt: skip


def test_games_beyond_their_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "games.sfen"
    shuffle = " ".join(["5i5h 5a5b 5h5i 5b5a"] * 3)
    path.write_text(
        f"startpos moves {shuffle} 7g7f\n"  # a fourth repetition that nobody saw
        "sfen 1K7/RRBBGGGSP/PPPPPPP2/9/9/9/9/4k4/9 b 2S2L 1 moves 8a9a\n"  # no declaration
    )
    assert analyse.main(["--analyse", str(path), *MOCK, "--json"]) == 0
    first, second = (json.loads(line)["moves"] for line in capsys.readouterr().out.splitlines())
    assert len(first) == 13
    assert second[0]["lines"] == [{"score": 9999, "mate": 1, "chance": 1.0, "moves": ["win"]}]


def test_a_reader_that_leaves(game: Path) -> None:
    command = [str(KEISEI_PLAY), "--analyse", str(game), *MOCK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as done:
        assert done.stdout is not None
        assert done.stderr is not None
        done.stdout.close()
        assert done.stderr.read() == b""
    assert done.returncode == 1


def test_a_time_for_each_position(game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--analyse", str(game), "--model", "uniform", "--movetime", "20", "--device=cpu"]
    assert analyse.main(arguments) == 0
    assert capsys.readouterr().out.count("+0") >= len(MOVES)


def test_what_cannot_be_done_is_said(
    game: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    game.with_name("bad.sfen").write_text("startpos moves 7g7f 7g7f\n")
    for file, model, expected in [
        ("none.sfen", "mock", "none.sfen"),
        ("bad.sfen", "mock", "bad.sfen: line 1: ply 2: move: '7g7f' is not legal"),
        ("game.sfen", str(tmp_path / "none.pt"), "Error! model"),
    ]:
        assert analyse.main(["--analyse", str(tmp_path / file), "--model", model]) == 1
        said = capsys.readouterr()
        assert said.err.startswith("keisei_play: ")
        assert expected in said.err
        assert said.out == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--nodes", "0"], "--nodes: expected a whole number from 1, got '0'"),
        (["--nodes", "5", "--movetime", "5"], "not allowed with argument --nodes"),
        (["--device", "gpu"], "--device: expected auto, cpu, cuda or cuda:N, got 'gpu'"),
        (["--kif", "out.txt"], "--kif: expected a name that ends in .kif or .kifu"),
        (["--kif", "none/out.kif"], "--kif: expected a folder none, found none"),
        (["--kif", "game.kif"], "--kif: expected another file than the game's"),
    ],
)
def test_a_bad_command_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        analyse.main(["--analyse", "game.kif", "--model", "mock", *arguments])
    assert stopped.value.code == 2
    assert expected in capsys.readouterr().err


def test_a_file_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        analyse.main(["--analyse", "--model", "mock"])
    assert "argument --analyse: expected a file" in capsys.readouterr().err


def test_without_the_extra_a_kif_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rsshogi.record", None)
    path = tmp_path / "game.kif"
    path.write_text("手合割：平手\n", encoding="cp932")
    assert analyse.main(["--analyse", str(path), "--model", "mock"]) == 1
    assert "pip install 'keisei[records]'" in capsys.readouterr().err


def test_starting_the_engine_loads_nothing_of_it() -> None:
    code = (
        "import sys, keisei._play; keisei._play.command([]);"
        "print({'torch', 'argparse', 'keisei.analyse', 'keisei.evaluation'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_analysing_loads_no_torch() -> None:
    code = "import sys, keisei.analyse; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_engine_s_help_names_it() -> None:
    assert "--analyse" in run("--help").stdout
    assert "--multipv" in run("--analyse", "--help").stdout
