"""Games as tensors: what an environment promises beyond the ops under it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from batch_helpers import DEVICES, unpack

from keisei import Position, ops
from keisei.envs import ShogiVectorEnv, Step


def play(env: ShogiVectorEnv, steps: int) -> list[torch.Tensor]:
    """Random play: everything that one can see of it."""
    seen = []
    for _ in range(steps):
        actions = env.sample_uniform()
        seen += [actions, *env.step(actions), env.positions.clone(), env.mask.clone()]
    return seen


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("device", DEVICES)
def test_begins_at_the_start_position(device: str) -> None:
    env = ShogiVectorEnv(5, device)
    start = Position()
    assert env.num_envs == 5
    assert env.device.type == device
    assert np.array_equal(env.positions.cpu().numpy(), np.stack([start.words()] * 5))
    assert np.array_equal(env.mask.cpu().numpy(), np.stack([start.legal_mask()] * 5))
    assert torch.equal(env.legal.cpu(), unpack(env.mask.cpu()))
    assert env.legal.sum(1).tolist() == [30] * 5
    assert env.turn.tolist() == [0] * 5
    assert env.ply.tolist() == [0] * 5
    assert env.clock.tolist() == [0] * 5
    assert np.array_equal(env.planes()[0].cpu().numpy(), start.planes())
    assert env.planes(torch.bfloat16, channels_last=True).is_contiguous(
        memory_format=torch.channels_last
    )


@pytest.mark.parametrize("device", DEVICES)
def test_step_shapes_and_dtypes(device: str) -> None:
    env = ShogiVectorEnv(5, device)
    out = env.step(env.sample_uniform())
    assert isinstance(out, Step)
    assert [t.dtype for t in out] == [torch.float32, torch.uint8, torch.bool, torch.int32]
    assert all(t.shape == (5,) and t.device == env.device for t in out)
    assert env.turn.tolist() == [1] * 5
    later = env.step(env.sample_uniform())
    assert all(a.data_ptr() != b.data_ptr() for a, b in zip(out, later, strict=True))


def test_terminated_and_truncated() -> None:
    ending = torch.arange(6, dtype=torch.uint8)
    out = Step(torch.zeros(6), ending, torch.ones(6, dtype=torch.bool), torch.zeros(6))
    assert out.terminated.tolist() == [False, True, True, True, True, False]
    assert out.truncated.tolist() == [False] * 5 + [True]


def test_same_seed_same_games() -> None:
    first = play(ShogiVectorEnv(64, max_plies=50, seed=3), 120)
    assert same(first, play(ShogiVectorEnv(64, max_plies=50, seed=3), 120))
    assert not same(first, play(ShogiVectorEnv(64, max_plies=50, seed=4), 120))


def test_resets_do_not_repeat_the_play() -> None:
    env = ShogiVectorEnv(64, max_plies=50, seed=3)
    first = play(env, 30)
    env.reset()
    assert env.ply.tolist() == [0] * 64
    assert env.clock.tolist() == [30] * 64
    assert not same(first, play(env, 30))


@pytest.mark.parametrize("device", DEVICES)
def test_shards_play_like_the_whole(device: str) -> None:
    sfens = [Position().sfen(), "4k4/9/4P4/9/9/9/9/9/4K4 b 2G2S 1", "4k4/9/9/9/9/9/9/K4R3/9 b - 1"]

    def make(games: int, first_game: int) -> ShogiVectorEnv:
        env = ShogiVectorEnv(games, device, max_plies=40, seed=9, first_game=first_game)
        env.reset(sfens)
        return env

    whole, left, right = make(100, 0), make(37, 0), make(63, 37)
    logits = torch.randn(100, ops.LABELS, generator=torch.Generator().manual_seed(0)).to(device)
    for step in range(90):
        if step % 2:
            actions = whole.sample_uniform()
            parts = [left.sample_uniform(), right.sample_uniform()]
        else:
            actions = whole.sample(logits)[0]
            parts = [left.sample(logits[:37])[0], right.sample(logits[37:])[0]]
        assert torch.equal(actions, torch.cat(parts))
        out = whole.step(actions)
        others = zip(left.step(parts[0]), right.step(parts[1]), strict=True)
        for one, (a, b) in zip(out, others, strict=True):
            assert torch.equal(one, torch.cat([a, b]))
        assert torch.equal(whole.positions, torch.cat([left.positions, right.positions]))


@pytest.mark.parametrize("device", DEVICES)
def test_state_dict_goes_on_where_it_was(device: str) -> None:
    env = ShogiVectorEnv(20, device, max_plies=30, seed=3, first_game=5)
    env.reset(["4k4/9/4P4/9/9/9/9/9/4K4 b 2G2S 1", Position().sfen()])
    play(env, 45)
    state = env.state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    onward = play(env, 60)
    other = ShogiVectorEnv(20, device, max_plies=30, seed=8)
    other.load_state_dict(state)
    assert same(onward, play(other, 60))
    # The copies did not change with the games.
    other.load_state_dict(state)
    assert same(onward, play(other, 60))


def test_load_state_dict_refuses_another_shape() -> None:
    state = ShogiVectorEnv(4, max_plies=30).state_dict()
    env = ShogiVectorEnv(5, max_plies=30)
    before = env.state_dict()
    with pytest.raises(ValueError, match=r"^positions: expected torch.int32 \[17, 5\], got .*4\]"):
        env.load_state_dict(state)
    with pytest.raises(ValueError, match=r"^history: expected torch.int64 \[1, 41, 32\], got"):
        ShogiVectorEnv(4, max_plies=40).load_state_dict(state)
    del state["mask"]
    with pytest.raises(ValueError, match=r"^state: expected \['buckets', .*, got "):
        env.load_state_dict(state)
    assert same(list(before.values()), list(env.state_dict().values()))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("seed", torch.tensor([1, 2]), r"^seed: expected torch.int64 \[\], got torch.int64 \[2\]"),
        ("first_game", torch.tensor(0.5), r"^first_game: expected torch.int64 \[\], got"),
        ("starts", torch.tensor(3), r"^starts: expected torch.int32 \[1, 98\], got"),
        ("progress", torch.full((4, 4), -1, dtype=torch.int32), r"^progress: expected plies of 0"),
        ("progress", torch.full((4, 4), 31, dtype=torch.int32), r"^progress: expected plies of 0"),
    ],
    ids=["seed", "first_game", "starts", "negative", "past the limit"],
)
def test_load_state_dict_refuses_bad_values_and_changes_nothing(
    name: str, value: torch.Tensor, text: str
) -> None:
    env = ShogiVectorEnv(4, max_plies=30, seed=1)
    before = env.state_dict()
    other = ShogiVectorEnv(4, max_plies=30, seed=2)
    play(other, 5)
    with pytest.raises(ValueError, match=text):
        env.load_state_dict(other.state_dict() | {name: value})
    assert same(list(before.values()), list(env.state_dict().values()))


@pytest.mark.parametrize(
    ("sfens", "text"),
    [
        ([Position().sfen(), "nonsense"], "sfens[1]: sfen: 'nonsense' has 1 field"),
        (
            ["4k4/4G4/4P4/9/9/9/9/9/4K4 w - 1"],
            "sfens[0]: expected a game that goes on, got one that is over (no_legal_move): 4k4/4G",
        ),
        (
            [Position().sfen()] * 3 + ["+R+R+B+BKGGSS/PP7/9/9/9/9/9/9/4k4 b 2P 1"],
            "sfens[3]: expected a game that goes on, got one that is over (declaration): +R+R",
        ),
        ([], "sfens: expected a list of at least one SFEN, got []"),
        ("startpos", "sfens: expected a list of at least one SFEN, got 'startpos'"),
    ],
)
def test_reset_refuses_bad_starts(sfens: list[str], text: str) -> None:
    env = ShogiVectorEnv(4)
    play(env, 3)
    before = env.state_dict()
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        env.reset(sfens)
    assert same(list(before.values()), list(env.state_dict().values()))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"num_envs": 0}, "num_envs: expected 1 to "),
        ({"num_envs": 1, "max_plies": 0}, "max_plies: expected 1 to 65535, got 0"),
        ({"num_envs": 1, "max_plies": 65536}, "max_plies: expected 1 to 65535, got 65536"),
        ({"num_envs": 1, "seed": 2**63}, "seed: expected "),
        ({"num_envs": 1, "first_game": -1}, "first_game: expected 0 to "),
        ({"num_envs": 1, "device": "meta"}, "device: expected cpu or cuda, got meta"),
    ],
)
def test_constructor_refuses(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        ShogiVectorEnv(**arguments)  # type: ignore[arg-type]


def test_cuda_without_kernels_or_device_is_a_clear_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(RuntimeError, match=r"^device: "):
        ShogiVectorEnv(1, "cuda")


@pytest.mark.parametrize("device", DEVICES)
def test_sample_gives_what_can_be_stepped(device: str) -> None:
    env = ShogiVectorEnv(50, device, max_plies=60, seed=2)
    logits = 3 * torch.randn(50, ops.LABELS, generator=torch.Generator().manual_seed(1)).to(device)
    for step in range(70):
        action, log_prob, entropy = env.sample(logits, greedy=step % 3 == 0)
        assert (log_prob <= 1e-6).all()
        assert (entropy >= -1e-6).all()
        env.step(action)
    with pytest.raises(ValueError, match=r"^actions: game \d+: label \d+ is not legal"):
        env.step(logits.masked_fill(env.legal, -torch.inf).argmax(1))
