"""Sampling from the softmax over legal labels, with log-probability and entropy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from batch_helpers import DEVICES, clocks, pack, played_masks, random_masks, unpack

from keisei import ops

# Float32 sums over at most 2,187 labels.
BOUND = 2e-5
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def reference(logits: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and entropies in float64, in plain torch."""
    masked = logits.double().masked_fill(~unpack(mask), -math.inf)
    log_probs = masked.log_softmax(1)
    entropy = -(log_probs.exp() * log_probs.masked_fill(log_probs == -math.inf, 0)).sum(1)
    return log_probs, entropy


def some_logits(rows: int, scale: float = 2.0, seed: int = 0) -> torch.Tensor:
    return scale * torch.randn(rows, ops.LABELS, generator=torch.Generator().manual_seed(seed))


def some_masks() -> torch.Tensor:
    return torch.cat(
        [
            played_masks(200),
            random_masks(40, 0.5, seed=3),
            pack(torch.ones(1, ops.LABELS, dtype=torch.bool)),
            pack(torch.arange(ops.LABELS)[None] == 2186),
        ]
    )


@pytest.mark.parametrize("scale", [0.0, 2.0, 30.0])
@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("device", DEVICES)
def test_log_prob_and_entropy(device: str, dtype: torch.dtype, greedy: bool, scale: float) -> None:
    mask = some_masks()
    logits = some_logits(len(mask), scale).to(dtype)
    action, log_prob, entropy = (
        out.cpu()
        for out in ops.masked_sample(
            logits.to(device), mask.to(device), clocks(len(mask)).to(device), 5, greedy=greedy
        )
    )
    log_probs, expected_entropy = reference(logits, mask)
    assert unpack(mask).gather(1, action[:, None]).all()
    torch.testing.assert_close(
        log_prob.double(), log_probs.gather(1, action[:, None])[:, 0], atol=BOUND, rtol=BOUND
    )
    torch.testing.assert_close(entropy.double(), expected_entropy, atol=BOUND, rtol=BOUND)
    if greedy:
        assert torch.equal(action, log_probs.argmax(1))


@pytest.mark.parametrize("device", DEVICES)
def test_draws_follow_the_softmax(device: str) -> None:
    rows, rounds = 20_000, 6
    mask = played_masks(8)[5:6]
    logits = some_logits(1, scale=1.5, seed=1)
    labels = unpack(mask).flatten().nonzero().flatten()
    counts = torch.zeros(ops.LABELS, dtype=torch.int64)
    many = logits.half().expand(rows, ops.LABELS).contiguous().to(device)
    masks = mask.expand(rows, 81).contiguous().to(device)
    for turn in range(rounds):
        clock = clocks(rows, first=turn * rows).to(device)
        action = ops.masked_sample(many, masks, clock, seed=99)[0].cpu()
        counts += torch.bincount(action, minlength=ops.LABELS)
    assert counts[labels].sum() == rows * rounds, "an illegal label was drawn"
    expected = reference(logits.half(), mask)[0].exp().flatten()[labels] * rows * rounds
    common = expected >= 5  # the usual condition for the test; the rest is one class
    seen = counts[labels].double()
    seen = torch.cat([seen[common], seen[~common].sum()[None]])
    expected = torch.cat([expected[common], expected[~common].sum()[None]])
    chi_square = float(((seen - expected) ** 2 / expected.clamp(min=1e-9)).sum())
    degrees = len(seen) - 1
    assert degrees > 15
    assert chi_square < degrees + 4 * (2 * degrees) ** 0.5


def test_an_unlikely_label_comes_as_often_as_it_should() -> None:
    rows, rounds, gap = 20_000, 10, 6.0
    legal = torch.zeros(1, ops.LABELS, dtype=torch.bool)
    legal[0, [40, 41]] = True
    logits = torch.zeros(1, ops.LABELS)
    logits[0, 41] = gap
    masks = pack(legal).expand(rows, 81).contiguous()
    many = logits.expand(rows, ops.LABELS).contiguous()
    seen = 0
    for turn in range(rounds):
        action = ops.masked_sample(many, masks, clocks(rows, turn * rows), seed=3)[0]
        seen += int((action == 40).sum())
    expected = rows * rounds / (1 + math.exp(gap))
    assert abs(seen - expected) < 4 * math.sqrt(expected)


