"""Every generator goes on where it stood."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from keisei.utils.random_state import capture_generators, restore_generators, seed_all


def draw(device: torch.device) -> list[float]:
    numbers = [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn()]
    numbers += [float(torch.rand(())), float(torch.rand((), device=device))]
    return numbers


@pytest.mark.parametrize(
    "name", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)], ids=["cpu", "cuda"]
)
@pytest.mark.parametrize("drawn", [0, 1, 2])
def test_the_same_numbers_follow(name: str, drawn: int) -> None:
    device = torch.device(name)
    seed_all(3)
    for _ in range(drawn):  # of a pair of normal numbers, one is kept for the next call
        draw(device)
    stored = load(save(capture_generators(device)))
    expected = [draw(device) for _ in range(3)]
    seed_all(4)
    assert draw(device) != expected[0]
    restore_generators(stored, device)
    assert [draw(device) for _ in range(3)] == expected


def test_a_seed_settles_all() -> None:
    device = torch.device("cpu")
    seed_all(2**40 + 1)
    first = draw(device)
    seed_all(2**40 + 1)
    assert draw(device) == first
    seed_all(2**40 + 2)
    assert all(a != b for a, b in zip(draw(device), first, strict=True))


def test_a_state_that_is_missing_or_none_is_refused() -> None:
    device = torch.device("cpu")
    states = capture_generators(device)
    with pytest.raises(KeyError, match="numpy"):
        restore_generators({k: t for k, t in states.items() if k != "numpy"}, device)
    with pytest.raises((ValueError, RuntimeError)):
        restore_generators(states | {"python": torch.zeros(3, dtype=torch.int64)}, device)
