"""A Triton scan of advantages over time: what ``ops.gae`` is compared with, on CUDA only.

The usual form of a fast GAE: one kernel, the affine steps of a block of time joined by
``tl.associative_scan``, blocks of time one after another from the last, a few games a program.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from keisei import ops

TIME_BLOCK = 64
GAMES_BLOCK = 32


@triton.jit
def _join(later_base, later_link, base, link):
    return base + link * later_base, link * later_link


@triton.jit
def _gae_kernel(
    values, rewards, ending, valid, advantages, returns, steps, games, to_next, lam,
    move_limit: tl.constexpr, blocks: tl.constexpr, time: tl.constexpr, width: tl.constexpr,
):  # fmt: skip
    game = tl.program_id(0).to(tl.int64) * width + tl.arange(0, width)[None, :]
    carried = tl.zeros((1, width), tl.float32)
    for block in range(blocks):
        first = (blocks - 1 - block) * time
        row = tl.arange(0, time)[:, None]
        inside = (first + row < steps) & (game < games)
        at = (first + row).to(tl.int64) * games + game
        value = tl.load(values + at, inside, 0.0)
        next_value = tl.load(values + at + games, inside, 0.0)
        end = tl.load(ending + at, inside, 0)
        moved = tl.load(valid + at, inside, 0) != 0
        next_moved = tl.load(valid + at + games, inside & (first + row + 1 < steps), 0) != 0
        reward = tl.load(rewards + at, inside, 0.0)
        worth = (end == 0) | (end == move_limit)
        base = reward + tl.where(worth, to_next * next_value, 0.0) - value
        link = tl.where((end == 0) & next_moved & moved, to_next * lam, 0.0)
        # Rows past the end hand on what is carried, which is 0 there.
        link = tl.where(inside, link, 1.0)
        base = tl.where(inside & moved, base, 0.0)
        base, link = tl.associative_scan((base, link), 0, _join, reverse=True)
        advantage = base + link * carried
        carried = tl.sum(tl.where(row == 0, advantage, 0.0), 0, keep_dims=True)
        tl.store(advantages + at, advantage, inside)
        tl.store(returns + at, tl.where(moved, advantage + value, 0.0), inside)


def gae(
    values: Tensor,
    rewards: Tensor,
    ending: Tensor,
    valid: Tensor,
    gamma: float,
    lam: float,
    form: ops.GaeForm,
) -> tuple[Tensor, Tensor]:
    """``ops.gae`` for ``zero_sum`` and ``single``."""
    steps, games = rewards.shape
    advantages, returns = torch.empty_like(rewards), torch.empty_like(rewards)
    _gae_kernel[(triton.cdiv(games, GAMES_BLOCK),)](
        values, rewards, ending, valid.view(torch.uint8), advantages, returns, steps, games,
        -gamma if form == "zero_sum" else gamma, lam,
        move_limit=ops.MOVE_LIMIT, blocks=triton.cdiv(steps, TIME_BLOCK), time=TIME_BLOCK,
        width=GAMES_BLOCK,
    )  # fmt: skip
    return advantages, returns
