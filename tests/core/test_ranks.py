"""Several ranks: what they have in common, and that together they learn as one does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import run_ranks, run_well

from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.ranks import SINGLE, Ranks, RanksError, join_ranks

CPU = torch.device("cpu")

# Of one rank with two blocks and two ranks only the order of sums differs: seen were 1.2e-7 in a
# weight and 5e-7 in a figure after three iterations.
WEIGHT_BOUND = 1e-5
FIGURE_BOUND = 1e-5
COUNTS = ("plies", "games", "game_plies", "black_wins", "white_wins", "draws", "truncated")


def test_one_rank_changes_nothing() -> None:
    assert (SINGLE.rank, SINGLE.world_size, SINGLE.is_main) == (0, 1, True)
    tensor = torch.tensor([2.0, 3.0])
    for method in (SINGLE.sum_, SINGLE.max_, SINGLE.broadcast_):
        assert method(tensor).tolist() == [2.0, 3.0]
    SINGLE.barrier()
    assert SINGLE.gather_objects("a") == ["a"]
    assert SINGLE.share("a") == "a"


def test_without_torchrun_there_is_one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_ranks("auto", CPU) is SINGLE


@pytest.mark.parametrize(
    ("environment", "backend", "message"),
    [
        ({"WORLD_SIZE": "two"}, "auto", "WORLD_SIZE: expected a number"),
        ({"WORLD_SIZE": "2"}, "auto", "RANK: expected a number"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "auto", "MASTER_ADDR: expected the address of rank 0"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "auto", "rank: expected less than the 2 ranks, got 2"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "nccl", "distributed.backend: expected gloo on cpu"),
    ],
)
def test_an_environment_that_does_not_fit(
    environment: dict[str, str], backend: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RanksError, match=message):
        join_ranks(backend, CPU)


def test_what_two_ranks_tell_each_other(tmp_path: Path) -> None:
    run_well(2, "collectives.py", tmp_path)
    for rank in range(2):
        seen = json.loads((tmp_path / f"{rank}.json").read_text())
        assert seen == {
            "is_main": rank == 0,
            "numbers": [rank, 2, rank],
            "sum": [1.0, 2.0],
            "max": [1.0, 1.0],
            "broadcast": [1.0, 1.0],
            "shared": "of rank 0",
            "objects": [{"rank": 0}, {"rank": 1}] if rank == 0 else None,
        }


def shuffled(blocks: int, *, ranks: Ranks = SINGLE, games: int = 12) -> list[torch.Tensor]:
    buffer = ExperienceBuffer(5, games, CPU, ranks=ranks, shuffle_blocks=blocks)
    return list(buffer.shuffled_rows(16, torch.Generator().manual_seed(4)))


def test_one_block_shuffles_the_whole_rollout() -> None:
    expected = torch.randperm(60, generator=torch.Generator().manual_seed(4)).tensor_split(4)
    for got, wanted in zip(shuffled(1), expected, strict=True):
        assert got.tolist() == wanted.tolist()


@pytest.mark.parametrize(("blocks", "world"), [(2, 2), (4, 2), (6, 3), (12, 4)])
def test_the_minibatches_do_not_depend_on_how_many_ranks_there_are(blocks: int, world: int) -> None:
    whole = shuffled(blocks)
    shares = [
        shuffled(blocks, ranks=Ranks(rank, world), games=12 // world) for rank in range(world)
    ]
    own = 12 // world
    for number, rows in enumerate(whole):
        # Row t * games + g of a rank is game rank * own + g of all.
        together = sorted(
            int(row) // own * 12 + rank * own + int(row) % own
            for rank in range(world)
            for row in shares[rank][number]
        )
        assert together == sorted(rows.tolist()), f"minibatch {number}"
    assert sorted(torch.cat(whole).tolist()) == list(range(60)), "each row once"
    assert len(whole[0]) == max(map(len, whole)), "the longest first"


@pytest.mark.parametrize(("blocks", "world", "games"), [(3, 2, 6), (4, 2, 5), (7, 1, 12)])
def test_blocks_that_cannot_be_equal(blocks: int, world: int, games: int) -> None:
    with pytest.raises(ValueError, match=r"training\.shuffle_blocks: expected a multiple of"):
        ExperienceBuffer(2, games, CPU, ranks=Ranks(0, world), shuffle_blocks=blocks)


def check_that_ranks_learn_as_one(
    folder: Path, world: int, device: str, times: float, *options: str
) -> None:
    one, many = folder / "one", folder / "many"
    one.mkdir()
    many.mkdir()
    run_well(1, "learning.py", one, str(world), device, *options)
    run_well(world, "learning.py", many, str(world), device, *options)
    expected = torch.load(one / "0.pt")
    ranks = [torch.load(many / f"{rank}.pt") for rank in range(world)]
    for rank, got in enumerate(ranks):
        assert torch.equal(got["shuffle"], expected["shuffle"]), f"rank {rank}: shuffling"
        assert got["figures"] == ranks[0]["figures"], f"rank {rank}: figures are global"
        for name, weights in got["weights"].items():
            assert torch.equal(weights, ranks[0]["weights"][name]), f"rank {rank}: {name}"
    assert any(f["kl_stop"] for f in expected["figures"]), "the test is to have a KL stop"
    for iteration, (ours, theirs) in enumerate(
        zip(ranks[0]["figures"], expected["figures"], strict=True)
    ):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            exact = name in (*COUNTS, "gradient_steps", "kl_stop") or name.startswith("ending")
            bound = 0.0 if exact else times * FIGURE_BOUND
            assert ours[name] == pytest.approx(value, rel=0, abs=bound), f"{iteration}: {name}"
    for name, weights in expected["weights"].items():
        off = float((ranks[0]["weights"][name] - weights).abs().max())
        assert off <= times * WEIGHT_BOUND, f"{name}: off by {off}"
    positions = torch.cat([got["games"]["positions"] for got in ranks], dim=1)
    assert torch.equal(positions, expected["games"]["positions"]), "the same games were played"


def test_two_ranks_learn_as_one(tmp_path: Path) -> None:
    check_that_ranks_learn_as_one(tmp_path, 2, "cpu", times=1.0)


@pytest.mark.slow
def test_two_ranks_mirror_the_same_rows_as_one(tmp_path: Path) -> None:
    # Half of the gradient of some weights cancels out then, and Adam makes much of what is left:
    # the largest difference seen was 2e-5, the median 2e-9. Other rows would give some 1e-3.
    check_that_ranks_learn_as_one(tmp_path, 2, "cpu", 10.0, "mirror")


@pytest.mark.slow
def test_four_ranks_learn_as_one(tmp_path: Path) -> None:
    check_that_ranks_learn_as_one(tmp_path, 4, "cpu", times=1.0)


@pytest.mark.gpu
@pytest.mark.parametrize("world", [2, 4])
def test_gpus_learn_as_one(world: int, tmp_path: Path) -> None:
    """By NCCL, with the collectives recorded in the graphs."""
    if torch.cuda.device_count() < world:
        pytest.skip(f"needs {world} CUDA devices, there are {torch.cuda.device_count()}")
    check_that_ranks_learn_as_one(tmp_path, world, "cuda", times=10.0)


def test_a_rank_that_ends_early_ends_the_others(tmp_path: Path) -> None:
    """Not after a timeout: the closed connection says it."""
    first, second = run_ranks(2, "early_end.py", tmp_path, timeout=60.0)
    assert second.returncode == 3
    assert first.returncode != 0
