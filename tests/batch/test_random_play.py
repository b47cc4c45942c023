"""Many plies in one go are what the same plies are one by one."""

from __future__ import annotations

import pytest
import torch
from batch_helpers import DEVICES

from keisei import ops
from keisei.envs import ShogiVectorEnv


def step_by_step(env: ShogiVectorEnv, plies: int) -> list[int]:
    """What ``random_play`` should do and count, out of ``sample_uniform`` and ``step``."""
    tally = torch.zeros(6, dtype=torch.int64)
    for _ in range(plies):
        step = env.step(env.sample_uniform())
        tally[0] += step.valid.sum().cpu()
        tally[1:] += torch.bincount(step.ending.cpu(), minlength=6)[1:]
    return tally.tolist()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("games", "max_plies", "plies"), [(300, 40, 90), (130, 512, 260)])
def test_it_is_sampling_and_stepping(device: str, games: int, max_plies: int, plies: int) -> None:
    one = ShogiVectorEnv(games, device, max_plies=max_plies, seed=5, first_game=1000)
    many = ShogiVectorEnv(games, device, max_plies=max_plies, seed=5, first_game=1000)
    expected = step_by_step(one, plies)
    assert expected[1] + expected[5] > 0, "no game ended: the comparison would prove little"
    tally = (
        many.random_play(plies // 3) + many.random_play(0) + many.random_play(plies - plies // 3)
    )
    assert tally.tolist() == expected
    theirs = many.state_dict()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, theirs[name]), f"{name} differs"


@pytest.mark.gpu
def test_many_games_have_a_kernel_of_their_own() -> None:
    games, plies = 40_003, 130
    one = ShogiVectorEnv(games, "cuda", max_plies=60, seed=5)
    many = ShogiVectorEnv(games, "cuda", max_plies=60, seed=5)
    expected = step_by_step(one, plies)
    assert expected[5] > 0, "no game reached the move limit"
    assert many.random_play(plies).tolist() == expected
    theirs = many.state_dict()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, theirs[name]), f"{name} differs"


@pytest.mark.parametrize("device", DEVICES)
def test_every_ending_is_counted(device: str) -> None:
    # Two kings and little else: repetitions, captures of nothing, and the move limit.
    sfens = [
        "4k4/9/9/9/9/9/9/9/4K4 b - 1",
        "4k4/9/9/9/9/9/9/9/R3K4 b - 1",
        "8k/9/7GP/9/9/9/9/9/K8 b 2R 1",
    ]
    one = ShogiVectorEnv(200, device, max_plies=120, seed=9)
    many = ShogiVectorEnv(200, device, max_plies=120, seed=9)
    one.reset(sfens)
    many.reset(sfens)
    expected = step_by_step(one, 400)
    for ending in (ops.NO_LEGAL_MOVE, ops.REPETITION, ops.MOVE_LIMIT):
        assert expected[ending] > 0, f"no game ended by {ending}"
    assert many.random_play(400).tolist() == expected
    assert torch.equal(one.positions, many.positions)


def test_a_game_without_a_legal_move_stays() -> None:
    env = ShogiVectorEnv(2, seed=1)
    env.mask.zero_()
    before = env.state_dict()
    assert env.random_play(3).tolist() == [0] * 6
    for name, tensor in env.state_dict().items():
        assert torch.equal(tensor, before[name]), f"{name} changed"
