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

# One rank and several sum in different orders: their gradients differ by 2e-7 of their size, until
# some step in which a unit of the network that was just active is just not, or the other way round
# (2e-4 then). From there the two grow apart, as any two runs do: by some 5e-4 in the figures after
# three iterations. Ranks whose shares were weighed wrongly would differ by 1e-2 in each step.
SAME_GRADIENT, FLIPPED = 1e-6, 1e-3
FIGURE_BOUND = 1e-2
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
    folder: Path, world: int, device: str, *options: str, times: float = 1.0
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

    positions = torch.cat([got["positions"] for got in ranks])
    assert torch.equal(positions, expected["positions"]), "the first rollout's games"
    for name in COUNTS:
        assert ranks[0]["figures"][0][name] == expected["figures"][0][name], f"first {name}"
    off = [
        float((ours - theirs).norm() / theirs.norm())
        for ours, theirs in zip(ranks[0]["gradients"], expected["gradients"], strict=True)
    ]
    assert len(off) >= 6
    assert min(off) <= times * SAME_GRADIENT, f"gradients of the first steps: off by {off}"
    assert max(off) <= times * FLIPPED, f"gradients of the first steps: off by {off}"
    for iteration, (ours, theirs) in enumerate(
        zip(ranks[0]["figures"], expected["figures"], strict=True)
    ):
        assert ours.keys() == theirs.keys()
        for name in ("loss", "policy_loss", "value_loss", "entropy", "gradient_norm"):
            assert ours[name] == pytest.approx(theirs[name], rel=0, abs=times * FIGURE_BOUND), (
                f"iteration {iteration}: {name}"
            )


def test_two_ranks_learn_as_one(tmp_path: Path) -> None:
    check_that_ranks_learn_as_one(tmp_path, 2, "cpu")


@pytest.mark.slow
def test_two_ranks_mirror_the_same_rows_as_one(tmp_path: Path) -> None:
    check_that_ranks_learn_as_one(tmp_path, 2, "cpu", "mirror")


@pytest.mark.slow
def test_four_ranks_learn_as_one(tmp_path: Path) -> None:
    check_that_ranks_learn_as_one(tmp_path, 4, "cpu")


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
