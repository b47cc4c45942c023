"""A network in the arithmetic it is used in: what it computes, and its gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from keisei.core.actor_critic_protocol import ActorCriticProtocol


def lay_out(model: ActorCriticProtocol) -> None:
    """Lays the kernels of its convolutions out as planes are: channels last.

    Their gradients come so, too. The parameters stay the same objects.
    """
    for _, parameter in model.named_parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def laid_out_as(parameter: Tensor, gradient: Tensor | None) -> Tensor | None:
    """The gradient in its parameter's layout, which the fused optimiser asks for.

    That is itself, unless the network does something that this package's does not.
    """
    if gradient is None:
        return None
    places = zip(parameter.shape, parameter.stride(), gradient.stride(), strict=True)
    if all(size == 1 or ours == theirs for size, ours, theirs in places):
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


class WorkingNetwork(Protocol):
    """How the learner sees a network."""

    padded: bool
    """whether it takes padded planes, [N, 128, 9, 9]: see ``keisei.ops.planes``"""

    def refresh(self) -> None:
        """Takes over the weights as they are now; called after they changed."""
        ...

    def __call__(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Planes in the working dtype -> (logits [N, 2187] in it, values float32 [N])."""
        ...

    def gradients(
        self, outputs: Sequence[Tensor], by: Sequence[Tensor] | None = None
    ) -> list[Tensor | None]:
        """The gradients by each parameter, in order, in the parameters' dtype.

        Of the sum of ``outputs``, scalars, or of tensors whose own gradients are ``by``. None where
        a parameter has no part in it.
        """
        ...


class PlainNetwork:
    """The module itself, under autocast unless ``dtype`` is float32."""

    padded = False

    def __init__(
        self, model: ActorCriticProtocol, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._call: Callable[[Tensor], tuple[Tensor, Tensor]] = model
        self._parameters: list[nn.Parameter] = [p for _, p in model.named_parameters()]
        self._kind = device.type
        self._dtype = dtype

    def refresh(self) -> None:
        """Nothing to do: the weights are the module's own."""

    def compile(self) -> None:
        """From now on the module runs compiled; the next call of each batch size takes longer."""
        # One program per batch size: collecting and learning have one size each.
        self._call = torch.compile(self._call, dynamic=False)

    def __call__(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """See ``WorkingNetwork``."""
        enabled = self._dtype != torch.float32
        with torch.autocast(self._kind, dtype=self._dtype, enabled=enabled):
            logits, values = self._call(planes)
        return logits, values.float()

    def gradients(
        self, outputs: Sequence[Tensor], by: Sequence[Tensor] | None = None
    ) -> list[Tensor | None]:
        """See ``WorkingNetwork``."""
        return list(torch.autograd.grad(outputs, self._parameters, by, allow_unused=True))
