"""The progress of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass
class TrainState:
    """Everything about a run that changes, but for weights, optimiser and games."""

    iteration: int = 0
    """rollouts learned from"""
    step: int = 0
    """plies played"""
    seconds: float = 0.0
    """time spent collecting and learning"""
    totals: dict[str, int] = field(default_factory=dict)
    """games and results since the run began, named as ``rollout_counts`` names them"""
    ratings: dict[str, Any] = field(default_factory=dict)
    """how strong the run and its opponents are, as plain JSON values; kept for who rates them"""

    past_selves: dict[str, Any] = field(default_factory=dict)
    """who plays against the learner and what came of it, as plain JSON values; kept for
    ``keisei.training.past_selves``"""

    def count(self, counts: dict[str, int]) -> None:
        """Adds the counts of one rollout."""
        for name, value in counts.items():
            self.totals[name] = self.totals.get(name, 0) + value

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The state that ``to_json`` wrote."""
        return cls(**values)
