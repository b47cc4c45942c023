"""Packed masks to bools."""

from __future__ import annotations

import pytest
import torch
from batch_helpers import DEVICES, pack, random_masks, unpack

from keisei import ops


@pytest.mark.parametrize("rows", [0, 1, 2, 15, 16, 17, 1000])
@pytest.mark.parametrize("device", DEVICES)
def test_unpack_mask(device: str, rows: int) -> None:
    mask = random_masks(rows, 0.3, seed=rows)
    legal = ops.unpack_mask(mask.to(device))
    assert legal.dtype == torch.bool
    assert torch.equal(legal.cpu(), unpack(mask))
    assert torch.equal(pack(legal.cpu()), mask)
