"""Policy outputs and moves: which label of the network is which move of a position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from keisei import Position, ops


class PolicyOutputMapper:
    """Labels 0 to 2186 of the policy, and the USI moves that they are in a position.

    A label is a move as the side to move sees it (see ``keisei.ops``), so the same label is another
    USI move for white.
    """

    size = ops.LABELS
    """how many labels there are"""

    def label(self, position: Position, usi: str) -> int:
        """The label of a legal move; ValueError names the move if it is not legal."""
        if not position.is_legal(usi):
            raise ValueError(f"usi: expected a legal move of {position.sfen()}, got {usi!r}")
        return position.label(usi)

    def move(self, position: Position, label: int) -> str:
        """The legal move with this label, in USI; ValueError if there is none."""
        if not 0 <= label < self.size or label not in position.legal_labels():
            raise ValueError(
                f"label: expected one of a legal move of {position.sfen()}, got {label}"
            )
        return position.move(label)

    def legal(self, position: Position) -> Tensor:
        """Which labels are legal moves, bool [2187] on the CPU."""
        mask = torch.zeros(self.size, dtype=torch.bool)
        mask[position.legal_labels()] = True
        return mask

    def probabilities(
        self, position: Position, logits: Tensor | np.ndarray | Sequence[float]
    ) -> dict[str, float]:
        """What the policy gives each legal move, most probable first.

        ``logits`` has 2187 numbers, of any float dtype; those of labels that are not legal do not
        count. Raises ValueError if their number is another.
        """
        scores = torch.as_tensor(logits, dtype=torch.float32).detach().cpu()
        if scores.shape != (self.size,):
            raise ValueError(f"logits: expected [{self.size}], got {[*scores.shape]}")
        labels = position.legal_labels()
        shares = scores[labels].softmax(dim=0).tolist()
        ranked = sorted(zip(shares, labels, strict=True), key=lambda pair: (-pair[0], pair[1]))
        return {position.move(label): share for share, label in ranked}
