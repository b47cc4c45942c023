"""A network: a few convolutions, no more."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class PlainConvolutions(nn.Module):
    """Convolutions and two heads; ``model.options`` may set ``channels`` and ``layers``.

    Nothing in it depends on the other positions of a batch, or on train() and eval().
    """

    def __init__(self, channels: int = 32, layers: int = 3) -> None:
        super().__init__()
        widths = [121] + [channels] * layers
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths)
        )
        self.policy = nn.Conv2d(channels, 27, 1)
        self.value = nn.Linear(channels, 1)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Maps planes [N, 121, 9, 9] to (logits [N, 2187], value [N])."""
        x = planes
        for layer in self.layers:
            x = torch.relu(layer(x))
        value = torch.tanh(self.value(x.mean(dim=(2, 3))).float())
        return self.policy(x).flatten(1), value.squeeze(1)
