"""Signals to the command in the middle of a rollout that would take hours."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keisei.core.model_file import list_checkpoints
from keisei.training.resume import load_newest_good

LONG = [
    "--env.num-games=8",
    "--env.max-plies=50",
    "--training.rollout-length=1000000",
    "--training.batch-size=16",
    "--training.device=cpu",
    "--model.tower-depth=1",
    "--model.tower-width=8",
    "--logging.run-name=run",
]
# The command, which says when it is in the middle of the rollout.
PROGRAM = """
import runpy, sys
from keisei.envs import ShogiVectorEnv
step, plies = ShogiVectorEnv.step, 0
def told(self, actions):
    global plies
    plies += 1
    if plies == 20:
        print("in a rollout", flush=True)
    return step(self, actions)
ShogiVectorEnv.step = told
runpy.run_module("keisei.train", run_name="__main__", alter_sys=True)
"""


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"expected {text!r} before the process ended with {process.wait()}")


@contextmanager
def in_a_rollout(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *LONG],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        read_until(process, "in a rollout")
        yield process
    finally:
        process.kill()
        process.communicate()


def test_sigterm_gives_the_rollout_up_and_saves(tmp_path: Path) -> None:
    with in_a_rollout(tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        read_until(process, "SIGTERM: this iteration is finished and saved")
        process.send_signal(signal.SIGTERM)  # schedulers send several
        rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0, rest
    assert "iteration 1 takes too long to be finished" in rest
    assert "go on with --resume runs/run" in rest
    run = tmp_path / "runs" / "run"
    point = load_newest_good(run)
    assert point.states[0].values["iteration"] == 0 and point.model.manifest["step"] == 0
    assert (run / "metrics.jsonl").read_text() == ""
    assert json.loads((run / "config.json").read_text())["env"]["num_games"] == 8
    assert list((run / "tensorboard").iterdir()), "expected closed loggers to leave their files"


def test_a_second_sigint_quits_at_once(tmp_path: Path) -> None:
    with in_a_rollout(tmp_path) as process:
        process.send_signal(signal.SIGINT)
        read_until(process, "SIGINT: this iteration is finished and saved")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert rest.endswith("keisei.train: quit at once; what was not saved is lost\n")
    assert list_checkpoints(tmp_path / "runs" / "run" / "checkpoints") == []
