"""python -m keisei.train, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keisei import train
from keisei.config_schema import ConfigError

SMALL = [
    "--env.num-games=4",
    "--env.max-plies=20",
    "--training.rollout-length=4",
    "--training.batch-size=8",
    "--training.device=cpu",
    "--model.tower-depth=1",
    "--model.tower-width=8",
]


def run(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keisei.train", *arguments],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_command_line_over_environment_over_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("training: {batch_size: 1, ppo_epochs: 1, gamma: 0.5}\n")
    monkeypatch.setenv("KEISEI_TRAINING__BATCH_SIZE", "2")
    monkeypatch.setenv("KEISEI_TRAINING__PPO_EPOCHS", "2")
    args = train.parse_arguments(["--config", str(path), "--training.batch-size", "3"])
    training = args.app.training
    assert (training.batch_size, training.ppo_epochs, training.gamma) == (3, 2, 0.5)
    assert args.resume is None
    args = train.parse_arguments(["--training.target-kl", "None", "--resume", "latest"])
    assert args.app.training.target_kl is None and args.resume == "latest"


def test_a_bad_option_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, word in (
        (["--training.batch-sice", "3"], "batch-sice"),
        (["--training.batch-size", "many"], "batch-size"),
        (["--training.gamma", "2"], "gamma"),
    ):
        with pytest.raises(SystemExit) as caught:
            train.parse_arguments(arguments)
        assert caught.value.code == 2
        assert word in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        train.parse_arguments(["--config", "nowhere.yaml"])


def test_runs_resumes_and_ends_with_zero(tmp_path: Path) -> None:
    first = run(tmp_path, *SMALL, "--training.total-timesteps=32", "--logging.run-name=x")
    assert first.returncode == 0, first.stderr
    assert "step 32/32" in first.stdout
    again = run(tmp_path, "--resume", "latest", "--training.total-timesteps=64")
    assert again.returncode == 0, again.stderr
    assert "resumed from" in again.stdout and "step 64/64" in again.stdout
    lines = (tmp_path / "runs" / "x" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [16, 32, 48, 64]


def test_latest_is_looked_for_where_the_user_says(tmp_path: Path) -> None:
    """Not where the checkpoint says that it was made: runs may be moved and renamed."""
    first = run(
        tmp_path,
        *SMALL,
        "--training.total-timesteps=16",
        "--logging.run-root=old",
        "--logging.run-name=a",
    )
    assert first.returncode == 0, first.stderr
    (tmp_path / "old").rename(tmp_path / "runs")
    moved = run(tmp_path, "--resume=latest", "--training.total-timesteps=32")
    assert moved.returncode == 0, moved.stderr
    assert "step 32/32" in moved.stdout
    (tmp_path / "runs" / "a").rename(tmp_path / "runs" / "b")
    renamed = run(
        tmp_path, "--resume=latest", "--training.total-timesteps=48", "--logging.run-name=b"
    )
    assert renamed.returncode == 0, renamed.stderr
    assert "step 48/48" in renamed.stdout
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.glob("*/*")] == ["runs/b"]
    lines = (tmp_path / "runs" / "b" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [16, 32, 48]


IMPORTING = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "NAME":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
runpy.run_module("keisei.train", run_name="__main__", alter_sys=True)
"""
CONSTRUCTING = """
import os, runpy, signal
from keisei.training.trainer import Trainer
Trainer.__init__ = lambda *_: os.kill(os.getpid(), signal.SIGINT)
runpy.run_module("keisei.train", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "program",
    [
        *(
            IMPORTING.replace("NAME", name)
            for name in ("tyro", "torch.nn", "keisei.training.trainer")
        ),
        CONSTRUCTING,
    ],
    ids=["tyro", "torch.nn", "keisei.training.trainer", "Trainer"],
)
def test_interrupting_while_it_starts_is_one_line(tmp_path: Path, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program, *SMALL],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == "keisei.train: interrupted before anything was saved\n"
    assert done.stdout == ""
    assert done.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_that_cannot_be_used_ends_with_two(tmp_path: Path) -> None:
    bad = run(tmp_path, KEISEI_TRAINING__GAMMA="2")
    assert bad.returncode == 2
    assert "training.gamma: expected less than or equal to 1, got 2" in bad.stderr
    lost = run(tmp_path, "--resume", "latest")
    assert lost.returncode == 2
    assert "no checkpoint to resume from" in lost.stderr
    assert "Traceback" not in bad.stderr + lost.stderr
    assert list(tmp_path.iterdir()) == []


def test_interrupting_saves_and_ends_with_zero(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "keisei.train", *SMALL, "--logging.run-name=x"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "step " in line:
                process.send_signal(signal.SIGINT)
                break
        rest, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, "".join(seen) + rest
    assert "SIGINT: this iteration is finished and saved" in rest
    assert "go on with --resume" in rest
    assert len(list((tmp_path / "runs" / "x" / "checkpoints").iterdir())) == 1
