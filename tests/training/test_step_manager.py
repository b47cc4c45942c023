"""One step of training: a rollout, and the learning from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from keisei.config_schema import AppConfig, EnvConfig, ModelConfig, TrainingConfig, resolve
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.network import build_network
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.step_manager import EpisodeState, StepManager

GAMES, LENGTH = 4, 3


def parts() -> tuple[StepManager, ShogiVectorEnv, ExperienceBuffer, PPOAgent]:
    given = AppConfig(
        training=TrainingConfig(rollout_length=LENGTH, batch_size=6, device="cpu", seed=2),
        env=EnvConfig(num_games=GAMES, max_plies=6),
        model=ModelConfig(tower_depth=1, tower_width=8),
    )
    config = resolve(given, device="cpu", compile_network=False)
    torch.manual_seed(2)
    device = torch.device("cpu")
    agent = PPOAgent(build_network(config.model), config.training, device)
    game = ShogiVectorEnv(GAMES, device, max_plies=6, seed=2, check_actions=False)
    buffer = ExperienceBuffer(LENGTH, GAMES, device)
    return StepManager(game, agent, buffer, seed=2), game, buffer, agent


def weights(agent: PPOAgent) -> list[torch.Tensor]:
    return [weight.detach().clone() for _, weight in agent.model.named_parameters()]


def test_a_step_plays_then_learns_then_clears() -> None:
    steps, game, buffer, agent = parts()
    before, told = weights(agent), []
    counts = steps.play(told.append)
    assert counts["plies"] == LENGTH * GAMES and told == [1, 2, 3]
    assert buffer.full and steps.rollout_length == LENGTH
    minibatches: list[int] = []
    figures = steps.learn(on_minibatch=lambda: minibatches.append(1))
    assert len(buffer) == 0, "expected the buffer to be cleared"
    assert {"loss", "gradient_steps", "value_mean", "explained_variance"} <= figures.keys()
    assert len(minibatches) >= figures["gradient_steps"] > 0
    assert any(not torch.equal(a, b) for a, b in zip(before, weights(agent), strict=True))
    state = steps.state()
    assert isinstance(state, EpisodeState) and torch.equal(state.positions, game.positions)


def test_games_that_ended_are_noted_when_asked_for() -> None:
    steps, *_ = parts()
    steps.play()
    steps.learn()
    counts = steps.play(note_games=True)
    assert counts["games"] == GAMES, "expected every game to reach its limit of six plies"
    assert len(steps.ended_games().length) == GAMES


def test_learning_without_a_rollout_is_refused() -> None:
    steps, *_ = parts()
    with pytest.raises(RuntimeError, match=r"expected a rollout of 3 plies, got 0"):
        steps.learn()
    steps.play()
    steps.learn()
    with pytest.raises(RuntimeError, match="expected 3 plies, got 0"):
        steps.learn(torch.zeros(GAMES))


def test_values_of_planes_are_those_of_the_positions() -> None:
    steps, game, _, agent = parts()
    steps.play()
    with torch.no_grad():
        _, expected = agent.evaluate(game.positions)
    planes = game.planes().numpy()
    assert torch.allclose(steps.estimate_values(planes), expected, atol=1e-6)
    assert torch.allclose(steps.estimate_values(planes.astype(np.float64)), expected, atol=1e-6)
    for bad in (planes[:1], planes[0], planes[:, :119]):
        with pytest.raises(ValueError, match=r"^current_obs_np: expected planes \[4, 121, 9, 9\]"):
            steps.estimate_values(bad)


def test_given_values_take_the_place_of_those_that_were_played_with() -> None:
    steps, game, buffer, agent = parts()
    steps.play()
    played = buffer.advantages.clone()
    with torch.no_grad():
        _, values = agent.evaluate(game.positions)
    seen: list[torch.Tensor] = []

    def learn(*_: object) -> dict[str, float]:
        seen.append(buffer.advantages.clone())
        return {}

    agent.learn = learn  # type: ignore[method-assign]
    steps.learn(values)
    assert torch.equal(seen[0], played), "expected the same advantages from the same values"
    steps.play()
    played = buffer.advantages.clone()
    with torch.no_grad():
        _, values = agent.evaluate(game.positions)
    steps.learn(values + torch.arange(GAMES))
    assert not torch.equal(seen[1], played), "expected other advantages from other values"
