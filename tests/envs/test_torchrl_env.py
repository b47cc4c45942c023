"""TorchRL's own check of an environment, and that the games are ours."""

from __future__ import annotations

import pytest
import torch

from keisei import Position
from keisei.envs import ShogiVectorEnv

pytest.importorskip("torchrl", reason="needs the extra 'torchrl'")

from torchrl.envs.utils import check_env_specs

from keisei.envs.torchrl_env import ShogiTorchRLEnv


@pytest.mark.parametrize(("games", "max_plies"), [(1, 512), (5, 2), (4, 512)])
def test_its_own_check(games: int, max_plies: int) -> None:
    check_env_specs(ShogiTorchRLEnv(games, max_plies=max_plies), break_when_any_done="both", seed=1)


def test_the_games_are_those_of_the_vector_environment() -> None:
    env, plain = ShogiTorchRLEnv(6), ShogiVectorEnv(6, seed=1)
    state = env.reset()
    for _ in range(60):
        assert torch.equal(state["observation"], plain.planes())
        assert torch.equal(state["action_mask"], plain.legal)
        assert torch.equal(state["turn"][:, 0], plain.turn)
        state["action"] = plain.sample_uniform()
        step = plain.step(state["action"])
        state = env.step(state)["next"]
        assert torch.equal(state["reward"][:, 0], step.reward)
        if bool(step.ending.any()):
            break


def test_a_rollout_goes_over_the_ends_of_games() -> None:
    torch.manual_seed(0)
    env = ShogiTorchRLEnv(3, max_plies=4)
    data = env.rollout(14, break_when_any_done=False)
    assert data.batch_size == (3, 14)
    done = data["next", "done"][..., 0]
    assert done.nonzero()[:, 1].unique().tolist() == [3, 7, 11], "each fourth ply is cut off"
    assert bool(data["next", "truncated"][done].all())
    start = torch.from_numpy(Position().planes())
    for ply in (0, 4, 8, 12):
        assert torch.equal(data["observation"][:, ply], start.expand(3, -1, -1, -1))
    for ply in (3, 7):
        last = data["next", "observation"][:, ply]
        assert not torch.equal(last, start.expand(3, -1, -1, -1)), "the last position, not the next"
        assert not bool(data["next", "action_mask"][:, ply].any())


def test_only_what_is_over_is_reset_by_itself() -> None:
    env = ShogiTorchRLEnv(2, max_plies=8)
    state = env.reset()
    state["_reset"] = torch.tensor([[True], [False]])
    with pytest.raises(
        ValueError, match=r"_reset: expected slots whose games are over.* got \[0\]"
    ):
        env.reset(state)


def test_an_illegal_action_is_said() -> None:
    env = ShogiTorchRLEnv(2)
    state = env.reset()
    state["action"] = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match="actions: game 0: label 0 is not legal"):
        env.step(state)


@pytest.mark.gpu
def test_its_own_check_on_a_gpu() -> None:
    check_env_specs(ShogiTorchRLEnv(8, "cuda", max_plies=3), break_when_any_done="both")
