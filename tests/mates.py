"""Positions where a mate is."""

from __future__ import annotations

from keisei import Position, ops
from keisei.envs import ShogiVectorEnv


def mates_in_one(count: int) -> list[Position]:
    """Positions of random play in which the next random move was mate."""
    env = ShogiVectorEnv(256, seed=0)
    found: list[Position] = []
    while len(found) < count:
        before = env.positions.clone()
        step = env.step(env.sample_uniform())
        mated = (step.ending == ops.NO_LEGAL_MOVE) & (step.reward > 0)
        found += [Position.from_words(words.numpy()) for words in before[mated]]
    return found[:count]
