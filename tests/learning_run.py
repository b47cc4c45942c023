"""Two small runs whose figures are stored, so that later code can be compared with them.

``tests/data/learning_run.json`` was written by this program at commit b2ec51d, before the learner
was made fast, on a CPU in float32 with torch 2.13.0:
``python tests/learning_run.py tests/data/learning_run.json``.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from keisei import Position, ops
from keisei.config_schema import config_from_dict
from keisei.envs import ShogiVectorEnv
from keisei.training import Trainer

TRAINING = {
    "total_timesteps": 1_800,
    "rollout_length": 16,
    "learning_rate": 1e-3,
    "device": "cpu",
    "precision": "float32",
    "compile": False,
    "seed": 11,
}
CONFIG = {
    "env": {"num_games": 32, "max_plies": 10},
    "model": {"tower_depth": 2, "tower_width": 16},
    "logging": {"checkpoint_interval": 10**9},
}
# Figures of the machine, not of what was learned.
NOT_LEARNED = ("speed.", "time.", "resources.")
RUNS = {
    # Every minibatch is the whole rollout: the order of its rows is only that of a sum.
    "whole": TRAINING | {"batch_size": 512, "ppo_epochs": 4, "target_kl": None},
    "pieces": TRAINING | {"batch_size": 120, "ppo_epochs": 3, "target_kl": 0.0015},
}


def start_positions(count: int) -> list[str]:
    """Positions of uniform play, two plies before a mate: results come early and differ."""
    env = ShogiVectorEnv(64, seed=3)
    past: list[torch.Tensor] = []
    found: list[str] = []
    while len(found) < count:
        past = [*past[-1:], env.positions.clone()]
        step = env.step(env.sample_uniform())
        mated = (step.ending == ops.NO_LEGAL_MOVE) & (step.length > 40)
        found += [Position.from_words(words.numpy()).sfen() for words in past[0][mated]]
    return found[:count]


def run(training: dict[str, Any], starts: list[str], folder: Path) -> list[dict[str, float]]:
    """Trains and returns the figures of each iteration, without those of time."""
    path = folder / "starts.sfen"
    path.write_text("\n".join(starts) + "\n")
    settings = CONFIG | {"training": training}
    settings["env"] = settings["env"] | {"start_positions": str(path)}
    settings["logging"] = settings["logging"] | {"run_root": str(folder), "run_name": "run"}
    trainer = Trainer(
        config_from_dict(settings, "learning run"), console=Console(file=io.StringIO())
    )
    trainer.run_training_loop()
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    return [
        {
            name: value
            for name, value in json.loads(line).items()
            if not name.startswith(NOT_LEARNED)
        }
        for line in lines
    ]


def main() -> None:
    """Runs both and writes the file."""
    starts = start_positions(6)
    runs = {}
    for name, training in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            runs[name] = run(training, starts, Path(folder))
    document = {"starts": starts, "runs": runs}
    Path(sys.argv[1]).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
