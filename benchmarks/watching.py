"""``python -m benchmarks.watching``: what it costs a run to be watched.

In one run, blocks of iterations with a part and without it take turns (with, without, without,
with, ...), so that what else changes on the machine falls on both alike. The first iteration of
each block is left out. Parts: ``wandb``, the mirror to Weights & Biases, offline; ``details``,
histograms and a board image in every iteration (a run has them every few dozen); ``alerts``, the
built-in rules. Prints one JSON object a part: the median cost of the pairs of blocks as a share of
an iteration, with a 95% interval by resampling the pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from keisei.config_schema import AppConfig, EnvConfig, LoggingConfig, ModelConfig, TrainingConfig
from keisei.training import Trainer
from keisei.training.alerts import AlertsCallback
from keisei.training.callbacks import Callback, Snapshot, StopTraining
from keisei.training.curves import RolloutDetails

_WARM_UP = 5  # iterations that load, compile and record


class _Turns(Callback):
    """Switches a part on and off and notes how long the iterations of each block take."""

    name = "turns"
    order = 1000  # behind everything that an iteration does

    def __init__(self, switch: Callable[[bool], None], block: int, pairs: int) -> None:
        self._switch = switch
        self._block = block
        self._last = 0.0
        self._plan = [
            on for pair in range(pairs) for on in ((True, False), (False, True))[pair % 2]
        ]
        self.seconds: list[list[float]] = [[] for _ in self._plan]
        self._count = -_WARM_UP

    def on_update_end(self, snapshot: Snapshot) -> None:
        """Notes the iteration that ends and sets what the next one has."""
        now = time.perf_counter()
        number, place = divmod(self._count, self._block)
        if self._count >= 0 and place > 0:
            self.seconds[number].append(now - self._last)
        self._count += 1
        if self._count == self._block * len(self._plan):
            raise StopTraining("all blocks are measured")
        if self._count >= 0:
            self._switch(self._plan[self._count // self._block])
        self._last = time.perf_counter()

    def pairs(self) -> list[float]:
        """Of each pair of blocks: the time with the part over that without it, less one."""
        found = []
        for first in range(0, len(self._plan), 2):
            times = {self._plan[k]: statistics.median(self.seconds[k]) for k in (first, first + 1)}
            found.append(times[True] / times[False] - 1.0)
        return found


def _interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95% of the medians of samples drawn from the values (percentile bootstrap)."""
    draw = random.Random(seed)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return medians[50], medians[1949]


def _switch_of(part: str, trainer: Trainer) -> Callable[[bool], None]:
    session, callbacks = trainer.session_manager, trainer.callback_manager

    def mirror(on: bool) -> None:
        sends = session._mirror
        if sends is None:
            raise RuntimeError("benchmark: expected a run that is mirrored")
        # The process stays: without the part it has nothing to do.
        sends.__dict__.pop("log", None)
        if not on:
            sends.__dict__["log"] = lambda values, step: None

    def callback(on: bool) -> None:
        for entry in callbacks._entries:
            if isinstance(entry.callback, RolloutDetails if part == "details" else AlertsCallback):
                entry.disabled = not on

    return mirror if part == "wandb" else callback


def measure(part: str, device: str, *, block: int, pairs: int, small: bool) -> dict[str, object]:
    """The cost of one part; see the module."""
    cuda = device.startswith("cuda")
    depth, width, games, plies, batch = (6, 128, 4096, 32, 8192) if cuda else (2, 32, 128, 32, 512)
    if small:
        depth, width, games, plies, batch = 1, 8, 8, 4, 16
    with tempfile.TemporaryDirectory(prefix="keisei-benchmark-") as folder:
        config = AppConfig(
            training=TrainingConfig(
                device=device,
                rollout_length=plies,
                batch_size=batch,
                target_kl=None,
                total_timesteps=10**12,
                lr_schedule="constant",
            ),
            env=EnvConfig(num_games=games),
            model=ModelConfig(tower_depth=depth, tower_width=width),
            logging=LoggingConfig(
                run_root=folder,
                wandb_enabled=part == "wandb",
                checkpoint_interval=10**12,
                detail_interval=1 if part == "details" else None,
                log_level="warning",
                follow_games=0,
            ),
        )
        trainer = Trainer(config)
        turns = _Turns(_switch_of(part, trainer), block, pairs)
        trainer.callback_manager.add(turns)
        trainer.run_training_loop()
        alive = "goes on without it" not in Path(trainer.log_file_path).read_text()
    costs = turns.pairs()
    low, high = _interval(costs)
    return {
        "part": part,
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "iteration_seconds": statistics.median(x for block in turns.seconds for x in block),
        "cost": statistics.median(costs),
        "low": low,
        "high": high,
        "pairs": len(costs),
        "iterations_a_block": block - 1,
        "mirror_alive": alive if part == "wandb" else None,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--part", nargs="+", default=["wandb", "details", "alerts"])
    parser.add_argument("--block", type=int, default=4, help="iterations of a block")
    parser.add_argument("--pairs", type=int, default=15, help="pairs of blocks")
    parser.add_argument("--small", action="store_true", help="tiny sizes: a test of itself")
    args = parser.parse_args(argv)
    os.environ.setdefault("WANDB_MODE", "offline")
    for part in args.part:
        row = measure(part, args.device, block=args.block, pairs=args.pairs, small=args.small)
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
