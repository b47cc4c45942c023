"""A run's folder as training leaves it, made by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keisei.config_schema import AppConfig
from keisei.evaluation.game_record import START_SFEN, GameRecord
from keisei.evaluation.ladder import Ladder
from keisei.evaluation.scores import Score

EVIL = "</script><img src=x onerror=alert(1)>&\u2028'\""
MOVES = ("7g7f", "3c3d", "8h2b+", "3a2b", "B*5e", "B*3c", "5e3c+", "2b3c")


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def figures(iteration: int) -> dict[str, float]:
    """What an iteration of 100 plies is written with."""
    wave = math.sin(iteration / 7)
    return {
        "iteration": iteration,
        "step": 100 * iteration,
        "speed.total_seconds": 0.5 * iteration + 0.001 * iteration**2,
        "speed.positions_per_second": 200.0 + wave,
        "learn.policy_loss": -0.01 * wave,
        "learn.entropy": 3.5 - 0.001 * iteration,
        "learn.approx_kl": 0.01 + 0.005 * wave,
        "games.games": 10.0,
        "games.game_plies": 900.0,
        "games.black_wins": 5.0,
        "games.white_wins": 3.0,
        "games.draws": 1.0,
        "games.truncated": 1.0,
        "games.ending_no_legal_move": 8.0,
        "games.ending_repetition": 1.0,
        "games.ending_move_limit": 1.0,
        "resources.memory_gb": 0.3,
        "time.play_seconds": 0.2,
    }


def record(name: str = "run", plies: int = len(MOVES), **more: Any) -> GameRecord:
    return GameRecord(
        black=name,
        white=more.pop("white", name),
        start=START_SFEN,
        moves=MOVES[:plies],
        ending="move_limit",
        winner=None,
        values=tuple(0.1 * ply * (-1) ** ply for ply in range(plies)),
        **more,
    )


def make_run(folder: Path, iterations: int = 50, text: str = "plain") -> Path:
    """A complete run that was resumed once; ``text`` stands wherever a file has free text."""
    folder.mkdir(parents=True, exist_ok=True)
    config = AppConfig().model_dump(mode="json")
    config["logging"]["run_name"] = text
    (folder / "config.json").write_text(json.dumps(config))
    start = {
        "started": "2026-11-22T20:00:00Z",
        "command": ["python", "-m", "keisei.train", text],
        "resumed_from": None,
        "seed": 7,
        "ranks": 1,
        "versions": {"keisei": "0.1.0", "torch": "2.13.0", "cuda": None},
        "device": {"name": text, "processors": 2},
        "git": {"keisei": {"commit": "0123abcd", "dirty": True}, "working_directory": None},
    }
    again = start | {"started": "2026-11-22T21:00:00Z", "resumed_from": "c/step-000000002000"}
    (folder / "run.json").write_text(json.dumps({"format_version": 1, "starts": [start, again]}))
    write_lines(folder / "metrics.jsonl", map(figures, range(1, iterations + 1)))
    write_lines(
        folder / "evaluation.log",
        (
            {
                "step": step,
                "seconds": 1.0,
                "win_rate": 0.5,
                "opponents": {
                    name: {
                        "games": 10,
                        "black_wins": 3,
                        "white_wins": 2,
                        "losses": 3,
                        "draws": 1,
                        "truncated": 1,
                        "mean_plies": 80.0,
                    }
                    for name in ("random", text)
                },
            }
            for step in (1000, 3000, 5000)
        ),
    )
    ladder = Ladder(folder / "ladder.json")
    for step in (1000, 3000, 5000):
        ladder.add(f"step {step}", "random", Score(step // 500, 1, 2), step)
    ladder.add(text, "random", Score(3, 0, 0))
    write_lines(
        folder / "openings.jsonl",
        (
            {
                "step": step,
                "games": 60,
                "starts": {START_SFEN: {"7g7f 3c3d 2g2f 4c4d": 30, "2g2f 8c8d": 10, text: 5}},
                "others": 15,
            }
            for step in range(1000, 6000, 1000)
        ),
    )
    for step in (1000, 5000):
        path = folder / "games" / f"self-play-{step:015d}.jsonl"
        write_lines(path, [record(event=f"self-play, ended by step {step}").to_json()])
    games = [record("step 5000", white=text.replace("\u2028", ""), opening_plies=2)]
    path = folder / "games" / "evaluation-000000000005000.jsonl"
    write_lines(path, [game.to_json() for game in games])
    (folder / "train.log").write_text(
        "2026-11-22T20:00:01Z INFO keisei.training.trainer: nothing to see\n"
        f"2026-11-22T20:00:02Z WARNING keisei.training.trainer: {text}\n"
        "2026-11-22T20:00:03Z ERROR keisei.x: training failed in iteration 3\n"
        "Traceback (most recent call last):\n  somewhere\n"
        "2026-11-22T20:00:04Z INFO keisei.x: the end\n",
        encoding="utf-8",
    )
    (folder / "final_model.ckpt").write_bytes(b"")
    (folder / "checkpoints" / "step-000000005000").mkdir(parents=True, exist_ok=True)
    return folder
