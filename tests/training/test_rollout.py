"""Collecting: what is counted, and that the stored rollout is the play itself."""

from __future__ import annotations

import pytest
import torch

from keisei import Position, ops
from keisei.config_schema import ModelConfig, TrainingConfig
from keisei.core.coins import coins
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.network import build_network
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.rollout import Collector, collect, rollout_counts, rollout_values

CPU = torch.device("cpu")


def row(buffer: ExperienceBuffer, games: list[tuple[bool, float, int, bool, int]]) -> None:
    """One ply of each game: (white moved, reward, ending, valid, length)."""
    white, reward, ending, valid, length = zip(*games, strict=True)
    zeros = torch.zeros(len(games))
    positions = torch.zeros(len(games), 17, dtype=torch.int32)
    positions[torch.tensor(white), 15] = -(2**31)
    buffer.record_decision(
        positions=positions,
        actions=zeros.long(),
        log_probs=zeros,
        values=zeros,
    )
    buffer.record_result(
        rewards=torch.tensor(reward),
        ending=torch.tensor(ending, dtype=torch.uint8),
        valid=torch.tensor(valid),
        length=torch.tensor(length, dtype=torch.int32),
    )


def test_results_are_counted_by_colour_and_ending() -> None:
    buffer = ExperienceBuffer(2, 9, CPU)
    row(
        buffer,
        [
            (False, 1.0, ops.NO_LEGAL_MOVE, True, 11),  # black mates
            (False, 1.0, ops.NO_LEGAL_MOVE, True, 17),  # and again
            (True, 1.0, ops.NO_LEGAL_MOVE, True, 12),  # white mates
            (False, -1.0, ops.DECLARATION, True, 13),  # black lets white declare
            (True, -1.0, ops.PERPETUAL_CHECK, True, 14),  # white completes its perpetual check
            (True, -1.0, ops.PERPETUAL_CHECK, True, 18),  # and again
            (False, 0.0, ops.REPETITION, True, 15),
            (True, 0.0, ops.MOVE_LIMIT, True, 16),
            (False, 0.0, ops.NOT_ENDED, True, 0),
        ],
    )
    row(buffer, [(True, 0.0, ops.NOT_ENDED, game != 7, 0) for game in range(9)])
    assert rollout_counts(buffer) == {
        "plies": 17,
        "games": 8,
        "game_plies": 11 + 17 + 12 + 13 + 14 + 18 + 15 + 16,
        "black_wins": 4,
        "white_wins": 2,
        "draws": 1,
        "truncated": 1,
        "ending_no_legal_move": 3,
        "ending_declaration": 1,
        "ending_repetition": 1,
        "ending_perpetual_check": 2,
        "ending_move_limit": 1,
    }


def test_the_rollout_is_the_play_itself() -> None:
    torch.manual_seed(0)
    network = build_network(ModelConfig(tower_depth=1, tower_width=8))
    config = TrainingConfig(batch_size=8, precision="float32", compile=False)
    agent = PPOAgent(network, config, CPU)
    env = ShogiVectorEnv(3, max_plies=7, seed=1, check_actions=False)
    buffer = ExperienceBuffer(30, 3, CPU)
    told: list[int] = []
    collect(env, agent, buffer, told.append)
    assert told == list(range(1, 31))
    for game in range(3):
        position, waiting = Position(), False
        for t in range(30):
            stored = Position.from_words(buffer.positions[t, game].numpy())
            assert stored.sfen().split()[:3] == position.sfen().split()[:3]
            assert bool(buffer.white[t, game]) == (position.turn == 1)
            assert bool(buffer.valid[t, game]) != waiting
            if waiting:
                position, waiting = Position(), False
                continue
            position.push(position.move(int(buffer.actions[t, game])))
            waiting = int(buffer.ending[t, game]) == ops.MOVE_LIMIT
            if not waiting and int(buffer.ending[t, game]) != ops.NOT_ENDED:
                position = Position()
        now = Position.from_words(env.positions[game].numpy())
        assert now.sfen().split()[:3] == position.sfen().split()[:3]
    assert rollout_counts(buffer)["truncated"] > 3


