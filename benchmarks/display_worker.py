"""Trains on a terminal, drawing in every second block of iterations: see ``benchmarks.display``.

It runs in a process of its own, whose terminal the benchmark holds, and says what it measured as
lines of JSON: ``{"stage": TEXT}``, and ``{"size": [W, H], "blocks": [...]}`` for each pair.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.iteration import Job, make_config
from benchmarks.measure import expect
from keisei.config_schema import AppConfig, DisplayConfig
from keisei.training import Trainer
from keisei.training.callbacks import Callback, Snapshot, StopTraining
from keisei.training.display_manager import DisplayManager

_STDOUT = 1  # by its number: while the screen is drawn, something else stands under its name
WARM_UP = 4
"""iterations before the first block: some of them start, compile or record"""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the worker is to do."""

    job: Job
    device: str
    sizes: tuple[tuple[int, int], ...]
    """of the terminal, one after the other: width, height"""
    pairs: int
    """of blocks at each size, at most: without and with drawing, in the order ABBA"""
    seconds: float
    """of a block, at least; and no less than two iterations"""
    limit: float
    """seconds after which no more pairs begin, but for two of each size; the sizes share it"""
    threads: int
    """torch's on the CPU"""


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


Say = Callable[[dict[str, Any]], None]


def set_size(terminal: int, size: tuple[int, int]) -> None:
    """Makes a terminal so many cells wide and lines high."""
    width, height = size
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


class Blocks(Callback):
    """Turns drawing on and off, and times the iterations between."""

    draws = False
    essential = True  # what is measured wrongly is not measured on

    def __init__(self, plan: Plan, display: DisplayManager, say: Say, started: float) -> None:
        self.plan = plan
        self.display = display
        self._say = say
        self._sizes = list(plan.sizes)
        self._done: list[Block] = []
        self._block: Block | None = None
        self._at = 0.0
        self._warm: list[float] = []
        self._last_at = started + plan.limit
        self._until = 0.0

    def on_update_end(self, snapshot: Snapshot) -> None:
        """After each iteration, in the thread that trains."""
        now = time.perf_counter()
        block = self._block
        if block is None:
            self._warm.append(now - self._at)
            if snapshot.iteration < WARM_UP:
                self._at = time.perf_counter()
                return
            seconds = statistics.median(self._warm[1:])
            self._say({"stage": f"warm; an iteration takes {seconds:.3f} s"})
        else:
            block.iterations += 1
            block.seconds += now - self._at
            block.display_seconds += snapshot.metrics.get("time.display_seconds", 0.0)
            block.drawing_seconds += snapshot.metrics.get("time.drawing_seconds", 0.0)
            expect(block.drawn == self.display.is_drawing, "display: it draws when it should not")
            if block.iterations < 2 or block.seconds < self.plan.seconds:
                self._at = time.perf_counter()
                return
            self._end(block)
        self._begin()

    def _end(self, block: Block) -> None:
        self._done.append(block)
        if len(self._done) % 2 == 0:
            pair = [dataclasses.asdict(one) for one in self._done[-2:]]
            self._say({"size": self._sizes[0], "blocks": pair})
        enough = len(self._done) == 2 * self.plan.pairs
        whole_pairs = len(self._done) in range(4, 2 * self.plan.pairs, 2)
        late = whole_pairs and time.perf_counter() > self._until
        if late:
            width, height = self._sizes[0]
            self._say({"stage": f"{width}x{height}: no more pairs, the time is over"})
        if enough or late:
            self._done = []
            del self._sizes[0]
            if not self._sizes:
                raise StopTraining("all blocks are timed")

    def _begin(self) -> None:
        number = len(self._done)
        self._block = Block(drawn=number % 4 in (1, 2))
        if self._block.drawn:
            self.display.start()
        else:
            self.display.stop()
        if number == 0:
            set_size(_STDOUT, self._sizes[0])
            now = time.perf_counter()
            self._until = now + (self._last_at - now) / len(self._sizes)
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


def main(plan: Plan, say: Say) -> None:
    """Trains and times; says the pairs of blocks."""
    torch.set_num_threads(plan.threads)
    started = time.perf_counter()
    say({"stage": f"started, with {plan.threads} threads of torch"})
    with tempfile.TemporaryDirectory() as folder:
        config = make_config(plan.job, torch.device(plan.device), folder)
        check(config)
        say({"stage": "the first iteration finds the same with and without the screen"})
        trainer = Trainer(config)
        trainer.callback_manager.add(Blocks(plan, trainer.display_manager, say, started))
        trainer.run_training_loop()


def _plan(text: str) -> Plan:
    given = json.loads(text)
    sizes = tuple((width, height) for width, height in given["sizes"])
    return Plan(**{**given, "job": Job(**given["job"]), "sizes": sizes})


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", buffering=1) as messages:
        main(_plan(sys.argv[2]), lambda message: print(json.dumps(message), file=messages))
