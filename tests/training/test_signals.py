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

# One ply, or one minibatch, that takes an hour; the last resort after a second, not eighteen.
STUCK = """
import runpy, sys, time
import keisei.training.interrupt as interrupt
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.training_loop_manager import TrainingLoopManager
assert interrupt.LAST_SECONDS == 18
interrupt.StopRequest.__init__.__kwdefaults__["last_seconds"] = 1
where, held = sys.argv.pop(1), sys.argv.pop(1)
def stuck(*args, **kwargs):
    print("in a rollout", flush=True)
    time.sleep(3600)
if where == "ply":
    ShogiVectorEnv.step = stuck
else:
    sys.argv.remove("--training.rollout-length=1000000")
    sys.argv.append("--training.rollout-length=4")
    PPOAgent.learn = stuck
if held == "nothing-held":
    iterate = TrainingLoopManager.iterate
    def bare(self):
        self.held = None
        return iterate(self)
    TrainingLoopManager.iterate = bare
runpy.run_module("keisei.train", run_name="__main__", alter_sys=True)
"""


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"expected {text!r} before the process ended with {process.wait()}")


@contextmanager
def in_a_rollout(folder: Path, *program: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", *(program or (PROGRAM,)), *LONG],
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


@pytest.mark.parametrize("where", ["ply", "minibatch"])
def test_what_never_comes_back_is_saved_without_it(tmp_path: Path, where: str) -> None:
    with in_a_rollout(tmp_path, STUCK, where, "held") as process:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    saved = "runs/run/checkpoints/step-0000000000000"
    assert rest.endswith(
        "keisei.train: iteration 1 takes too long to be finished; it is given up and the run saved "
        f"as it was before: {saved}; go on with --resume runs/run\n"
    )
    run = tmp_path / "runs" / "run"
    point = load_newest_good(run)
    assert point.states[0].values["iteration"] == 0 and point.model.manifest["step"] == 0
    assert f"as it was before: {saved}" in (run / "train.log").read_text()
    assert (run / "metrics.jsonl").read_text() == "" and not (run / ".lock").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_loading_is_answered_with_a_line(
    tmp_path: Path, number: signal.Signals
) -> None:
    loading = (
        "import os, runpy, sys, keisei.training.resume as r\n"
        f"r.load_resume_point = lambda *_: os.kill(os.getpid(), {int(number)})\n"
        "runpy.run_module('keisei.train', run_name='__main__', alter_sys=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", loading, *LONG],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 128 + number, done.stderr
    assert done.stderr == "keisei.train: interrupted before anything was saved\n"
    assert list(tmp_path.iterdir()) == []


def test_without_a_copy_it_ends_with_an_error(tmp_path: Path) -> None:
    with in_a_rollout(tmp_path, STUCK, "ply", "nothing-held") as process:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 1, rest
    assert rest.endswith("; nothing was saved; the checkpoint saved last is none\n")
    assert list_checkpoints(tmp_path / "runs" / "run" / "checkpoints") == []