def test_the_choice_is_gumbel_max_over_the_documented_noise() -> None:
    # A second implementation, in numpy with a float64 logarithm. Only a near tie may differ.
    rows, seed, first_game = 60, 2**40 + 9, 1000
    mask = played_masks(rows)
    logits = some_logits(rows)
    clock = clocks(rows, first=17)
    action = ops.masked_sample(logits, mask, clock, seed, first_game)[0]
    labels = np.arange(ops.LABELS, dtype=np.uint64)
    decided = 0
    for row, legal in enumerate(unpack(mask).numpy()):
        words = philox_of_labels(labels, seed, first_game + row, int(clock[row]))
        rest = np.minimum((words + 0.5) / 2**32, 1 - 2**-24)  # 1 - u
        score = np.where(legal, logits[row].double().numpy() - np.log(-np.log1p(-rest)), -np.inf)
        first, second = np.sort(score)[::-1][:2]
        if first - second > 1e-4:
            assert int(action[row]) == int(score.argmax()), f"row {row}"
            decided += 1
    assert decided >= rows - 1


def philox_of_labels(labels: np.ndarray, seed: int, game: int, clock: int) -> np.ndarray:
    """Word `label % 4` of block `label // 4` of the gumbel stream."""
    low = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    c = [
        (labels // np.uint64(4)) | np.uint64(1 << 24),
        np.full_like(labels, clock),
        np.full_like(labels, game % 2**32),
        np.full_like(labels, game // 2**32),
    ]
    k = [seed % 2**32, seed // 2**32]
    for _ in range(10):
        product0 = np.uint64(0xD2511F53) * c[0]
        product1 = np.uint64(0xCD9E8D57) * c[2]
        c = [
            (product1 >> shift) ^ c[1] ^ np.uint64(k[0]),
            product1 & low,
            (product0 >> shift) ^ c[3] ^ np.uint64(k[1]),
            product0 & low,
        ]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return np.stack(c)[(labels % np.uint64(4)).astype(int), np.arange(len(labels))].astype(float)


@pytest.mark.parametrize("device", DEVICES)
def test_illegal_logits_change_nothing(device: str) -> None:
    mask = played_masks(50)
    logits = some_logits(50)
    clock = clocks(50).to(device)
    spoilt = logits.masked_fill(~unpack(mask), math.nan)
    clean = ops.masked_sample(logits.to(device), mask.to(device), clock, 1)
    for a, b in zip(
        clean, ops.masked_sample(spoilt.to(device), mask.to(device), clock, 1), strict=True
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize("device", DEVICES)
def test_ties_go_to_the_lowest_label(device: str) -> None:
    mask = played_masks(50)
    logits = torch.zeros(50, ops.LABELS, device=device)
    action = ops.masked_sample(logits, mask.to(device), clocks(50).to(device), 1, greedy=True)[0]
    assert torch.equal(action.cpu(), unpack(mask).int().argmax(1))


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("device", DEVICES)
def test_rows_without_a_choice(device: str, greedy: bool) -> None:
    mask = played_masks(3)
    mask[0] = 0
    logits = some_logits(3)
    logits[1] = -math.inf
    logits[2, unpack(mask)[2].nonzero()[0]] = math.nan
    action, log_prob, entropy = (
        out.cpu()
        for out in ops.masked_sample(
            logits.to(device), mask.to(device), clocks(3).to(device), 1, greedy=greedy
        )
    )
    assert action[0] == -1
    # No move is more probable than another: the lowest legal one.
    assert action[1] == unpack(mask)[1].int().argmax()
    assert unpack(mask)[2, action[2]]
    assert log_prob.isnan().all()
    assert entropy.isnan().all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("device", DEVICES)
def test_a_broken_network_still_plays_legal_moves_and_shows(
    device: str, greedy: bool, dtype: torch.dtype, value: float
) -> None:
    mask = torch.cat([played_masks(40), random_masks(5, 0.5, seed=4)])
    logits = torch.full((45, ops.LABELS), value, dtype=dtype)
    action, log_prob, entropy = (
        out.cpu()
        for out in ops.masked_sample(
            logits.to(device), mask.to(device), clocks(45).to(device), 1, greedy=greedy
        )
    )
    assert torch.equal(action, unpack(mask).int().argmax(1)), "expected the lowest legal labels"
    assert log_prob.isnan().all() and entropy.isnan().all()


@pytest.mark.parametrize("device", DEVICES)
def test_a_minus_infinite_legal_logit_is_never_drawn(device: str) -> None:
    mask = played_masks(40)
    logits = torch.full((40, ops.LABELS), -math.inf)
    # The last legal label, so that every sum begins with logits of minus infinity.
    only = ops.LABELS - 1 - unpack(mask).flip(1).int().argmax(1)
    logits.scatter_(1, only[:, None], 3.0)
    action, log_prob, entropy = ops.masked_sample(
        logits.to(device), mask.to(device), clocks(40).to(device), 1
    )
    assert torch.equal(action.cpu(), only)
    assert (log_prob == 0).all()
    assert (entropy == 0).all()
