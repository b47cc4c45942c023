"""Playing: the network against itself, all games at once."""

from __future__ import annotations

from collections.abc import Callable

import torch

from keisei import ops
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv

ENDINGS = {
    "no_legal_move": ops.NO_LEGAL_MOVE,
    "declaration": ops.DECLARATION,
    "repetition": ops.REPETITION,
    "perpetual_check": ops.PERPETUAL_CHECK,
    "move_limit": ops.MOVE_LIMIT,
}


@torch.no_grad()
def collect(
    env: ShogiVectorEnv,
    agent: PPOAgent,
    buffer: ExperienceBuffer,
    on_ply: Callable[[int], None] = lambda _: None,
) -> None:
    """Fills ``buffer`` with one rollout and its advantages; games go on from where they stood.

    ``on_ply`` is told how many plies are done. Nothing waits for the device in between; an illegal
    action raises ValueError after the rollout.
    """
    agent.model.eval()
    buffer.clear()
    while not buffer.full:
        logits, values = agent.evaluate(env.positions)
        actions, log_probs, _ = env.sample(logits)
        buffer.record_decision(
            positions=env.positions,
            white=env.turn == 1,
            actions=actions,
            log_probs=log_probs,
            values=values,
        )
        step = env.step(actions)
        buffer.record_result(
            rewards=step.reward, ending=step.ending, valid=step.valid, length=step.length
        )
        on_ply(len(buffer))
    env.raise_errors()
    _, last_values = agent.evaluate(env.positions)
    buffer.compute_advantages(
        last_values,
        gamma=agent.config.gamma,
        gae_lambda=agent.config.gae_lambda,
        normalize=agent.config.normalize_advantages,
    )


def rollout_counts(buffer: ExperienceBuffer) -> dict[str, int]:
    """What happened in a rollout: plies, games, results by colour and by kind of ending.

    ``plies`` counts moves that were made; ``game_plies`` sums the lengths of the games that ended.
    """
    ended = buffer.valid & (buffer.ending != ops.NOT_ENDED)
    won = ended & (buffer.rewards > 0)
    lost = ended & (buffer.rewards < 0)
    truncated = ended & (buffer.ending == ops.MOVE_LIMIT)
    sums = {
        "plies": buffer.valid.sum(),
        "games": ended.sum(),
        "game_plies": buffer.length.sum(),
        "black_wins": ((won & ~buffer.white) | (lost & buffer.white)).sum(),
        "white_wins": ((won & buffer.white) | (lost & ~buffer.white)).sum(),
        "draws": (ended & ~won & ~lost & ~truncated).sum(),
        "truncated": truncated.sum(),
    }
    for name, code in ENDINGS.items():
        sums[f"ending_{name}"] = (ended & (buffer.ending == code)).sum()
    counts = torch.stack(list(sums.values())).tolist()
    return {name: int(count) for name, count in zip(sums, counts, strict=True)}


def rollout_values(buffer: ExperienceBuffer) -> dict[str, float]:
    """How well the values of a rollout foresaw its returns: mean, deviation, explained variance."""
    weight = buffer.valid.float()
    count = weight.sum().clamp(min=1.0)
    values, returns = buffer.values[:-1], buffer.returns

    def mean(x: torch.Tensor) -> torch.Tensor:
        return (x * weight).sum() / count

    def variance(x: torch.Tensor) -> torch.Tensor:
        return mean((x - mean(x)).square())

    explained = 1.0 - variance(returns - values) / variance(returns).clamp(min=1e-8)
    stacked = torch.stack((mean(values), variance(values).sqrt(), explained)).tolist()
    return dict(zip(("value_mean", "value_deviation", "explained_variance"), stacked, strict=True))
