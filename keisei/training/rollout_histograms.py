"""How the values and the move probabilities of a rollout are spread, counted on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from keisei.core.experience_buffer import ExperienceBuffer
from keisei.training.host_copy import HostCopy
from keisei.utils.event_file import Histogram

_BUCKETS = 40
# The limits of the buckets; the first is the lower end of what can be.
_LIMITS = {
    "rollout.values": torch.linspace(-1.0, 1.0, _BUCKETS + 1, dtype=torch.float64),
    "rollout.move_probabilities": torch.linspace(0.0, 1.0, _BUCKETS + 1, dtype=torch.float64),
}
_SUMS = 4  # least, most, sum, sum of squares


class RolloutHistograms:
    """Counts a rollout of ``buffer``, this rank's own games: the moves that are learned from.

    ``start`` enqueues the counting and a copy of the counts (under a kilobyte) behind the rollout;
    ``read`` gives them. Call ``read`` after something else has waited for the rollout: then it need
    not wait. Nothing is drawn, and no sum depends on the order of threads.

    ``rollout.values`` are the network's for the side to move, ``rollout.move_probabilities`` those
    of the moves that were made.
    """

    def __init__(self, buffer: ExperienceBuffer) -> None:
        self._buffer = buffer
        device = buffer.values.device
        self._limits = {name: limits.to(device) for name, limits in _LIMITS.items()}
        self._copied = HostCopy((len(_LIMITS), _BUCKETS + _SUMS), torch.float64, device)

    def start(self) -> None:
        """Counts; the buffer must hold a whole rollout."""
        buffer = self._buffer
        given = {
            "rollout.values": buffer.values[:-1],
            "rollout.move_probabilities": buffer.log_probs.exp(),
        }
        counted = [_count(given[name], buffer.learnt, self._limits[name]) for name in _LIMITS]
        self._copied.start(torch.stack(counted))

    def read(self) -> dict[str, Histogram]:
        """What was counted last, by name; without those that had nothing to count."""
        found = {}
        for (name, limits), row in zip(_LIMITS.items(), self._copied.wait(), strict=True):
            counts, (least, most, total, squares) = row[:_BUCKETS].copy(), row[_BUCKETS:]
            if counts.any():
                uppers = np.asarray(limits[1:].numpy())
                found[name] = Histogram(
                    uppers, counts, float(least), float(most), float(total), float(squares)
                )
        return found


def _count(values: Tensor, valid: Tensor, limits: Tensor) -> Tensor:
    """Counts by bucket, then least, most, sum and sum of squares; float64 [B + 4].

    What lies outside is counted in the first or last bucket.
    """
    counted = (valid & values.isfinite()).reshape(-1)
    exact = values.reshape(-1).double()
    # Behind everything else, so that it is past each limit; by sorting, because counting by
    # atomic additions is what deterministic runs refuse.
    rows = torch.where(counted, exact, torch.inf).sort().values
    up_to = torch.searchsorted(rows, limits[1:-1], right=True)
    ends = torch.cat((up_to.new_zeros(1), up_to, counted.sum()[None]))
    kept = torch.where(counted, exact, 0.0)
    least, most = rows[0], torch.where(counted, exact, -torch.inf).max()
    sums = torch.stack((least, most, kept.sum(), kept.square().sum()))
    return torch.cat((ends.diff().double(), sums))
