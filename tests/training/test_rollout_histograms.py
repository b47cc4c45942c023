"""How values and move probabilities are spread, against plain counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from keisei.core.experience_buffer import ExperienceBuffer
from keisei.training.rollout_histograms import RolloutHistograms


def filled(device: str) -> ExperienceBuffer:
    generator = torch.Generator().manual_seed(3)
    buffer = ExperienceBuffer(50, 40, torch.device(device))
    values = torch.rand(51, 40, generator=generator) * 2.4 - 1.2  # some outside of the limits
    values[0, 0], values[1, 1] = float("nan"), float("inf")
    values[2, :5] = torch.tensor([-1.0, 1.0, 0.0, 0.05, -0.05])
    buffer.values.copy_(values)
    buffer.log_probs.copy_(torch.rand(50, 40, generator=generator).log())
    buffer.valid.copy_(torch.rand(50, 40, generator=generator) < 0.9)
    buffer.valid[:3] = True
    return buffer


def check(device: str) -> None:
    buffer = filled(device)
    counter = RolloutHistograms(buffer)
    counter.start()
    found = counter.read()
    valid = buffer.valid.cpu().numpy()
    given = {
        "rollout.values": (buffer.values[:-1].cpu().double().numpy(), -1.0),
        "rollout.move_probabilities": (buffer.log_probs.exp().cpu().double().numpy(), 0.0),
    }
    assert found.keys() == given.keys()
    for name, (values, lowest) in given.items():
        kept = values[valid & np.isfinite(values)]
        one = found[name]
        # As TensorBoard has it: each bucket without its lower and with its upper limit.
        inside = np.clip(kept, lowest + 1e-9, 1.0)
        numbers = np.searchsorted(one.limits, inside, side="left")
        expected = np.bincount(numbers, minlength=len(one.limits))
        assert one.counts.tolist() == expected.tolist(), name
        assert (one.least, one.most) == (kept.min(), kept.max())
        assert one.total == pytest.approx(kept.sum()) and one.counts.sum() == len(kept)
        assert one.squares == pytest.approx(np.square(kept).sum())


def test_the_counts_are_those_of_plain_counting() -> None:
    check("cpu")


@pytest.mark.gpu
def test_the_counts_are_those_of_plain_counting_on_a_gpu() -> None:
    check("cuda")


@pytest.mark.gpu
def test_starting_does_not_wait_for_the_device() -> None:
    counter = RolloutHistograms(filled("cuda"))
    counter.start()
    counter.read()
    torch.cuda.set_sync_debug_mode("error")
    try:
        counter.start()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert counter.read()["rollout.values"].counts.sum() > 0


def test_what_holds_no_row_gives_no_histogram() -> None:
    buffer = filled("cpu")
    buffer.valid.fill_(False)
    counter = RolloutHistograms(buffer)
    counter.start()
    assert counter.read() == {}
