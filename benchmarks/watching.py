"""``python -m benchmarks.watching``: what it costs a run to be watched.

In one run, blocks of iterations with a part and without it take turns (with, without, without,
with, ...), so that what else changes on the machine falls on both alike. The first iteration of
each block is left out. Parts: ``wandb``, the mirror to Weights & Biases, offline; ``details``,
histograms and a board image in every iteration (a run has them every few dozen); ``alerts``, the
built-in rules. Says each pair of blocks as it comes, then one JSON object a part: the median cost
of the pairs as a share of an iteration, with a 95% interval by resampling the pairs.

A mirror that is not there, or does not take what it is sent, has no cost: that is an error.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.measure import WrongResultError, expect, interval_of_median, tell
from keisei.config_schema import AppConfig, EnvConfig, LoggingConfig, ModelConfig, TrainingConfig
from keisei.training import Trainer
from keisei.training.alerts import AlertsCallback
from keisei.training.callbacks import Callback, Snapshot, StopTraining
from keisei.training.curves import RolloutDetails
from keisei.utils.wandb_mirror import WandbMirror

_WARM_UP = 5  # iterations that load, compile and record
_BEGIN_SECONDS = 60.0


class _Turns(Callback):
    """Switches a part on and off and notes how long the iterations of each block take.

    ``check`` is called before each block and after the last; a WrongResultError ends the run.
    """

    name = "turns"
    order = 1000  # behind everything that an iteration does
    essential = True

    def __init__(
        self,
        part: str,
        switch: Callable[[bool], None],
        block: int,
        pairs: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._part = part
        self._switch = switch
        self._block = block
        self._check = check
        self._last = 0.0
        self._plan = [
            on for pair in range(pairs) for on in ((True, False), (False, True))[pair % 2]
        ]
        self.seconds: list[list[float]] = [[] for _ in self._plan]
        self._count = -_WARM_UP
        self.failure: WrongResultError | None = None

    def on_update_end(self, snapshot: Snapshot) -> None:
        """Notes the iteration that ends and sets what the next one has."""
        now = time.perf_counter()
        number, place = divmod(self._count, self._block)
        if self._count >= 0 and place > 0:
            self.seconds[number].append(now - self._last)
        self._count += 1
        if self._count >= 0 and self._count % self._block == 0:
            try:
                self._check()
            except WrongResultError as error:
                self.failure = error
                raise StopTraining(str(error)) from error
            self._tell(self._count // self._block)
        if self.is_complete:
            raise StopTraining("all blocks are measured")
        if self._count >= 0:
            self._switch(self._plan[self._count // self._block])
        self._last = time.perf_counter()

    @property
    def is_complete(self) -> bool:
        """Whether all blocks are measured."""
        return self._count >= self._block * len(self._plan)

    def _tell(self, blocks: int) -> None:
        pairs, odd = divmod(blocks, 2)
        if pairs and not odd:
            ours = [x for block in self.seconds[blocks - 2 : blocks] for x in block]
            tell(
                f"{self._part}: pair {pairs} of {len(self._plan) // 2}: "
                f"{100 * self.pairs(pairs)[-1]:+.2f}% of {statistics.median(ours):.3f} s"
            )
        elif blocks == 0:
            tell(f"{self._part}: {_WARM_UP} iterations to warm up are over")

    def pairs(self, count: int | None = None) -> list[float]:
        """Of each pair of blocks: the time with the part over that without it, less one."""
        found = []
        for first in range(0, len(self._plan) if count is None else 2 * count, 2):
            times = {self._plan[k]: statistics.median(self.seconds[k]) for k in (first, first + 1)}
            found.append(times[True] / times[False] - 1.0)
        return found


class _Mirror:
    """The mirror of a run, which is to be there and to take what it is sent."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._mirror: WandbMirror | None = None

    def check(self) -> None:
        """WrongResultError unless it is alive and its run has begun there, which is waited for."""
        self._mirror = self._mirror or self._trainer.session_manager._mirror
        mirror, run = self._mirror, Path(self._trainer.run_artifact_dir)
        until = time.monotonic() + _BEGIN_SECONDS
        while mirror is not None and mirror.active and time.monotonic() < until:
            if any(run.glob("wandb/*run-*/*.wandb")):
                return
            time.sleep(0.05)
        raise WrongResultError(f"wandb: expected a mirror that has begun its run{self._why()}")

    def switch(self, on: bool) -> None:
        """The process stays: without the part it has nothing to do."""
        assert self._mirror is not None
        self._mirror.__dict__.pop("log", None)
        if not on:
            self._mirror.__dict__["log"] = lambda values, step: None

    def check_taken(self, least: int) -> None:
        """WrongResultError unless so many records were taken; when the run is over."""
        assert self._mirror is not None
        taken = self._mirror.taken
        expect(taken >= least, f"wandb: expected {least} records there, got {taken}{self._why()}")

    def _why(self) -> str:
        log = Path(self._trainer.log_file_path).read_text(encoding="utf-8")
        said = [line for line in log.splitlines() if "Weights & Biases" in line]
        return f", the log has: {said[-1]}" if said else ", and the log does not say why"


