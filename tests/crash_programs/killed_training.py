"""Trains while being killed again and again, and compares the end with that of an unbroken run.

``killed_training.py FOLDER KILLS``: a third of the kills come at a random line of a save. Each
process is a fork of this one and resumes where the last one was killed. Prints what was seen as one
line of JSON; exits with an error if the ends are not equal, bit for bit.
"""

from __future__ import annotations

import json
import logging
import os
import random
import select
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # what is forked must have no other thread
sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny_run import contents, differences, figures, tiny_config, tiny_trainer

from keisei.core.model_file import list_checkpoints
from keisei.training.model_manager import ModelManager

SAVE_LINES = 8000
"""of a save, about"""


def train(root: Path, iterations: int, said: int | None = None, line: int | None = None) -> None:
    """One process's part: goes on from the newest checkpoint, if there is one."""
    published = ModelManager._on_published

    def tell(self: ModelManager, directory: Path, step: int) -> None:
        if said is not None:
            os.write(said, b"+")
        published(self, directory, step)

    ModelManager._on_published = tell  # type: ignore[method-assign]
    if line is not None:
        left = line

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal left
            if threading.current_thread().name != "checkpoint-writer":
                return None
            left -= event == "line"
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        threading.settrace(trace)
    saved = list_checkpoints(root / "run" / "checkpoints")
    trainer = tiny_trainer(tiny_config(root, iterations), "latest" if saved else None)
    trainer.run_training_loop()


def fork(root: Path, iterations: int, numbers: random.Random | None) -> int:
    """Trains in a fork; with ``numbers`` it is killed. Returns how the process ended."""
    heard, said = os.pipe()
    in_a_save = numbers is not None and numbers.random() < 1 / 3
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(heard)
            line = None
            if in_a_save and numbers is not None:
                line = numbers.randint(1, 2 * SAVE_LINES)
            train(root, iterations, said, line)
            status = 0
        except BaseException:
            logging.exception("the training failed")
        finally:
            os._exit(status)
    os.close(said)
    if numbers is not None and not in_a_save:
        wanted = numbers.randrange(4)
        while wanted > 0 and (piece := os.read(heard, wanted)):
            wanted -= len(piece)
        select.select([], [], [], numbers.random() * 0.1)
        os.kill(pid, signal.SIGKILL)
    while os.read(heard, 4096):
        pass
    os.close(heard)
    return os.waitpid(pid, 0)[1]


def main() -> None:
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    iterations = 3 * kills + 10
    tiny_trainer(tiny_config(folder / "first", 4)).run_training_loop()  # imports what is needed
    while len([*Path("/proc/self/task").iterdir()]) > 1:  # a joined thread takes a moment
        os.sched_yield()
    if fork(folder / "whole", iterations, None) != 0:
        raise AssertionError("the unbroken run failed")
    numbers, killed, root = random.Random(1), 0, folder / "killed"
    while killed < kills:
        status = fork(root, iterations, numbers)
        if not os.WIFSIGNALED(status):
            raise AssertionError(f"after {killed} kills: expected a kill, got exit {status >> 8}")
        killed += 1
    if fork(root, iterations, None) != 0:
        raise AssertionError("the killed run could not be resumed to its end")
    whole, broken = (
        contents(list_checkpoints(folder / name / "run" / "checkpoints")[-1])
        for name in ("whole", "killed")
    )
    if different := differences(broken, whole):
        raise AssertionError(f"expected equal ends, got differences in {different}")
    ours, theirs = figures(root / "run"), figures(folder / "whole" / "run")
    if ours != theirs:
        raise AssertionError(f"expected equal figures, got {len(ours)} and {len(theirs)} of them")
    rejected = [path.name for path in (root / "run" / "checkpoints").glob("rejected-*")]
    if rejected:
        raise AssertionError(f"expected every published checkpoint to be whole, got {rejected}")
    sys.stdout.write(json.dumps({"kills": killed, "iterations": len(ours)}) + "\n")


if __name__ == "__main__":
    main()
