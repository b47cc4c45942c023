"""Kills processes that save checkpoints, at random moments, and looks at what they leave.

``killing.py FOLDER TRIALS``: of the trials, a third die inside a save (at a random line of it, or
in the middle of a write to a file), the others at a random moment. Each process is a fork of this
one and goes on where the last one was killed. Prints what was seen as one line of JSON; exits with
an error if a published checkpoint was lost or damaged.
"""

from __future__ import annotations

import json
import os
import random
import resource
import select
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # what is forked must have no other thread
sys.path.insert(0, str(Path(__file__).parents[1]))

from checkpoint_helpers import CONFIG, snapshot

from keisei.core.model_file import list_checkpoints
from keisei.training.checkpoint import Evaluation, checkpoint_name, record_evaluation, verify
from keisei.training.checkpoint_writer import CheckpointWriter
from keisei.training.resume import load_newest_good
from keisei.training.retention import best_checkpoints, prune
from keisei.utils.files import recover

STATES = [snapshot(step) for step in range(4)]


def die_at(line: int) -> Any:
    """Traces every line that a thread runs, and kills the process at one of them."""
    left = line

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def save_for_ever(folder: Path, said: int, numbers: random.Random, saves: int = 10**9) -> None:
    """Goes on from the newest checkpoint; tells ``said`` of each that is published."""
    recover(folder)
    step = 0
    if list_checkpoints(folder):
        point = load_newest_good(folder)
        if point.rejected:
            raise AssertionError(point.rejected)
        step = int(point.model.manifest["step"])

    def published(directory: Path, step: int) -> None:
        os.write(said, f"{step}\n".encode())
        record_evaluation(directory, Evaluation(score=(step * 7919) % 1000))
        prune(folder, newest=2, best=1)

    writer = CheckpointWriter(on_published=published)
    for _ in range(saves):
        step += numbers.randrange(2)  # now and then the same step once more
        state = STATES[step % len(STATES)]
        writer.save(
            folder / checkpoint_name(step), type(state)(state.network, step, state.state), CONFIG
        )
    writer.wait()


def child(folder: Path, said: int, kind: str, seed: int, lines: int) -> None:
    numbers = random.Random(seed)
    if kind == "line":
        threading.settrace(die_at(numbers.randint(1, 2 * lines)))
    elif kind == "write":
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        most = max(path.stat().st_size for path in folder.glob("step-*/*"))
        limit = numbers.randrange(most)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    save_for_ever(folder, said, numbers)


def run(folder: Path, kind: str, seed: int, lines: int) -> tuple[list[int], int]:
    """One trial; returns the steps that were said to be published, and the signal."""
    heard, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(heard)
            child(folder, said, kind, seed, lines)
        finally:
            os._exit(1)
    os.close(said)
    text = b""
    if kind == "moment":
        # A random time after a random number of checkpoints.
        numbers = random.Random(seed)
        wanted = numbers.randrange(3)
        while text.count(b"\n") < wanted and (piece := os.read(heard, 4096)):
            text += piece
        select.select([], [], [], numbers.random() * 0.1)
        os.kill(pid, signal.SIGKILL)
    while piece := os.read(heard, 4096):
        text += piece
    os.close(heard)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise AssertionError(f"trial {seed}: {kind}: expected a kill, got exit {status >> 8}")
    return [int(word) for word in text.split()], os.WTERMSIG(status)


def count_lines(folder: Path) -> int:
    """How many lines a save runs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    devnull = os.open(os.devnull, os.O_WRONLY)
    save_for_ever(folder, devnull, random.Random(0), saves=3)
    threading.settrace(trace)
    save_for_ever(folder, devnull, random.Random(0), saves=1)
    threading.settrace(None)  # type: ignore[arg-type]
    os.close(devnull)
    return count


def main() -> None:
    folder, trials = Path(sys.argv[1]), int(sys.argv[2])
    lines = count_lines(folder)
    while len([*Path("/proc/self/task").iterdir()]) > 1:  # a joined thread takes a moment
        os.sched_yield()
    kinds: Counter[str] = Counter()
    half = published = 0
    newest = 0
    for trial in range(trials):
        kind = ("line", "moment", "moment", "write", "moment", "moment")[trial % 6]
        steps, number = run(folder, kind, trial, lines)
        kinds[f"{kind}: {signal.Signals(number).name}"] += 1
        published += len(steps)
        half += any(folder.glob(".step-*"))
        # Nothing is cleared before this: who only reads must find all as it is.
        for directory in list_checkpoints(folder):
            verify(directory)
        before, newest = newest, int(load_newest_good(folder).model.manifest["step"])
        if newest < max([before, *steps]):
            raise AssertionError(
                f"trial {trial}: {kind}: step {max([before, *steps])} was published, newest is "
                f"{newest}"
            )
        if not best_checkpoints(folder, 1):
            raise AssertionError(f"trial {trial}: {kind}: no evaluation is left")
    seen = {"kinds": kinds, "half": half, "published": published, "newest": newest, "lines": lines}
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
