"""A run that was interrupted and resumed is one that never was, bit for bit."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_run import digest, figures, tiny_config, watched

from keisei.training import interrupt, trainer, training_loop_manager


def at_call(
    function: Callable[..., Any], number: int, act: Callable[[], None]
) -> Callable[..., Any]:
    """``function``, but ``act`` comes before its call of that number."""
    calls = 0

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            act()
        return function(*args, **kwargs)

    return called


def _cut_at_random(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cuts: int, first: int, after: int
) -> None:
    """Cuts in the first iterations, by a signal in the middle of one; compares ``after`` later.

    Half of the cuts let that iteration end, half give it up.
    """
    total = first + after + 10
    whole, unbroken = watched(
        tiny_config(folder / "whole", total, save_every=1000), first + after + 1
    )
    unbroken.seen[0] = digest(whole)
    assert whole.run_training_loop() is False
    lines = figures(folder / "whole" / "run")
    numbers = random.Random(7)
    gave_up = 0
    for cut in range(cuts):
        config = tiny_config(folder / f"cut-{cut}", total, save_every=1000)
        give_up = cut % 2 == 0
        grace = 0.0 if give_up else 1e9
        run, _ = watched(config, 10**9)
        iteration = numbers.randrange(first)
        act = functools.partial(
            os.kill, os.getpid(), numbers.choice((signal.SIGINT, signal.SIGTERM))
        )
        with monkeypatch.context() as patched:
            patched.setattr(
                trainer,
                "StopRequest",
                functools.partial(interrupt.StopRequest, grace_seconds=grace),
            )
            patched.setattr(training_loop_manager, "GRACE_SECONDS", grace)
            if numbers.random() < 0.5:  # at a ply, or at a minibatch
                ply = iteration * 4 + numbers.randrange(4) + 1
                patched.setattr(run.game, "step", at_call(run.game.step, ply, act))
            else:
                minibatch = iteration * 4 + numbers.randrange(4) + 1
                buffer = run.experience_buffer
                patched.setattr(buffer, "gather", at_call(buffer.gather, minibatch, act))
            assert run.run_training_loop() is False
        stood = run.metrics_manager.state.iteration
        gave_up += stood == iteration
        resumed, again = watched(config, stood + after, "latest")
        assert resumed.resumed_from_checkpoint and resumed.metrics_manager.state.iteration == stood
        assert resumed.run_artifact_dir == run.run_artifact_dir
        assert digest(resumed) == unbroken.seen[stood], f"cut {cut}: at once"
        resumed.run_training_loop()
        assert sorted(again.seen) == list(range(stood + 1, stood + after + 1))
        for number, ours in again.seen.items():
            different = [n for n, part in unbroken.seen[number].items() if ours[n] != part]
            assert not different, f"cut {cut} after iteration {stood}: at {number}: {different}"
        assert figures(folder / f"cut-{cut}" / "run") == lines[: stood + after]
    assert 0 < gave_up < cuts, "expected some iterations to be given up and some to be finished"


def test_a_run_that_was_cut_goes_on_as_if_it_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cut_at_random(tmp_path, monkeypatch, cuts=4, first=4, after=3)


@pytest.mark.slow
def test_twenty_cuts_are_not_seen_a_hundred_updates_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cut_at_random(tmp_path, monkeypatch, cuts=20, first=20, after=100)


PROGRAM = Path(__file__).parents[1] / "crash_programs" / "cut_training.py"


@pytest.mark.parametrize(
    ("device", "cuts", "after"),
    [
        ("cpu", 1, 2),
        pytest.param("cuda", 3, 100, marks=pytest.mark.gpu),
    ],
)
def test_a_cut_is_not_seen_on_a_device(tmp_path: Path, device: str, cuts: int, after: int) -> None:
    """On CUDA with fused kernels, bfloat16, graphs and the deterministic mode."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), device, str(cuts), str(after)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {"device": device, "cuts": cuts, "compared": cuts * after}
