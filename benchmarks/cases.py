"""What is measured. A case checks its result when it is made; only then can it be timed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch

import keisei
from keisei import ops
from keisei.envs import ShogiVectorEnv

PLIES_OF_PLAY = 64  # random plies before anything is measured: positions as they come up in play


@dataclass(frozen=True)
class Case:
    """One thing to time. `work` counts what one call does, in `unit`; `bytes` it must move."""

    name: str
    call: Callable[[], object]
    work: int
    unit: str
    bytes: int = 0


class WrongResultError(AssertionError):
    """A benchmark's check failed; its time would mean nothing."""


def expect(condition: bool, what: str) -> None:
    """Stop before timing anything that is wrong."""
    if not condition:
        raise WrongResultError(what)


def played(games: int, device: torch.device) -> ShogiVectorEnv:
    """An environment after some uniform play."""
    env = ShogiVectorEnv(games, device, seed=7, check_actions=False)
    for _ in range(PLIES_OF_PLAY):
        env.step(env.sample_uniform())
    env.raise_errors()
    return env


def legal_mask(games: int, device: torch.device) -> Case:
    """Packed legal masks of stored positions."""
    env = played(games, device)
    positions = env.positions.clone(memory_format=torch.contiguous_format)
    mask = ops.legal_mask(positions)
    expect(torch.equal(mask, env.mask), "legal_mask differs from the masks that play kept")
    for g in random.Random(1).sample(range(games), min(games, 64)):
        position = keisei.Position.from_words(positions[g].cpu().numpy())
        labels = ops.unpack_mask(mask[g : g + 1])[0].nonzero().flatten().tolist()
        expect(labels == sorted(position.legal_labels()), f"legal_mask: game {g} is wrong")
    size = positions.nbytes + mask.nbytes
    return Case("legal_mask", lambda: ops.legal_mask(positions), games, "positions", size)


def step(games: int, device: torch.device) -> Case:
    """A uniform choice and a whole step: outcome, reset and next mask included."""
    env = played(games, device)
    twin = ShogiVectorEnv(min(games, 256), "cpu", seed=7)
    for _ in range(PLIES_OF_PLAY):
        twin.step(twin.sample_uniform())
    same = env.positions[: twin.num_envs].cpu()
    expect(torch.equal(same, twin.positions), "step: games differ from the CPU's")
    size = games * (2 * 17 * 4 + 2 * 4 * 4 + 81 * 4 + 8 + 8)
    return Case("uniform step", lambda: env.step(env.sample_uniform()), games, "plies", size)


def planes(games: int, device: torch.device, dtype: torch.dtype, channels_last: bool) -> Case:
    """Feature planes in the network's dtype and memory format."""
    env = played(games, device)
    out = env.planes(dtype=dtype, channels_last=channels_last)
    for g in random.Random(2).sample(range(games), min(games, 64)):
        words = env.positions[g].cpu().numpy()
        expected = torch.from_numpy(keisei.Position.from_words(words).planes())
        expect(torch.equal(out[g].float().cpu(), expected), f"planes: game {g} is wrong")
    name = f"planes {str(dtype).removeprefix('torch.')}{' channels-last' if channels_last else ''}"
    return Case(
        name,
        lambda: env.planes(dtype=dtype, channels_last=channels_last),
        games,
        "positions",
        out.nbytes,
    )


def masked_sample(games: int, device: torch.device, dtype: torch.dtype) -> Case:
    """A legal action, its log-probability and the entropy from logits."""
    env = played(games, device)
    logits = torch.randn(games, 2187, device=device, dtype=dtype)
    _, log_prob, entropy = ops.masked_sample(logits, env.mask, env.clock, 1, 0, False)
    expect(bool(torch.isfinite(log_prob).all()), "masked_sample: a log-probability is not finite")
    legal = ops.unpack_mask(env.mask)
    reference = torch.log_softmax(logits.double().masked_fill(~legal, -torch.inf), 1)
    expected = -(reference.exp() * reference.masked_fill(~legal, 0)).sum(1)
    expect(bool(((entropy - expected).abs() < 1e-3).all()), "masked_sample: entropy is wrong")
    name = f"masked_sample {str(dtype).removeprefix('torch.')}"
    size = logits.nbytes + env.mask.nbytes
    return Case(
        name,
        lambda: ops.masked_sample(logits, env.mask, env.clock, 1, 0, False),
        games,
        "rows",
        size,
    )


def gae(steps: int, games: int, device: torch.device) -> Case:
    """Zero-sum generalised advantage estimation."""
    generator = torch.Generator(device).manual_seed(3)
    values = torch.rand(steps + 1, games, device=device, generator=generator) * 2 - 1
    ends = torch.rand(steps, games, device=device, generator=generator) < 0.01
    rewards = ends.float()
    ending = ends.to(torch.uint8)
    valid = torch.ones_like(ends)
    advantages, _ = ops.gae(values, rewards, ending, valid, 1.0, 0.95, "zero_sum")
    expected = torch.zeros(games, device=device)
    for t in reversed(range(steps)):
        going = (~ends[t]).float()
        delta = rewards[t] - going * values[t + 1] - values[t]
        expected = delta - 0.95 * going * expected
        close = torch.allclose(advantages[t], expected, atol=1e-4, rtol=1e-4)
        expect(close, f"gae: row {t} is wrong")
    size = values.nbytes + rewards.nbytes * 3 + ending.nbytes + valid.nbytes
    return Case(
        f"gae [{steps}, {games}]",
        lambda: ops.gae(values, rewards, ending, valid, 1.0, 0.95, "zero_sum"),
        steps * games,
        "elements",
        size,
    )
