"""Generalised advantage estimation as a Triton scan over time: a peer of ``keisei.ops.gae``.

Needs Triton and a GPU: imported only there.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from keisei import ops

_MOVE_LIMIT = tl.constexpr(ops.MOVE_LIMIT)


@triton.jit
def _combine(slope_a, offset_a, slope_b, offset_b):
    """The map of step b after that of the later steps a."""
    return slope_a * slope_b, offset_b + slope_b * offset_a


# Triton reads annotations: those of Python's types would be errors.
def _scan(
    values,
    rewards,
    ending,
    valid,
    advantages,
    returns,
    steps,
    games,
    bootstrap,
    chain,
    block_t: tl.constexpr,
    block_n: tl.constexpr,
):
    n = tl.program_id(0) * block_n + tl.arange(0, block_n)
    row = tl.arange(0, block_t)
    later = tl.zeros((block_n,), tl.float32)
    for chunk in range(tl.cdiv(steps, block_t) - 1, -1, -1):
        t = chunk * block_t + row
        inside = (t < steps)[:, None] & (n < games)[None, :]
        at = t.to(tl.int64)[:, None] * games + n[None, :]
        end = tl.load(ending + at, inside, other=1)
        ok = tl.load(valid + at, inside, other=0) != 0
        value = tl.load(values + at, inside, other=0.0)
        following = tl.load(values + at + games, inside, other=0.0)
        worth = (end == 0) | (end == _MOVE_LIMIT)
        delta = tl.load(rewards + at, inside, other=0.0) - value
        delta += tl.where(worth, bootstrap * following, 0.0)
        slope = tl.where(ok & (end == 0), chain, 0.0)
        # Rows past the end of the rollout pass on what comes later, which is nothing.
        slope = tl.where((t < steps)[:, None], slope, 1.0)
        delta = tl.where(ok, delta, 0.0)
        slope, delta = tl.associative_scan((slope, delta), 0, _combine, reverse=True)
        found = delta + slope * later[None, :]
        tl.store(advantages + at, found, inside)
        tl.store(returns + at, found + value, inside)
        later = tl.sum(tl.where((row == 0)[:, None], found, 0.0), 0)


_kernel = triton.autotune(
    configs=[
        triton.Config({"block_t": block_t, "block_n": block_n}, num_warps=warps)
        for block_t, block_n, warps in (
            (16, 32, 1),
            (16, 64, 2),
            (16, 128, 4),
            (32, 32, 2),
            (32, 64, 4),
            (64, 16, 4),
            (64, 32, 4),
        )
    ],
    key=["steps", "games"],
)(triton.jit(_scan))


def gae(
    values: Tensor,
    rewards: Tensor,
    ending: Tensor,
    valid: Tensor,
    gamma: float,
    lam: float,
    form: ops.GaeForm,
) -> tuple[Tensor, Tensor]:
    """``ops.gae`` for ``zero_sum`` and ``single``; block sizes are tuned at the first call."""
    steps, games = rewards.shape
    sign = -1.0 if form == "zero_sum" else 1.0
    advantages, returns = torch.empty_like(rewards), torch.empty_like(rewards)

    def grid(meta: dict[str, int]) -> tuple[int]:
        return (triton.cdiv(games, meta["block_n"]),)

    _kernel[grid](
        values,
        rewards,
        ending,
        valid.view(torch.uint8),
        advantages,
        returns,
        steps,
        games,
        sign * gamma,
        sign * gamma * lam,
    )
    return advantages, returns
