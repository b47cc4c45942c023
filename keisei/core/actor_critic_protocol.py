"""What the learner asks of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class ActorCriticProtocol(Protocol):
    """A policy and value network over feature planes; every ``nn.Module`` with this forward fits.

    The outputs for a position may depend on nothing but that position and the weights: neither on
    the other positions of the batch nor on train() or eval(). So what was collected and what is
    learned from cannot disagree.
    """

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Maps planes [N, 121, 9, 9] to (logits [N, 2187] in label order, value [N] in [-1, 1])."""
        ...

    def __call__(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Like ``forward``."""
        ...

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """The weights by name."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All tensors by name, as a checkpoint stores them."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Takes the tensors of ``state_dict``."""
        ...

    def train(self, mode: bool = True) -> Self:
        """Says that gradients will be wanted."""
        ...

    def eval(self) -> Self:
        """Says that no gradients will be wanted."""
        ...