BUFFER = (
    "positions",
    "actions",
    "log_probs",
    "values",
    "rewards",
    "ending",
    "valid",
    "length",
    "advantages",
    "returns",
)


def player(device: str, precision: str) -> tuple[PPOAgent, ShogiVectorEnv, ExperienceBuffer]:
    torch.manual_seed(0)
    network = build_network(ModelConfig(tower_depth=2, tower_width=16))
    network.to(device)
    config = TrainingConfig(batch_size=64, precision=precision, compile=False)
    env = ShogiVectorEnv(32, device, max_plies=7, seed=1, check_actions=False)
    return (
        PPOAgent(network, config, torch.device(device)),
        env,
        ExperienceBuffer(10, 32, env.device),
    )


def test_a_collector_plays_as_one_rollout_does() -> None:
    agent, env, buffer = player("cpu", "float32")
    other_agent, other_env, other = player("cpu", "float32")
    collector = Collector(env, agent, buffer)
    told: list[int] = []
    for _ in range(3):
        collector.start(told.append)
        collect(other_env, other_agent, other)
        for name in BUFFER:
            assert torch.equal(getattr(buffer, name), getattr(other, name)), name
    assert told == 3 * list(range(1, 11)) and not collector.recorded


@pytest.mark.gpu
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_recorded_rollout_is_the_rollout_and_waits_for_nothing(
    precision: str, fused: bool
) -> None:
    agent, env, buffer = player("cuda:0", precision)
    other_agent, other_env, other = player("cuda:0", precision)
    if fused:
        agent.compile_network()
        other_agent.compile_network()
    collector = Collector(env, agent, buffer)
    for rollout in range(5):
        torch.cuda.set_sync_debug_mode("error" if rollout not in (0, 1) else "default")
        try:
            collector.start()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert collector.recorded == (rollout > 0)
        env.raise_errors()
        collect(other_env, other_agent, other)
        for name in BUFFER:
            assert torch.equal(getattr(buffer, name), getattr(other, name)), (rollout, name)
    assert int((~buffer.valid).sum()) > 0
    # Weights that changed are seen by the graph, too.
    for one in (agent, other_agent):
        with torch.no_grad():
            one.model.policy_out.bias[3] += 5.0  # type: ignore[attr-defined]
    collector.start()
    collect(other_env, other_agent, other)
    assert torch.equal(buffer.log_probs, other.log_probs)
    # Other start positions are other memory: the graph is not started again.
    for one in (env, other_env):
        one.reset(["4k4/9/4P4/9/9/9/9/9/4K4 b G 1", "4k4/9/9/9/9/9/9/9/4K4 b R 1"])
    collector.start()
    assert not collector.recorded
    collect(other_env, other_agent, other)
    assert torch.equal(buffer.positions, other.positions)


