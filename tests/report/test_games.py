"""Which games a page shows, and what it knows of each position."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from sample_run import MOVES, make_run, record

from keisei.evaluation.game_record import START_SFEN, GameRecord
from keisei.report import games
from keisei.report.games import choose, games_json
from keisei.report.run_files import RunFiles, StoredGame, read_run


def stored(kind: str, step: int, name: str = "run", white: str | None = None) -> StoredGame:
    return StoredGame(record(name, white=white or name), f"{kind}-{step}", step)


def test_positions_values_and_words(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run"))
    found = games_json(run)
    assert [(game["kind"], game["step"]) for game in found] == [
        ("self-play", 1000),
        ("self-play", 5000),
        ("evaluation", 5000),
    ]
    game = found[0]
    assert len(game["positions"]) == len(MOVES) + 1 == len(game["letters"]) + 1
    assert game["positions"][0] == START_SFEN.removesuffix(" b - 1") + " -"
    assert game["positions"][3].split()[1:] == ["B"], "black has a bishop in hand"
    assert game["letters"][2] == "B8hx2b+"
    assert [round(value, 1) for value in game["values"]] == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert game["result"] == "Undecided at the move limit" and game["winner"] is None
    assert found[2]["opening"] == 2


def test_values_are_blacks_where_white_begins() -> None:
    game = GameRecord(
        black="a",
        white="b",
        start="4k4/9/9/9/9/9/4p4/9/4K4 w g 1",
        moves=("G*5h",),
        ending="no_legal_move",
        winner="white",
        values=(0.9,),
    )
    run = RunFiles(Path("x"), games=[StoredGame(game, "evaluation-1", 1)])
    (shown,) = games_json(run)
    assert shown["values"] == [-0.9] and shown["whiteFirst"]
    assert shown["result"] == "White wins by mate"
    assert [position.split()[1:] for position in shown["positions"]] == [["g"], ["-", "+"]]


def test_self_play_of_all_of_the_run_and_the_last_evaluations() -> None:
    own = [stored("self-play", step) for step in range(1, 101)]
    others = [
        stored("evaluation", step, f"step {step}", opponent)
        for step in (10, 20, 30)
        for opponent in ("random", "greedy")
        for _ in range(4)
    ]
    chosen = choose([*own, *others], 20)
    ours = [game.step for game in chosen if game.is_self_play]
    assert len(chosen) == 20 and len(ours) == 10 and (ours[0], ours[-1]) == (1, 100)
    theirs = [(game.step, game.record.white) for game in chosen if not game.is_self_play]
    assert {(30, "random"), (30, "greedy"), (20, "random")} <= set(theirs)
    assert len(choose(own[:3], 20)) == 3
    assert len([game for game in choose([*own[:3], *others], 20) if game.is_self_play]) == 3


def test_the_size_is_bounded_and_all_of_the_run_is_still_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = RunFiles(Path("x"), games=[stored("self-play", step) for step in range(1, 33)])
    assert len(games_json(run)) == 32
    monkeypatch.setattr(games, "GAMES_SIZE", 10 * 120 * len(MOVES))
    steps = [game["step"] for game in games_json(run)]
    assert len(steps) == 10 and steps[-1] == 32 and steps[0] <= 8
    assert max(b - a for a, b in itertools.pairwise(steps)) <= 4


def test_a_game_that_cannot_be_played_is_named() -> None:
    broken = GameRecord("a", "b", START_SFEN, ("7g7e",), "move_limit", None)
    run = RunFiles(Path("x"), games=[StoredGame(broken, "self-play-1", 1)])
    assert games_json(run) == []
    assert run.problems[0].startswith("self-play-1: a game that cannot be played through: ply 1: ")
