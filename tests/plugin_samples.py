"""Plugins that tests name as ``plugin_samples:Class``."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor, nn

from keisei import ops
from keisei.training.callbacks import Callback, Snapshot


class TinyNetwork(nn.Module):
    """The smallest network that fits."""

    def __init__(self, width: int = 4, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.stem = nn.Conv2d(121, width, 1)
        self.policy = nn.Conv2d(width, 27, 1)
        self.value = nn.Linear(width, 1)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.stem(planes)) * self.scale
        value = torch.tanh(self.value(x.mean(dim=(2, 3))).float())
        return self.policy(x).flatten(1), value.squeeze(1)


class FirstLegal:
    """Plays the legal label of the lowest number."""

    def start(self, games: int, device: torch.device, seed: int) -> None:
        self.games = games

    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        return ops.unpack_mask(mask).int().argmax(dim=1)


class Counting(Callback):
    """Counts its calls, over all instances."""

    updates: list[int] = []  # noqa: RUF012

    def on_update_end(self, snapshot: Snapshot) -> None:
        self.updates.append(snapshot.step)


class NeedsMore(Callback):
    """Cannot be built without arguments."""

    def __init__(self, path: str) -> None:
        self.path = path


not_a_class = 3


class Drawing(FirstLegal):
    """Draws from every generator there is, and seeds them."""

    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        random.seed(1), np.random.seed(2), torch.manual_seed(3), torch.rand(4)
        return super().choose(positions, mask, asked)
