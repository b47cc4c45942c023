"""Masks and planes of many positions, against keisei.Position."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from batch_helpers import DEVICES, played_positions

from keisei import Position, ops

GAMES = 60


@pytest.fixture(scope="module")
def positions() -> torch.Tensor:
    return torch.cat([played_positions(GAMES, steps) for steps in (0, 31, 60, 90)])


def layouts(positions: torch.Tensor) -> list[torch.Tensor]:
    return [positions, positions.t().contiguous().t()]


@pytest.mark.parametrize("device", DEVICES)
def test_legal_mask(device: str, positions: torch.Tensor) -> None:
    expected = np.stack([Position.from_words(words).legal_mask() for words in positions.numpy()])
    for given in layouts(positions.to(device)):
        assert np.array_equal(ops.legal_mask(given).cpu().numpy(), expected)


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8],
    ids=str,
)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("device", DEVICES)
def test_planes(
    device: str, channels_last: bool, dtype: torch.dtype, positions: torch.Tensor
) -> None:
    expected = np.stack([Position.from_words(words).planes() for words in positions.numpy()])
    for given in layouts(positions.to(device)):
        planes = ops.planes(given, dtype, channels_last)
        assert planes.dtype == dtype
        assert planes.is_contiguous(
            memory_format=torch.channels_last if channels_last else torch.contiguous_format
        )
        assert np.array_equal(planes.cpu().float().numpy(), expected)
        if channels_last:
            padded = ops.planes(given, dtype, channels_last, padded=True)
            assert padded.shape[1] == ops.PADDED_PLANES
            assert padded.is_contiguous(memory_format=torch.channels_last)
            assert torch.equal(padded[:, : ops.FEATURE_PLANES], planes)
            assert not padded[:, ops.FEATURE_PLANES :].any()


@pytest.mark.parametrize("device", DEVICES)
def test_the_occurrence_planes(device: str) -> None:
    rows = torch.from_numpy(Position().words()).repeat(4, 1)
    rows[:, 15] |= torch.arange(4, dtype=torch.int32) << 28
    planes = ops.planes(rows.to(device)).cpu()
    assert planes[:, 119:].mean((2, 3)).tolist() == [[0, 0], [1, 0], [1, 1], [1, 1]]
    assert torch.equal(planes[:, :119], planes[:1, :119].expand(4, -1, -1, -1))
