"""Numbers that are not finite: the gradient steps they cost, and when a run must stop for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_MOST_NAMES = 5


@dataclass(frozen=True)
class Diagnosis:
    """What is known of the last gradient step that was skipped."""

    in_a_row: int
    """gradient steps skipped since the last one that was taken"""
    lost: tuple[str, ...]
    """what was not finite: of loss, gradient and logits; or rollout: values or log-probabilities
    while playing"""
    gradients: tuple[str, ...]
    """the parameters whose gradient was not finite"""
    weights: tuple[str, ...]
    """the parameters that are not finite themselves"""
    parameters: int
    """how many parameters there are"""
    learning_rate: float
    last_finite_loss: float | None
    """of the last step taken; None before the first"""

    def __str__(self) -> str:
        loss = "none yet" if self.last_finite_loss is None else f"{self.last_finite_loss:.6g}"
        return (
            f"{self.in_a_row} gradient steps in a row were skipped; not finite in the last one: "
            f"{', '.join(self.lost)}; gradients not finite: {self._names(self.gradients)}; "
            f"weights not finite: {self._names(self.weights)}; "
            f"learning rate {self.learning_rate:.6g}; last finite loss {loss}"
        )

    def _names(self, names: tuple[str, ...]) -> str:
        if not names:
            return "none"
        more = ", ..." if len(names) > _MOST_NAMES else ""
        return f"{len(names)} of {self.parameters} ({', '.join(names[:_MOST_NAMES])}{more})"


class TrainingDivergedError(RuntimeError):
    """Too many gradient steps in a row were skipped for numbers that are not finite."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(f"training diverged: {diagnosis}")
        self.diagnosis = diagnosis


class FiniteGuard:
    """Decides which gradient steps are not to be taken, and remembers why.

    Everything is a tensor on the device and nothing waits for it, so a CUDA graph may record it.
    ``figures`` says of what a minibatch is judged by whether it is of the loss (which comes first),
    the logits or the gradient; ``parameters`` names those whose gradients' norms come with it;
    ``limit`` is how many skipped in a row end the run.
    """

    def __init__(
        self,
        figures: Sequence[str],
        parameters: Sequence[str],
        limit: int,
        device: torch.device,
    ) -> None:
        self._figures = tuple(figures)
        self._parameters = tuple(parameters)
        self._limit = limit
        self.in_a_row = torch.zeros((), device=device)
        """gradient steps skipped since the last one taken, float32; part of the training state"""
        self.skipped = torch.zeros((), device=device)
        """gradient steps of this update that were skipped, float32"""
        self._rollout = torch.zeros((), device=device)
        self._last_loss = torch.full((), torch.nan, device=device)
        self._last_lost = torch.zeros(len(self._figures) + len(self._parameters), device=device)

    def begin(self, lost: Tensor) -> None:
        """A new update; ``lost`` is 1 where its rollout cannot be learned from, which counts."""
        self._rollout.copy_(lost)
        self.skipped.copy_(lost)
        self.in_a_row.add_(lost)

    def judge(self, stop: Tensor, figures: Tensor, norms: Tensor) -> Tensor:
        """Whether no step is to be taken from a minibatch: 1 or 0.

        It is not where ``stop`` is 1, which is not counted, and where ``figures`` [F] or the
        ``norms`` of the gradients [P] are not all finite, which is. ``stop`` becomes 1 with the
        last skipped step that is allowed.
        """
        record = torch.cat((figures, norms))
        lost = torch.where(record.isfinite().all(), 0.0, 1.0 - stop)
        skip = stop + lost
        self.skipped.add_(lost)
        self.in_a_row.add_(lost).mul_(skip)  # a step that is taken ends the row
        torch.where(lost > 0, record, self._last_lost, out=self._last_lost)
        torch.where(skip > 0, self._last_loss, record[0], out=self._last_loss)
        stop.logical_or_(self.in_a_row >= self._limit)
        return skip

    def report(self, named: Mapping[str, Tensor], learning_rate: float) -> Diagnosis:
        """Of the last skipped step; ``named`` are the parameters. Waits for the device."""
        count = len(self._figures)
        finite = self._last_lost.isfinite().tolist()
        lost = [name for name, fine in zip(self._figures, finite[:count], strict=True) if not fine]
        gradients = [
            name for name, fine in zip(self._parameters, finite[count:], strict=True) if not fine
        ]
        if self._rollout:
            lost, gradients = ["rollout"], []
        last_loss = float(self._last_loss)
        return Diagnosis(
            in_a_row=int(self.in_a_row),
            lost=tuple(dict.fromkeys(lost)),
            gradients=tuple(gradients),
            weights=tuple(name for name, p in named.items() if not bool(p.isfinite().all())),
            parameters=len(self._parameters),
            learning_rate=learning_rate,
            last_finite_loss=None if last_loss != last_loss else last_loss,
        )
