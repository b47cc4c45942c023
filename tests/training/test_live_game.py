"""The game that is watched is the one that is played, move for move."""

from __future__ import annotations

import itertools

import pytest
import torch

from keisei import Position
from keisei.config_schema import TrainingConfig
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.network import ResNet
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.live_game import LiveGameReader
from keisei.training.step_manager import StepManager

START = Position().sfen()
# A mate in one for black, one for white, and a game that goes on to its move limit.
STARTS = ["4k4/9/4P4/9/9/9/9/9/4K4 b G 1", "4k4/9/9/9/9/9/4p4/9/4K4 w g 1", START]
GAMES, PLIES = 6, 24


def steps(
    device: str = "cpu", *, mirror: bool, watched: int, max_plies: int = 5, first_game: int = 0
) -> tuple[StepManager, ShogiVectorEnv, ExperienceBuffer]:
    torch.manual_seed(0)
    settings = TrainingConfig(
        device=device, batch_size=64, precision="float32", compile=False, total_timesteps=1,
        mirror=mirror, seed=7,
    )  # fmt: skip
    env = ShogiVectorEnv(
        GAMES, device, max_plies=max_plies, seed=3, check_actions=False, first_game=first_game
    )
    env.reset(STARTS)
    buffer = ExperienceBuffer(PLIES, GAMES, torch.device(device))
    network = ResNet(depth=1, width=8, se_ratio=4)
    agent = PPOAgent(network.to(device), settings, torch.device(device))
    return StepManager(env, agent, buffer, seed=1, watched=watched), env, buffer


def board(sfen: str) -> str:
    return sfen.rpartition(" ")[0]


def now(env: ShogiVectorEnv, slot: int) -> str:
    return Position.from_words(env.positions[slot].cpu().numpy()).sfen()


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("watched", range(3))
def test_every_move_leads_to_the_next_position(mirror: bool, watched: int) -> None:
    manager, env, _ = steps(mirror=mirror, watched=watched)
    start = now(env, watched)
    ended = 0
    for _ in range(3):
        before = now(env, watched)
        cut_off = int(env.ply[watched]) == 5
        manager.play(note_live=True)
        views = manager.live_rows().views
        if not cut_off:
            assert board(views[0].sfen) == board(before), "it begins where the game stood"
        if views[-1].ending != "move_limit":
            assert board(views[-1].sfen) == board(now(env, watched)), "it ends where the game is"
        for view, following in itertools.pairwise(views):
            assert view.slot == watched
            if view.ending is not None:
                ended += 1
                assert board(following.sfen) == board(start) and following.ply == 0
                assert following.last_move is None and view.value is None
                continue
            assert view.value is not None and -1 <= view.value <= 1
            assert following.ply == view.ply + 1 and following.last_move is not None
            position = Position.from_sfen(view.sfen)
            position.push(following.last_move)
            assert board(position.sfen()) == board(following.sfen)
        manager.learn()
    assert ended > 3


def test_values_results_and_numbers_are_those_of_the_buffer() -> None:
    manager, _, buffer = steps(mirror=False, watched=1, max_plies=200, first_game=12)
    manager.play(note_live=True)
    views = manager.live_rows().views
    assert {view.slot for view in views} == {13}
    going = [view for view in views if view.ending is None]
    values = buffer.values[:, 1].tolist()
    assert [view.value for view in going] == values
    over = [view for view in views if view.ending is not None]
    assert len(over) == int((buffer.ending[:, 1] != 0).sum())
    lengths = buffer.length[:, 1]
    assert [view.ply for view in over] == lengths[lengths > 0].tolist()
    for view in over:
        outcome = Position.from_sfen(view.sfen).outcome()
        if view.ending == "no_legal_move":
            assert outcome is not None and outcome.winner is not None
            assert view.winner == ("black", "white")[outcome.winner]


def test_a_game_of_one_rollout_after_the_other() -> None:
    manager, env, _ = steps(mirror=True, watched=2, max_plies=500)
    last = None
    for number in range(3):
        manager.play(note_live=True)
        views = manager.live_rows().views
        if last is not None:
            assert (views[0].sfen, views[0].ply) == (last.sfen, last.ply)
        last = views[-1]
        assert last.ply == (number + 1) * PLIES == int(env.ply[2])
        manager.learn()


def test_what_is_read_stays_and_a_slot_must_be_there() -> None:
    manager, env, buffer = steps(mirror=False, watched=2, max_plies=500)
    manager.play(note_live=True)
    rows = manager.live_rows()
    manager.learn()
    manager.play(note_live=True)
    assert rows.views[-1].ply == PLIES, "another rollout changed what was read"
    with pytest.raises(ValueError, match="slot: expected 0 to 5, got 6"):
        LiveGameReader(buffer, env, 6)


@pytest.mark.gpu
def test_the_device_is_not_waited_for() -> None:
    manager, env, buffer = steps("cuda", mirror=True, watched=2, max_plies=500)
    reader = LiveGameReader(buffer, env, 2, mirror_seed=7)
    for _ in range(3):  # as it stands, recorded, started as one graph
        before = now(env, 2)
        manager.play()
        mode = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            reader.copy()
        finally:
            torch.cuda.set_sync_debug_mode(mode)
        env.raise_errors()
        assert reader._copied.is_done, "nothing is left to wait for"
        views = reader.read().views
        assert board(views[0].sfen) == board(before)
        assert board(views[-1].sfen) == board(now(env, 2))
        manager.learn()