def test_an_illegal_action_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = build_network(ModelConfig(tower_depth=1, tower_width=8))
    config = TrainingConfig(batch_size=8, precision="float32", compile=False)
    agent = PPOAgent(network, config, CPU)
    env = ShogiVectorEnv(3, seed=1, check_actions=False)
    sample = env.sample

    def sample_wrongly(
        logits: torch.Tensor, **_: object
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        actions, log_probs, entropy = sample(logits)
        actions[1] = int((~env.legal[1]).nonzero()[0, 0])
        return actions, log_probs, entropy

    monkeypatch.setattr(env, "sample", sample_wrongly)
    with pytest.raises(ValueError, match=r"^actions: game 1: label 0 is not legal"):
        collect(env, agent, ExperienceBuffer(2, 3, CPU))


def test_values_are_measured_on_valid_rows() -> None:
    buffer = ExperienceBuffer(2, 2, CPU)
    for _ in range(2):
        row(buffer, [(False, 0.0, ops.NOT_ENDED, True, 0)] * 2)
    buffer.valid[1, 1] = False
    buffer.values[:2] = torch.tensor([[0.5, -0.5], [0.0, 99.0]])
    buffer.returns[:] = torch.tensor([[1.0, -1.0], [0.0, -99.0]])
    figures = rollout_values(buffer)
    assert abs(figures["value_mean"]) < 1e-6
    assert abs(figures["value_deviation"] - (0.5 / 3) ** 0.5) < 1e-6
    assert abs(figures["explained_variance"] - 0.75) < 1e-6


def mirroring_agent(**settings: object) -> PPOAgent:
    """Its policy is sharp and tells left from right: weights drawn at random, far from uniform."""
    torch.manual_seed(5)
    network = build_network(ModelConfig(tower_depth=1, tower_width=16))
    with torch.no_grad():
        network.policy_out.weight.normal_(std=3.0)  # type: ignore[union-attr]
    config = {"batch_size": 64, "precision": "float32", "compile": False, "seed": 4} | settings
    return PPOAgent(network, TrainingConfig.model_validate({"mirror": True} | config), CPU)


def test_half_of_the_positions_are_seen_mirrored_and_choices_played_as_they_are_meant() -> None:
    agent = mirroring_agent()
    env = ShogiVectorEnv(48, max_plies=20, seed=9, first_game=7)
    twin = ShogiVectorEnv(48, max_plies=20, seed=9, first_game=7)
    buffer = ExperienceBuffer(24, 48, CPU)
    collect(env, agent, buffer)
    numbers = torch.arange(48) + 7
    flipped = 0
    for ply in range(24):
        flip = coins(4, twin.clock.long(), numbers)
        flipped += int(flip.sum())
        seen, _ = ops.mirror(twin.positions, torch.zeros_like(numbers), flip)
        assert torch.equal(buffer.positions[ply], seen), f"ply {ply}"
        labels = buffer.actions[ply].long()
        valid = buffer.valid[ply]
        legal = ops.unpack_mask(ops.legal_mask(seen))
        assert legal.gather(1, labels[:, None]).squeeze(1)[valid].all()
        step = twin.step(ops.mirror(seen, labels, flip)[1])  # raises for what is not legal
        assert torch.equal(step.reward, buffer.rewards[ply])
        assert torch.equal(step.ending, buffer.ending[ply])
    assert torch.equal(twin.positions, env.positions)
    assert 24 * 48 * 0.4 < flipped < 24 * 48 * 0.6


def test_what_is_learned_from_mirrored_play_is_what_was_chosen() -> None:
    """However sharp and lopsided the network is, its first look back finds no change."""
    agent = mirroring_agent(target_kl=1e-4, ppo_epochs=1)
    env = ShogiVectorEnv(32, max_plies=20, seed=9)
    buffer = ExperienceBuffer(8, 32, CPU)
    collect(env, agent, buffer)
    agent.set_learning_rate(0.0)
    figures = agent.learn(buffer, torch.Generator().manual_seed(0))
    assert figures["gradient_steps"] == 4 and figures["kl_stop"] == 0
    assert abs(figures["approx_kl"]) < 1e-6


def test_mirrored_play_is_the_same_however_ranks_share_the_games() -> None:
    whole = ExperienceBuffer(6, 64, CPU)
    collect(ShogiVectorEnv(64, seed=9), mirroring_agent(), whole)
    parts = []
    for first in (0, 32):
        part = ExperienceBuffer(6, 32, CPU)
        collect(ShogiVectorEnv(32, seed=9, first_game=first), mirroring_agent(), part)
        parts.append(part)
    for name in ("positions", "actions"):
        joined = torch.cat([getattr(part, name) for part in parts], dim=1)
        assert torch.equal(joined, getattr(whole, name)), name
