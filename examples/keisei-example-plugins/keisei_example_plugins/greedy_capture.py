"""An opponent: takes what it can."""

from __future__ import annotations

import torch
from torch import Tensor

from keisei import ops

# The opponent's pieces among the feature planes, in their order there, and what each is worth.
ENEMY_PLANES = slice(31, 45)
WORTH = (1, 3, 4, 5, 8, 10, 6, 0, 7, 6, 6, 6, 12, 14)
"""pawn, lance, knight, silver, bishop, rook, gold, king; then promoted, bishop and rook last"""
LABEL_PLANES, SQUARES = 27, 81
FIRST_DROP = 20


class GreedyCapture:
    """Takes the most valuable piece it can; among equals, and without any, it draws."""

    def start(self, games: int, device: torch.device, seed: int) -> None:
        """A match begins."""
        self._generator = torch.Generator(device).manual_seed(seed)
        self._worth = torch.tensor(WORTH, dtype=torch.float32, device=device)

    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        """A label for each game, int64 [N]; those that are not asked for do not matter."""
        enemies = ops.planes(positions)[:, ENEMY_PLANES].flatten(2)  # [N, 14, 81]
        gain = torch.einsum("nks,k->ns", enemies, self._worth)
        scores = gain[:, None, :].repeat(1, LABEL_PLANES, 1)
        scores[:, FIRST_DROP:] = 0.0  # a drop takes nothing
        scores = scores.flatten(1)
        noise = torch.rand(scores.shape, generator=self._generator, device=scores.device)
        legal = ops.unpack_mask(mask)
        return torch.where(legal, scores + 0.5 * noise, -1.0).argmax(dim=1)
