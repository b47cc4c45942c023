"""What the tests of many games share."""

from __future__ import annotations

import functools

import pytest
import torch

from keisei import Position, ops
from keisei.envs import ShogiVectorEnv

DEVICES = ("cpu", pytest.param("cuda", marks=pytest.mark.gpu))

CPU = torch.device("cpu")


@functools.cache
def _played(games: int, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    env = ShogiVectorEnv(games, max_plies=100, seed=7)
    for _ in range(steps):
        env.step(env.sample_uniform())
    return env.positions.contiguous(), env.mask


def played_positions(games: int, steps: int = 60) -> torch.Tensor:
    """int32 [games, 17] after so many random steps."""
    return _played(max(games, 64), steps)[0][:games].clone()


def played_masks(games: int, steps: int = 60) -> torch.Tensor:
    """int32 [games, 81] of the same positions."""
    return _played(max(games, 64), steps)[1][:games].clone()


def clocks(games: int, first: int = 0) -> torch.Tensor:
    """Distinct clocks, int32 [games]."""
    return torch.arange(first, first + games, dtype=torch.int32)


def random_masks(games: int, share: float, seed: int) -> torch.Tensor:
    """int32 [games, 81] with each label legal at random."""
    generator = torch.Generator().manual_seed(seed)
    legal = torch.rand(games, ops.MASK_WORDS, 27, generator=generator) < share
    return pack(legal)


def pack(legal: torch.Tensor) -> torch.Tensor:
    """bool [games, 2187] (or [games, 81, 27]) to packed masks."""
    bits = legal.view(legal.shape[0], ops.MASK_WORDS, 27).to(torch.int64)
    return (bits << torch.arange(27)).sum(2).to(torch.int32)


def unpack(mask: torch.Tensor) -> torch.Tensor:
    """Packed masks to bool [games, 2187], in plain torch."""
    bits = (mask.to(torch.int64)[:, :, None] >> torch.arange(27)) & 1
    return bits.view(mask.shape[0], ops.LABELS).bool()


def starts_of(sfens: list[str], device: torch.device | str = CPU) -> torch.Tensor:
    """int32 [S, 98]: start positions and their legal masks, made without any op."""
    rows = []
    for sfen in sfens:
        position = Position.from_sfen(sfen)
        words = torch.from_numpy(position.words())
        mask = torch.from_numpy(position.legal_mask())
        rows.append(torch.cat([words, mask]).to(torch.int32))
    return torch.stack(rows).to(device)


class State:
    """The raw tensors of a few games, as the ops take them."""

    def __init__(
        self, games: int, max_plies: int = 8, device: torch.device | str = CPU, start: str = ""
    ) -> None:
        def zeros(*shape: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.max_plies = max_plies
        self.positions = zeros(17, games)
        self.progress = zeros(4, games)
        self.history = zeros(*ops.history_shape(games, max_plies), dtype=torch.int64)
        self.buckets = zeros(games, ops.bucket_count(max_plies), dtype=torch.int16)
        self.starts = starts_of([start or Position().sfen()], device)
        self.mask = zeros(games, 81)
        self.actions = zeros(games, dtype=torch.int64)
        self.reward = zeros(games, dtype=torch.float32)
        self.ending = zeros(games, dtype=torch.uint8)
        self.valid = zeros(games, dtype=torch.bool)
        self.length = zeros(games)
        self.error = torch.full((1,), ops.NO_ERROR, device=device)
        ops.reset(*self.reset_arguments)

    @property
    def reset_arguments(self) -> tuple[torch.Tensor | int, ...]:
        return (
            self.positions,
            self.progress,
            self.history,
            self.buckets,
            self.starts,
            self.mask,
            0,
        )

    def step_arguments(self, check: bool = True, **replaced: torch.Tensor) -> tuple[object, ...]:
        state = "positions progress history buckets starts mask"
        names = f"{state} actions reward ending valid length error"
        tensors = [replaced.get(name, getattr(self, name)) for name in names.split()]
        return (*tensors, 0, self.max_plies, check)
