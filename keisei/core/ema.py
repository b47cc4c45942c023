"""An exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class WeightAverage:
    """After each gradient step: average = decay * average + (1 - decay) * weight.

    It begins as a copy of the weights. Buffers are not averaged.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise ValueError(f"ema_decay: expected a number between 0 and 1, got {decay}")
        self._parameters = {name: p.detach() for name, p in parameters.items()}
        # Laid out in memory as the weights are, which the fused update asks for.
        self._averages = {name: p.clone() for name, p in self._parameters.items()}
        self._share = 1.0 - decay
        first = next(iter(self._parameters.values()))
        self._rate = torch.full((), self._share, device=first.device)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The averages by the names of their parameters; the tensors that updates change."""
        return dict(self._averages)

    @torch.no_grad()
    def update(self, skip: Tensor | None = None) -> None:
        """Moves the averages towards the weights; not at all where ``skip``, a scalar, is 1.

        Nothing waits for the device, and a CUDA graph may record it.
        """
        averages, weights = list(self._averages.values()), list(self._parameters.values())
        if skip is None:
            torch._foreach_lerp_(averages, weights, self._share)
            return
        # Gradient ascent along weight - average. The fused step of stochastic gradient descent is
        # the only pass over many tensors that the device itself can be told to leave out; a factor
        # of 0 would not do, since 0 times what is not finite is not 0.
        torch._fused_sgd_(
            averages,
            torch._foreach_sub(weights, averages),
            [],
            weight_decay=0.0,
            momentum=0.0,
            lr=self._rate,
            dampening=0.0,
            nesterov=False,
            maximize=True,
            is_first_step=False,
            found_inf=skip,
        )

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes what ``tensors`` gave, by the same names; KeyError if one is missing."""
        given = [tensors[name] for name in self._averages]
        for average, tensor in zip(self._averages.values(), given, strict=True):
            average.copy_(tensor)
