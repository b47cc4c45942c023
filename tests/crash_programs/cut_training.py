"""Stops a run by signals and resumes it, on any device, and compares it with an unbroken one.

``cut_training.py FOLDER DEVICE CUTS AFTER``. Prints one line of JSON; exits with an error if a
state differs in a bit, up to AFTER updates after a cut.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny_run import digest, tiny_config, tiny_trainer, watched

from keisei.config_schema import AppConfig, EnvConfig, ModelConfig
from keisei.training.callbacks import Callback, Snapshot

FIRST = 10


def make_config(root: Path, device: str, updates: int) -> AppConfig:
    if device == "cpu":
        return tiny_config(root, updates, save_every=10**6)
    config = tiny_config(
        root,
        100 * updates,
        save_every=10**6,
        device=device,
        compile=True,
        precision="bfloat16",
        batch_size=512,
        rollout_length=8,
    )
    update = {
        "env": EnvConfig(num_games=256, max_plies=40),
        "model": ModelConfig(tower_depth=2, tower_width=64),
    }
    return config.model_copy(update=update)


class Interrupt(Callback):
    """A signal between the rollout of an iteration and the learning from it."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def on_rollout_end(self, snapshot: Snapshot) -> None:
        if snapshot.iteration == self.iteration:
            os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    folder, device, (cuts, after) = Path(sys.argv[1]), sys.argv[2], map(int, sys.argv[3:])
    updates = FIRST + after + 1
    whole, unbroken = watched(make_config(folder / "whole", device, updates), updates)
    whole.run_training_loop()
    numbers = random.Random(3)
    compared = 0
    for cut in range(cuts):
        config = make_config(folder / str(cut), device, updates)
        run = tiny_trainer(config)
        run.callback_manager.add(Interrupt(numbers.randrange(FIRST)))
        run.run_training_loop()
        stood = run.metrics_manager.state.iteration
        resumed, again = watched(config, stood + after, "latest")
        if digest(resumed) != unbroken.seen[stood]:
            raise AssertionError(f"cut {cut}: at once")
        resumed.run_training_loop()
        for number, ours in again.seen.items():
            different = [n for n, part in unbroken.seen[number].items() if ours[n] != part]
            if different:
                raise AssertionError(f"cut {cut} after {stood}: at {number}: {different}")
            compared += 1
    sys.stdout.write(json.dumps({"device": device, "cuts": cuts, "compared": compared}) + "\n")


if __name__ == "__main__":
    main()
