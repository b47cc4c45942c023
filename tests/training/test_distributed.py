"""What ranks of one run agree on, and how they share it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ranks import run_ranks

from keisei.config_schema import AppConfig, ConfigError, config_from_dict, resolve
from keisei.core.model_file import CheckpointError
from keisei.core.ranks import SINGLE, Ranks
from keisei.envs import ShogiVectorEnv
from keisei.training import distributed
from keisei.training.checkpoint import TrainingState


def settled(**training: object) -> AppConfig:
    values = {
        "training": {"batch_size": 64} | training,
        "env": {"num_games": 24},
    }
    return resolve(config_from_dict(values, "test"), device="cpu", compile_network=False, ranks=2)


def test_one_rank_joins_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (None, "1"):
        if size is None:
            monkeypatch.delenv("WORLD_SIZE", raising=False)
        else:
            monkeypatch.setenv("WORLD_SIZE", size)
        assert distributed.join(AppConfig()) is SINGLE
    distributed.leave(failed=False)


def test_the_device_of_a_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("auto", "cuda", "cuda:0"):
        assert distributed.rank_device(name, 1) == torch.device("cuda:1")
    assert distributed.rank_device("cpu", 1) == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"training\.device: .*got 'cuda:1'"):
        distributed.rank_device("cuda:1", 1)
    with pytest.raises(ConfigError, match="got 2 for local rank 2"):
        distributed.rank_device("auto", 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert distributed.rank_device("auto", 3) == torch.device("cpu")


def test_what_can_be_shared_equally() -> None:
    distributed.check_shares(settled(), Ranks(0, 2))
    distributed.check_shares(settled(shuffle_blocks=12), Ranks(1, 4))


@pytest.mark.parametrize(
    ("training", "world", "message"),
    [
        ({}, 5, r"env\.num_games: expected a multiple of 5 ranks, got 24"),
        ({"shuffle_blocks": 3}, 2, r"training\.shuffle_blocks: .* 2 ranks, got 3"),
        ({"shuffle_blocks": 10}, 2, r"shuffle_blocks: .* divides env\.num_games, 24, got 10"),
    ],
)
def test_what_cannot_be_shared_equally(
    training: dict[str, object], world: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        distributed.check_shares(settled(**training), Ranks(0, world))


@pytest.mark.parametrize(
    ("saved", "world", "expected"), [(2, 1, 2), (4, 2, 4), (1, 2, 2), (2, 4, 4), (2, 3, 6)]
)
def test_shuffle_blocks_of_a_checkpoint_fit_the_ranks(
    saved: int, world: int, expected: int
) -> None:
    fitted = distributed.fit_shuffle_blocks(settled(shuffle_blocks=saved), Ranks(0, world))
    assert fitted.training.shuffle_blocks == expected
    assert fitted == settled(shuffle_blocks=expected)


def test_agreeing_with_oneself() -> None:
    assert distributed.any_rank(SINGLE, True) is True
    assert distributed.any_rank(SINGLE, False) is False
    assert distributed.slowest(SINGLE, 1.5, 2.5) == (1.5, 2.5)
    distributed.check_alike(settled(), SINGLE)


def rank_states(world: int, games: int = 24) -> list[TrainingState]:
    """As ``load_training_states`` gives them, after some play."""
    each, states = games // world, []
    for rank in range(world):
        env = ShogiVectorEnv(each, max_plies=20, seed=4, first_game=rank * each)
        for _ in range(30):
            env.step(env.sample_uniform())
        tensors = {f"env.{name}": tensor for name, tensor in env.state_dict().items()}
        tensors |= {"shuffle": torch.arange(3), "random.torch": torch.tensor([rank])}
        states.append(TrainingState(tensors=tensors, values={"step": 720}))
    return states


@pytest.mark.parametrize(("saved", "world"), [(2, 1), (1, 2), (2, 4), (3, 2), (2, 2)])
def test_each_rank_gets_its_share_of_a_checkpoint(saved: int, world: int) -> None:
    states, wanted = rank_states(saved), rank_states(world)
    for rank in range(world):
        got = distributed.state_of_rank(states, Ranks(rank, world), Path("here"))
        assert got.values == {"step": 720}
        assert got.tensors.keys() == wanted[rank].tensors.keys()
        for name, tensor in wanted[rank].tensors.items():
            # Of what is no game's there is one for all, but for as many ranks as saved.
            own = name.startswith("env.") or saved == world
            if name == "env.history":  # slots of no game hold anything
                continue
            expected = tensor if own else states[0].tensors[name]
            assert torch.equal(got.tensors[name], expected), f"rank {rank}: {name}"


def test_games_that_cannot_be_shared_anew() -> None:
    with pytest.raises(CheckpointError, match="here: saved by 2 ranks: games: expected a multiple"):
        distributed.state_of_rank(rank_states(2), Ranks(0, 5), Path("here"))


def test_ranks_agree(tmp_path: Path) -> None:
    """In one start of two processes: flags, times, and configurations that differ."""
    for rank, done in enumerate(run_ranks(2, "agreeing.py")):
        assert done.returncode == 0, f"rank {rank}: {done.stderr}"
        assert "env.max_plies: expected 100 as on rank 0, got 101" in done.stderr
        assert "seed" not in done.stderr


@pytest.mark.parametrize("how", ["killed", "failed", "exits"])
def test_a_rank_that_ends_ends_the_others(how: str) -> None:
    """Though they wait for nothing: rank 0 sleeps, as in a NCCL collective."""
    first, second = run_ranks(2, "ending.py", how, timeout=60.0)
    word = "has gone" if how == "killed" else "has failed"
    assert f"rank 0 ends: rank 1 {word}" in first.stderr, first.stderr
    assert first.returncode == 1
    assert second.returncode == (-9 if how == "killed" else 1)


def test_ranks_that_are_done_part_in_peace() -> None:
    for rank, done in enumerate(run_ranks(3, "ending.py", "well", timeout=60.0)):
        assert (done.returncode, "ends:" in done.stderr) == (0, False), f"rank {rank}: {done}"