def _callback_switch(part: str, trainer: Trainer) -> Callable[[bool], None]:
    kind = RolloutDetails if part == "details" else AlertsCallback
    entries = [
        entry for entry in trainer.callback_manager._entries if isinstance(entry.callback, kind)
    ]
    expect(len(entries) == 1, f"{part}: expected one callback, got {len(entries)}")

    def switch(on: bool) -> None:
        entries[0].disabled = not on

    return switch


def measure(part: str, device: str, *, block: int, pairs: int, small: bool) -> dict[str, object]:
    """The cost of one part; see the module."""
    cuda = device.startswith("cuda")
    depth, width, games, plies, batch = (6, 128, 4096, 32, 8192) if cuda else (2, 32, 64, 16, 256)
    if small:
        depth, width, games, plies, batch = 1, 8, 8, 4, 16
    with tempfile.TemporaryDirectory(prefix="keisei-benchmark-") as folder:
        config = AppConfig(
            training=TrainingConfig(
                device=device,
                rollout_length=plies,
                batch_size=batch,
                ppo_epochs=1,  # the shorter an iteration is, the more of it the part takes
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
        trainer = Trainer(config, console=Console(stderr=True))  # figures alone go to stdout
        if part == "wandb":
            mirror = _Mirror(trainer)
            turns = _Turns(part, mirror.switch, block, pairs, mirror.check)
        else:
            turns = _Turns(part, _callback_switch(part, trainer), block, pairs)
        trainer.callback_manager.add(turns)
        trainer.run_training_loop()
        if turns.failure is not None:
            raise turns.failure
        expect(turns.is_complete, f"{part}: the run was stopped before all pairs were measured")
        if part == "wandb":
            mirror.check_taken(block * pairs)
    costs = turns.pairs()
    low, high = interval_of_median(costs)
    return {
        "part": part,
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "iteration_seconds": statistics.median(x for block in turns.seconds for x in block),
        "cost": statistics.median(costs),
        "low": low,
        "high": high,
        "least": min(costs),
        "most": max(costs),
        "pairs": len(costs),
        "iterations_a_block": block - 1,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """The command; exits with a text where a part is not there to be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--part", nargs="+", default=["wandb", "details", "alerts"])
    parser.add_argument("--block", type=int, default=4, help="iterations of a block, 2 or more (4)")
    parser.add_argument("--pairs", type=int, default=15, help="pairs of blocks (15)")
    parser.add_argument("--small", action="store_true", help="tiny sizes: a test of itself")
    args = parser.parse_args(argv)
    if args.block < 2 or args.pairs < 1:
        parser.error(f"expected --block 2 and --pairs 1 or more, got {args.block}, {args.pairs}")
    os.environ.setdefault("WANDB_MODE", "offline")
    for part in args.part:
        try:
            row = measure(part, args.device, block=args.block, pairs=args.pairs, small=args.small)
        except WrongResultError as error:
            sys.exit(f"python -m benchmarks.watching: {error}")
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
