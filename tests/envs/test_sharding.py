"""Games shared among several environments and put together go on as if nothing had happened."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from keisei import ops
from keisei.envs import ShogiVectorEnv
from keisei.envs.sharding import join_states, split_state

GAMES, MAX_PLIES, SEED = 96, 40, 9
STARTS = [
    "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1",
    "4k4/9/4P4/9/9/9/9/9/4K4 b G2r2b3g4s4n4l17p 1",
    "9/9/4k4/9/9/9/4K4/9/9 w RBGSNLPrb3g3s3n3l17p 1",
]


def play(env: ShogiVectorEnv, plies: int) -> list[Tensor]:
    """Uniform play; what happened in each ply, [plies][4, N]."""
    steps = [env.step(env.sample_uniform()) for _ in range(plies)]
    return [torch.stack([tensor.double() for tensor in step]) for step in steps]


def environments(shares: int, games: int = GAMES) -> list[ShogiVectorEnv]:
    each = games // shares
    made = [
        ShogiVectorEnv(each, max_plies=MAX_PLIES, seed=SEED, first_game=number * each)
        for number in range(shares)
    ]
    for env in made:
        env.reset(STARTS)
    return made


def states(envs: list[ShogiVectorEnv]) -> list[dict[str, Tensor]]:
    return [env.state_dict() for env in envs]


# 96 games in 2 shares are 48, half a tile; 7 and 5 games are less than one.
@pytest.mark.parametrize(
    ("before", "after", "games"),
    [(2, 1, 96), (1, 2, 96), (2, 4, 96), (3, 2, 96), (1, 1, 96), (7, 5, 35)],
)
def test_games_go_on_the_same_in_another_number_of_shares(
    before: int, after: int, games: int
) -> None:
    """Over more plies than the history holds, repetitions and truncations included."""
    whole = environments(1, games)[0]
    shared = environments(before, games)
    play(whole, 60)
    for env in shared:
        play(env, 60)
    moved = environments(after, games)
    for env, state in zip(moved, split_state(join_states(states(shared)), after), strict=True):
        env.load_state_dict(state)
    expected = play(whole, 60)
    got = zip(*(play(env, 60) for env in moved), strict=True)
    for ply, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
        assert torch.equal(torch.cat(ours, dim=1), theirs), f"ply {ply}"
    positions = torch.cat([env.positions for env in moved])
    assert torch.equal(positions, whole.positions), "positions, with their occurrence counts"


def test_splitting_and_joining_gives_the_same_tensors() -> None:
    env = environments(1)[0]
    play(env, 50)
    before = env.state_dict()
    after = join_states(split_state(before, 6))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name


def test_the_tensors_are_copies() -> None:
    state = environments(1)[0].state_dict()
    for part in [*split_state(state, 1), join_states([state])]:
        for name, tensor in part.items():
            assert tensor.data_ptr() != state[name].data_ptr(), name


def test_what_cannot_be_joined() -> None:
    first, second = states(environments(2))
    with pytest.raises(ValueError, match="expected at least one"):
        join_states([])
    with pytest.raises(ValueError, match="state 1: first_game: expected 96, got 48"):
        join_states([join_states([first, second]), second])
    with pytest.raises(ValueError, match="state 1: seed: expected that of state 0"):
        join_states([first, second | {"seed": torch.tensor(1)}])
    with pytest.raises(ValueError, match="state 1: starts: expected that of state 0"):
        join_states([first, second | {"starts": second["starts"][:1]}])
    with pytest.raises(ValueError, match=r"state 1: expected .*got"):
        join_states([first, {"seed": torch.tensor(1)}])
    wrong = torch.full((1,), ops.NO_ERROR - 1)
    with pytest.raises(ValueError, match="state 0: expected no error"):
        join_states([first | {"error": wrong}, second])


@pytest.mark.parametrize("shares", [0, 5, 97])
def test_shares_that_are_not_equal(shares: int) -> None:
    with pytest.raises(ValueError, match=f"games: expected a multiple of {shares} shares, got 96"):
        split_state(environments(1)[0].state_dict(), shares)


@pytest.mark.gpu
def test_games_go_from_the_cpu_to_a_gpu_in_another_number_of_shares() -> None:
    whole = environments(1)[0]
    play(whole, 60)
    moved = [
        ShogiVectorEnv(GAMES // 2, "cuda", MAX_PLIES, SEED, first_game=number * GAMES // 2)
        for number in range(2)
    ]
    for env, state in zip(moved, split_state(whole.state_dict(), 2), strict=True):
        env.load_state_dict(state)
        play(env, 60)
    play(whole, 60)
    positions = torch.cat([env.positions.cpu() for env in moved])
    assert torch.equal(positions, whole.positions)
