"""kill -9 at any moment loses no published checkpoint and changes nothing of a run.

The programs in ``tests/crash_programs`` do it: one process that imports everything and forks those
that die, so that hundreds of kills take a minute or two.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from event_files import assert_each_point_once, details

PROGRAMS = Path(__file__).parents[1] / "crash_programs"


def run(program: str, folder: Path, number: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / program), str(folder), str(number)],
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def _no_published_checkpoint_is_lost(folder: Path, kills: int) -> None:
    seen = run("killing.py", folder / "checkpoints", kills)
    kinds = seen["kinds"]
    assert sum(kinds.values()) == kills
    in_saves = kinds["line: SIGKILL"] + kinds["write: SIGXFSZ"]
    assert in_saves >= kills // 3
    assert seen["half"] >= in_saves / 2, "expected kills to leave unfinished checkpoints behind"
    assert seen["published"] > kills / 4, "expected checkpoints to be published between the kills"


def test_no_published_checkpoint_is_lost(tmp_path: Path) -> None:
    _no_published_checkpoint_is_lost(tmp_path, 18)


@pytest.mark.slow
def test_no_published_checkpoint_is_lost_in_two_hundred_kills(tmp_path: Path) -> None:
    _no_published_checkpoint_is_lost(tmp_path, 200)


def _a_killed_run_ends_as_one_that_is_not(folder: Path, kills: int) -> None:
    assert run("killed_training.py", folder, kills)["kills"] == kills
    ours = assert_each_point_once(folder / "killed" / "run")
    theirs = assert_each_point_once(folder / "whole" / "run")
    assert details(ours) == details(theirs), "histograms and boards"
    starts = list((folder / "killed" / "run" / "tensorboard").glob("*.hparams"))
    assert len(starts) == 1, "expected the hyperparameters once"


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path: Path) -> None:
    _a_killed_run_ends_as_one_that_is_not(tmp_path, 5)


@pytest.mark.slow
def test_a_run_that_is_killed_twenty_times_shows_each_point_once(tmp_path: Path) -> None:
    _a_killed_run_ends_as_one_that_is_not(tmp_path, 20)
    folder = tmp_path / "killed" / "run" / "tensorboard"
    assert len(list(folder.glob("*tfevents*"))) > 15, "expected that many sessions"


@pytest.mark.slow
def test_a_run_that_is_killed_two_hundred_times_ends_as_one_that_is_not(tmp_path: Path) -> None:
    _a_killed_run_ends_as_one_that_is_not(tmp_path, 200)
