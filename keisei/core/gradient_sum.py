"""One gradient from those of all ranks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from keisei.core.ranks import Ranks


class GradientSum:
    """Sums the gradients of all ranks, each by its share, as one flat tensor.

    The whole of a 6x128 network is some ten megabytes: one message costs less than the messages
    of its layers, and a CUDA graph records it as one.
    """

    def __init__(self, ranks: Ranks, parameters: Sequence[Tensor]) -> None:
        self._ranks = ranks
        self._flat = torch.empty(0)
        self._views: list[Tensor] = []
        if ranks.world_size == 1:
            return
        sizes = [p.numel() for p in parameters]
        self._flat = parameters[0].new_zeros(sum(sizes), requires_grad=False)
        # Laid out as the parameters are, which the fused optimiser asks for.
        self._views = [
            piece.as_strided(p.shape, p.stride())
            for piece, p in zip(torch.split(self._flat, sizes), parameters, strict=True)
        ]

    def __call__(
        self, gradients: Sequence[Tensor | None], share: Tensor | None
    ) -> list[Tensor | None]:
        """Of this rank's gradients, times its ``share`` (a scalar), the sum over all ranks.

        With one rank the gradients themselves. What is returned is overwritten by the next call.
        None, where a parameter has no part in the loss, stays None; all ranks have the same ones.
        """
        if share is None:
            return list(gradients)
        pairs = [
            (view, gradient)
            for view, gradient in zip(self._views, gradients, strict=True)
            if gradient is not None
        ]
        torch._foreach_copy_([view for view, _ in pairs], [gradient for _, gradient in pairs])
        self._ranks.sum_(self._flat.mul_(share))
        return [
            None if gradient is None else view
            for view, gradient in zip(self._views, gradients, strict=True)
        ]
