"""When to stop a match: the generalized sequential probability ratio test.

H0 says that the player is ``elo0`` stronger, H1 that it is ``elo1`` stronger. After each game, or
each pair of games, the log of how much likelier the results are under H1 than under H0 (LLR) is
compared with A. Wald's bounds (Ann. Math. Statist. 16, 1945, 117-186): at or below
log(beta / (1 - alpha)) H0 is accepted, at or above log((1 - beta) / alpha) H1. Elo fixes only the
expected points, not how many games are drawn; so each side is given the likeliest distribution with
its expectation (generalized: X. Li, J. Liu, Z. Ying, Sequential Analysis 33, 2014, 539-563; for the
mean of a distribution: M. Van den Bergh, The Generalized Maximum Likelihood Ratio for the
Expectation Value of a Distribution). With ``Score`` that is the trinomial test, with ``Pairs`` the
pentanomial one, which is due where an opening is played twice with the colours exchanged. Elo is
the logistic one here, as in ``keisei.evaluation.ratings``. No torch is needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from keisei.evaluation.scores import Pairs, Score, likeliest, rate_of_elo

# Beyond, expected scores are 0 or 1 as far as numbers can tell, and no result is possible.
_MOST = 4000


@dataclass(frozen=True)
class SPRT:
    """The test: is the player ``elo0`` stronger (H0), or ``elo1`` (H1)?"""

    elo0: float
    elo1: float
    """more than elo0"""
    alpha: float = 0.05
    """how often, at most, H1 is accepted though the player is no more than elo0 stronger"""
    beta: float = 0.05
    """how often, at most, H0 is accepted though the player is at least elo1 stronger"""

    def __post_init__(self) -> None:
        for name in ("elo0", "elo1"):
            if not abs(getattr(self, name)) <= _MOST:
                raise ValueError(f"{name}: expected -{_MOST} to {_MOST}, got {getattr(self, name)}")
        if not self.elo0 < self.elo1:
            raise ValueError(f"elo1: expected more than elo0 {self.elo0}, got {self.elo1}")
        for name in ("alpha", "beta"):
            if not 0 < getattr(self, name) < 0.5:
                raise ValueError(
                    f"{name}: expected more than 0 and less than 0.5, got {getattr(self, name)}"
                )

    @property
    def bounds(self) -> tuple[float, float]:
        """LLR at which H0 and at which H1 is accepted."""
        return math.log(self.beta / (1 - self.alpha)), math.log((1 - self.beta) / self.alpha)

    def llr(self, results: Score | Pairs) -> float:
        """The log of how much likelier these results are under H1 than under H0."""
        counts = results.counts
        if not sum(counts):
            return 0.0
        under0, under1 = (
            likeliest(counts, results.values, rate_of_elo(elo)) for elo in (self.elo0, self.elo1)
        )
        return sum(n * math.log(b / a) for n, a, b in zip(counts, under0, under1, strict=True) if n)

    def decide(self, results: Score | Pairs) -> Literal["H0", "H1"] | None:
        """What these results make sure, None while the match goes on."""
        low, high = self.bounds
        llr = self.llr(results)
        return "H0" if llr <= low else "H1" if llr >= high else None

    def describe(self, results: Score | Pairs) -> str:
        """One line for people: ``LLR 1.23 (-2.94, 2.94) [0, 10]: goes on``."""
        low, high = self.bounds
        verdict = {"H0": "H0 accepted", "H1": "H1 accepted", None: "goes on"}
        return (
            f"LLR {self.llr(results):.2f} ({low:.2f}, {high:.2f}) [{self.elo0:g}, {self.elo1:g}]: "
            f"{verdict[self.decide(results)]}"
        )
