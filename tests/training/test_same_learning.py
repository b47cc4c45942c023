"""The same seed gives the losses that it gave before the learner was made fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from learning_run import RUNS, run

STORED = json.loads((Path(__file__).parents[1] / "data" / "learning_run.json").read_text())

LOSSES = ("loss", "policy_loss", "value_loss", "entropy", "approx_kl")

# How far the losses of iteration 1, 2, ... may be off. Another order of summation changes the last
# bits; Adam, which divides by the size of a gradient, makes that ten times more an iteration where
# each has many steps. What counts games and gradient steps must be equal.
BOUNDS = {
    "whole": (1e-5, 1e-5, 1e-5, 1e-4),
    "pieces": (1e-5, 1e-5, 2e-4, 2e-3),
}


def compare(name: str, got: list[dict[str, float]], times: float = 1.0) -> None:
    expected = STORED["runs"][name]
    assert len(got) == len(expected) == len(BOUNDS[name])
    for ours, stored, bound in zip(got, expected, BOUNDS[name], strict=True):
        where = f"{name}: iteration {stored['iteration']}"
        for loss in LOSSES:
            key = f"learn.{loss}"
            assert ours[key] == pytest.approx(stored[key], rel=0, abs=times * bound), (
                f"{where}: {key}"
            )
        exact = {k: v for k, v in stored.items() if not k.startswith("learn.")}
        assert {key: ours[key] for key in exact} == exact, where
        for key in ("learn.gradient_steps", "learn.kl_stop"):
            assert ours[key] == stored[key], f"{where}: {key}"


@pytest.mark.parametrize("name", sorted(RUNS))
def test_the_losses_are_those_of_before(name: str, tmp_path: Path) -> None:
    compare(name, run(RUNS[name], STORED["starts"], tmp_path))


@pytest.mark.gpu
def test_a_gpu_learns_the_same(tmp_path: Path) -> None:
    """In float32 proper, ten times the bounds: other kernels sum everything in other orders."""
    import torch

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        training = RUNS["whole"] | {"device": "cuda"}
        compare("whole", run(training, STORED["starts"], tmp_path), times=10.0)
    finally:
        torch.backends.cudnn.allow_tf32 = before
