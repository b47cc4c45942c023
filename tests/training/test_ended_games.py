"""The games that ended in a rollout are all there, with their results."""

from __future__ import annotations

import pytest
import torch

from keisei.config_schema import TrainingConfig
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.network import ResNet
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.ended_games import EndedGames, EndedGamesReader
from keisei.training.rollout import ENDINGS, Collector, rollout_counts

GAMES, PLIES = 90, 80
# Mates in one for black, and for white; a game that goes on to its move limit.
STARTS = [
    "4k4/9/4P4/9/9/9/9/9/4K4 b G 1",
    "4k4/9/9/9/9/9/4p4/9/4K4 w g 1",
    "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1",
]


def rollout(device: str) -> tuple[ExperienceBuffer, Collector, ShogiVectorEnv]:
    torch.manual_seed(0)
    settings = TrainingConfig(
        device=device, batch_size=64, precision="float32", compile=False, total_timesteps=1
    )
    network = ResNet(depth=1, width=8, se_ratio=4).to(device)
    env = ShogiVectorEnv(GAMES, device, max_plies=3, seed=3, check_actions=False)
    env.reset(STARTS)
    buffer = ExperienceBuffer(PLIES, GAMES, torch.device(device))
    agent = PPOAgent(network, settings, torch.device(device))
    return buffer, Collector(env, agent, buffer), env


def check(games: EndedGames, buffer: ExperienceBuffer, first_game: int) -> None:
    counts = rollout_counts(buffer)
    assert len(games) == counts["games"] > 10
    assert int((games.winner == 0).sum()) == counts["black_wins"] > 0
    assert int((games.winner == 1).sum()) == counts["white_wins"] > 0
    assert int(games.length.sum()) == counts["game_plies"]
    for name, code in ENDINGS.items():
        assert int((games.ending == code).sum()) == counts[f"ending_{name}"], name
    assert counts["ending_move_limit"] > 0
    for g in range(len(games)):
        ply, slot = int(games.ply[g]), int(games.slot[g]) - first_game
        assert int(buffer.ending[ply, slot]) == games.ending[g]
        assert int(buffer.length[ply, slot]) == games.length[g]
        mover, reward = int(buffer.white[ply, slot]), float(buffer.rewards[ply, slot])
        expected = -1 if reward == 0 else mover if reward > 0 else 1 - mover
        assert games.winner[g] == expected
    assert sorted(games.ply) == list(games.ply)


def test_every_game_is_there_with_its_result() -> None:
    buffer, collector, _ = rollout("cpu")
    reader = EndedGamesReader(buffer, first_game=100)
    collector.start()
    reader.copy()
    check(reader.read(), buffer, 100)


def test_a_read_is_of_the_rollout_that_was_copied() -> None:
    buffer, collector, _ = rollout("cpu")
    reader = EndedGamesReader(buffer)
    collector.start()
    reader.copy()
    before = reader.read()
    collector.start()
    again = reader.read()
    assert (before.slot == again.slot).all() and (before.length == again.length).all()


@pytest.mark.gpu
def test_the_device_is_not_waited_for() -> None:
    buffer, collector, env = rollout("cuda")
    reader = EndedGamesReader(buffer)
    for _ in range(3):  # as it stands, recorded, started as one graph
        collector.start()
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            reader.copy()
        finally:
            torch.cuda.set_sync_debug_mode(before)
        env.raise_errors()
        assert reader._copied.is_done, "nothing is left to wait for"
        check(reader.read(), buffer, 0)
