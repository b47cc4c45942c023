"""Where the games stood at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keisei import Position, ops
from keisei.envs import ShogiVectorEnv


@dataclass(frozen=True)
class EpisodeState:
    """A copy of N games' positions; what is played later does not change it."""

    positions: Tensor
    """int32 [N, 17], packed, on the games' device"""
    ply: Tensor
    """int32 [N]: moves since each game's start"""
    turn: Tensor
    """int32 [N]: who is to move, 0 black, 1 white"""

    @classmethod
    def of(cls, game: ShogiVectorEnv) -> Self:
        """The games as they stand now."""
        return cls(positions=game.positions.clone(), ply=game.ply.clone(), turn=game.turn.clone())

    @property
    def num_games(self) -> int:
        """N."""
        return len(self.positions)

    @property
    def current_obs(self) -> NDArray[np.float32]:
        """The feature planes, float32 [N, 121, 9, 9]; made anew, waiting for the device."""
        planes: NDArray[np.float32] = ops.planes(self.positions, torch.float32).cpu().numpy()
        return planes

    def position(self, game: int) -> Position:
        """One game's position, for people."""
        return Position.from_words(self.positions[game].cpu().numpy())
