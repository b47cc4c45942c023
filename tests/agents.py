"""Small learners for tests, and what their bits are."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from keisei.config_schema import ModelConfig, TrainingConfig
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.network import build_network
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv


def make_agent(
    device: str = "cpu",
    *,
    memory_format: torch.memory_format = torch.contiguous_format,
    **changes: object,
) -> tuple[PPOAgent, ShogiVectorEnv, ExperienceBuffer]:
    """A network of 2 blocks of 16 channels, 16 games and a rollout of 16 plies."""
    settings = {
        "batch_size": 64,
        "precision": "float32",
        "compile": False,
        "learning_rate": 1e-3,
    } | changes
    torch.manual_seed(5)
    network = build_network(ModelConfig(tower_depth=2, tower_width=16))
    network.to(device, memory_format=memory_format)
    agent = PPOAgent(network, TrainingConfig(**settings), torch.device(device))
    # A short move limit, so that a rollout holds truncated games and their rows without a move.
    env = ShogiVectorEnv(16, device, max_plies=6, seed=3, check_actions=False)
    return agent, env, ExperienceBuffer(16, 16, agent.device)


def decide_on_the_device(agent: PPOAgent) -> PPOAgent:
    """On a CPU the way that CUDA goes: the optimiser itself is told which steps not to take."""
    agent._ahead = True
    for group in agent.optimizer.param_groups:
        group["fused"], group["foreach"] = True, False

    def run_ahead(pieces: list[torch.Tensor]) -> bool:
        for rows in pieces:
            agent._rows = rows
            agent._learn_from_rows()
        return False

    agent._run_ahead = run_ahead  # type: ignore[method-assign, assignment]
    return agent


def bits(agent: PPOAgent) -> dict[str, torch.Tensor]:
    """Everything that a step changes, as integers: weights, moments, step counts, averages."""
    tensors = {name: p.detach() for name, p in agent.model.named_parameters()}
    tensors |= agent.optimizer_tensors()
    if agent._average is not None:
        tensors |= {f"ema.{name}": x for name, x in agent._average.tensors.items()}
    return {name: x.clone().view(torch.int32) for name, x in tensors.items()}


def assert_same_bits(got: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """Fails with the names of the tensors that differ."""
    assert got.keys() == expected.keys(), sorted(got.keys() ^ expected.keys())
    differ = [name for name in expected if not torch.equal(got[name], expected[name])]
    assert not differ, f"{len(differ)} of {len(expected)} tensors differ: {differ[:8]}"
