"""Whole games against another program, driven by cshogi's match runner."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cshogi
import pytest
from cshogi import CSA
from engine.driver import KEISEI_PLAY

from keisei.export import main as export

GAMES = 20
TRAINED = Path(__file__).parent.parent / "data" / "trained_policy.ckpt"
RANDOM_MOVER = Path(__file__).parent / "random_mover.py"
# How cshogi's runner writes the ends: mate or resignation, a draw, a declaration, a perpetual check
# (which lacks its per cent sign there). Anything else is an illegal move or a loss on time.
HONEST_ENDS = {
    "%TORYO",
    "%SENNICHITE",
    "%JISHOGI",
    "%KACHI",
    "%+ILLEGAL_ACTION",
    "%-ILLEGAL_ACTION",
    "ILLEGAL_MOVE",
}


@dataclass(frozen=True)
class Match:
    won: int
    lost: int
    drawn: int
    ends: list[str]
    plies: list[int]
    output: str


@pytest.fixture
def opponent(tmp_path: Path) -> Path:
    """The runner takes one executable without arguments."""
    path = tmp_path / "random_mover"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{RANDOM_MOVER}" --seed 7\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def play(
    options: str,
    opponent: Path,
    records: Path,
    timeout: float,
    games: int = GAMES,
    clock: tuple[int, int] = (60_000, 1_000),
) -> Match:
    """Games with sides alternating, by a clock of milliseconds and an increment."""
    time, inc = (str(value) for value in clock)
    command = [
        sys.executable, "-m", "cshogi.cli", str(KEISEI_PLAY), str(opponent),
        "--options1", options, "--games", str(games), "--draw", "320", "--keep-process",
        "--time", time, time, "--inc", inc, inc,
        "--csa", str(records), "--multi-csa",
    ]  # fmt: skip
    # The runner waits for ever for an engine that died: it gets a group of its own to be ended.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as runner:
        try:
            output, _ = runner.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(runner.pid, signal.SIGKILL)
            pytest.fail(f"{games} games took more than {timeout} s: {runner.communicate()[0]}")
    assert runner.returncode == 0, output
    assert f"{games} of {games} games finished." in output, output
    result = re.findall(r"^keisei \S+ vs random mover: (\d+)-(\d+)-(\d+) ", output, re.MULTILINE)
    won, lost, drawn = map(int, result[-1])
    text = records.read_text()
    ends = [line for line in text.splitlines() if re.match(r"%|ILLEGAL_MOVE", line)]
    plies = [
        len(game.moves) for game in CSA.Parser.parse_str(text.replace("\nILLEGAL", "\n%ILLEGAL"))
    ]
    return Match(won, lost, drawn, ends, plies, output)


def assert_clean(match: Match, games: int = GAMES) -> None:
    assert len(match.ends) == games, match.ends
    assert set(match.ends) <= HONEST_ENDS, f"{match.ends}\n{match.output}"
    assert match.won + match.lost + match.drawn == games
    assert len(match.plies) == games and min(match.plies) > 5, match.plies


def test_twenty_games_without_weights(opponent: Path, tmp_path: Path) -> None:
    """No illegal move, no crash, no loss on time; some nodes and no network beat chance."""
    options = "DNN_Model:uniform,Seed:1,NodesLimit:16"
    match = play(options, opponent, tmp_path / "games.csa", timeout=240)
    assert_clean(match)
    assert match.won > match.lost, match.output


def test_a_game_on_the_clock(opponent: Path, tmp_path: Path) -> None:
    """The runner takes a second for granted; a game of many moves passes it if each is late."""
    match = play(
        "DNN_Model:uniform", opponent, tmp_path / "games.csa", 120, games=2, clock=(1_000, 30)
    )
    assert_clean(match, games=2)


def test_a_trained_network_beats_a_random_mover(opponent: Path, tmp_path: Path) -> None:
    if not TRAINED.is_file():
        pytest.fail(
            f"{TRAINED}: expected a trained model.ckpt (docs/ has the run that makes it), found "
            "no such file; without it nothing shows that a trained network plays well"
        )
    policy = tmp_path / "policy.pt"
    assert export([str(TRAINED), str(policy)]) == 0
    options = f"DNN_Model:{policy},Device:cpu,NodesLimit:1"
    match = play(options, opponent, tmp_path / "games.csa", timeout=280)
    assert_clean(match)
    assert match.won >= GAMES - 1, match.output


def test_the_opponent_is_random(opponent: Path) -> None:
    """What the matches prove depends on it."""

    def game() -> list[str]:
        with subprocess.Popen(
            [str(opponent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            board, moves = cshogi.Board(), []
            for _ in range(30):
                process.stdin.write(f"position startpos moves {' '.join(moves)}\ngo\n")
                process.stdin.flush()
                moves.append(process.stdout.readline().removeprefix("bestmove ").strip())
                move = board.move_from_usi(moves[-1])
                assert board.is_legal(move)
                board.push(move)
            process.stdin.write("quit\n")
        return moves

    first = game()
    assert first == game() and len(set(first)) > 20
