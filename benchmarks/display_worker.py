"""Trains on a terminal, drawing in every second block of iterations: see ``benchmarks.display``.

It runs in a process of its own, whose terminal the benchmark holds, and writes what it measured.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.iteration import Job, make_config
from benchmarks.measure import expect
from keisei.config_schema import AppConfig, DisplayConfig
from keisei.training import Trainer
from keisei.training.callbacks import Callback, Snapshot, StopTraining
from keisei.training.display_manager import DisplayManager

WARM_UP = 4
"""iterations before the first block: some of them start, compile or record"""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the worker is to do."""

    job: Job
    device: str
    blocks: int
    """in all: with and without drawing, in the order ABBA"""
    seconds: float
    """of a block, at least; and no less than two iterations"""
    into: str
    """file for what was measured"""


@dataclasses.dataclass
class Block:
    """Iterations that were timed together."""

    drawn: bool
    iterations: int = 0
    seconds: float = 0.0
    display_seconds: float = 0.0
    """of the thread that trains, for the display"""
    drawing_seconds: float = 0.0
    """of a processor, by the thread that draws"""


class Blocks(Callback):
    """Turns drawing on and off, and times the iterations between."""

    draws = False

    def __init__(self, plan: Plan, display: DisplayManager) -> None:
        self.plan = plan
        self.display = display
        self.done: list[Block] = []
        self._block: Block | None = None
        self._at = 0.0

    def on_update_end(self, snapshot: Snapshot) -> None:
        """After each iteration, in the thread that trains."""
        now = time.perf_counter()
        block = self._block
        if snapshot.iteration <= WARM_UP:
            return
        if block is not None:
            block.iterations += 1
            block.seconds += now - self._at
            block.display_seconds += snapshot.metrics.get("time.display_seconds", 0.0)
            block.drawing_seconds += snapshot.metrics.get("time.drawing_seconds", 0.0)
            expect(block.drawn == self.display.is_drawing, "display: it draws when it should not")
            if block.iterations < 2 or block.seconds < self.plan.seconds:
                self._at = time.perf_counter()
                return
            self.done.append(block)
        if len(self.done) == self.plan.blocks:
            raise StopTraining("all blocks are timed")
        number = len(self.done)
        self._block = Block(drawn=number % 4 in (1, 2))
        if self._block.drawn:
            self.display.start()
        else:
            self.display.stop()
        self.display.take_processor_seconds()
        self._at = time.perf_counter()


class Few(Callback):
    """Ends a run after its first iterations."""

    draws = False

    def __init__(self) -> None:
        self.figures: list[dict[str, float]] = []

    def on_update_end(self, snapshot: Snapshot) -> None:
        """Keeps what the iteration found."""
        kept = ("games.", "learn.")
        self.figures.append({k: v for k, v in snapshot.metrics.items() if k.startswith(kept)})
        if len(self.figures) == 2:
            raise StopTraining("two iterations are enough to compare")


def check(config: AppConfig) -> None:
    """The first iterations find the same, drawn or not."""
    found = []
    for enabled in (False, True):
        display = DisplayConfig(enabled=enabled)
        few = Few()
        with tempfile.TemporaryDirectory() as folder:
            logging = config.logging.model_copy(update={"run_root": folder})
            trainer = Trainer(config.model_copy(update={"display": display, "logging": logging}))
            trainer.callback_manager.add(few)
            trainer.run_training_loop()
        found.append(few.figures[0])
    plain, drawn = found
    expect(plain.keys() == drawn.keys(), f"display: other figures: {plain.keys() ^ drawn.keys()}")
    for name, value in plain.items():
        # Play is the same to the bit; gradients are summed in any order on a GPU.
        slack = 0.0 if name.startswith("games.") else 1e-2 * max(1.0, abs(value))
        expect(
            abs(drawn[name] - value) <= slack,
            f"display: {name}: expected {value} as without it, got {drawn[name]}",
        )


def main(plan: Plan) -> None:
    """Trains and times; writes the blocks as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        config = make_config(plan.job, torch.device(plan.device), folder)
        check(config)
        trainer = Trainer(config)
        blocks = Blocks(plan, trainer.display_manager)
        trainer.callback_manager.add(blocks)
        trainer.run_training_loop()
        picture = Path(trainer.run_artifact_dir) / "console.svg"
        found = {
            "blocks": [dataclasses.asdict(block) for block in blocks.done],
            "picture": picture.read_text(encoding="utf-8"),
        }
        Path(plan.into).write_text(json.dumps(found))


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    main(Plan(**{**given, "job": Job(**given["job"])}))
