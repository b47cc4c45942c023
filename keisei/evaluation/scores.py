"""What a player scored against another, with intervals: ``Score`` by games, ``Pairs`` by pairs.

A win counts 1, a draw (and a game at the move limit) 0.5, a loss 0. Intervals are score intervals:
all expected scores that a two-sided test does not refute, where the variance that the test uses is
that of the likeliest distribution with the expected score in question. Without draws that is
Wilson's interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927, 209-212); with draws it is Tango's
(T. Tango, Statistics in Medicine 17, 1998, 891-908), whose paired proportions are wins and losses.
They need no correction at the edges: 10 wins of 10 give 0.72 to 1. No torch is needed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
"""share of intervals that hold the truth, unless told otherwise"""

Floats = npt.NDArray[np.float64]

_HALF_POINTS = (0.0, 0.5, 1.0)
_PAIR_POINTS = (0.0, 0.25, 0.5, 0.75, 1.0)


class _Counted(ABC):
    """Results counted by what they are worth, on which intervals are based."""

    @property
    @abstractmethod
    def counts(self) -> tuple[int, ...]:
        """How many results there are of each worth."""

    @property
    @abstractmethod
    def values(self) -> tuple[float, ...]:
        """What the results of ``counts`` are worth a game, in [0, 1]."""

    @property
    @abstractmethod
    def rate(self) -> float:
        """Points a game, in [0, 1]; NaN without results."""

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Bounds of the expected points a game, in [0, 1]; (0, 1) without results."""
        return mean_interval(self.counts, self.values, confidence)

    @property
    def elo(self) -> float:
        """The Elo difference of this rate; infinite if all or no points were taken."""
        return elo_of_rate(self.rate)

    def elo_interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Bounds of the Elo difference: those of the rate on the Elo scale."""
        low, high = self.interval(confidence)
        return elo_of_rate(low), elo_of_rate(high)


@dataclass(frozen=True)
class Score(_Counted):
    """Wins, draws and losses of one player against another, or of games that are like these."""

    wins: int = 0
    draws: int = 0
    losses: int = 0

    def __post_init__(self) -> None:
        for name in ("wins", "draws", "losses"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")

    @classmethod
    def of(cls, points: Iterable[float]) -> Score:
        """The score of games that brought 1, 0.5 or 0 points."""
        counts = _count(points, _HALF_POINTS)
        return cls(counts[2], counts[1], counts[0])

    @property
    def games(self) -> int:
        """All games."""
        return self.wins + self.draws + self.losses

    @property
    def points(self) -> float:
        """Wins and half the draws."""
        return self.wins + self.draws / 2

    @property
    def rate(self) -> float:
        """Points a game, in [0, 1]; NaN without games."""
        return self.points / self.games if self.games else math.nan

    @property
    def reverse(self) -> Score:
        """The same games as the other player sees them."""
        return Score(self.losses, self.draws, self.wins)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Games that brought 0, 0.5 and 1 points."""
        return self.losses, self.draws, self.wins

    @property
    def values(self) -> tuple[float, ...]:
        """What the games of ``counts`` are worth in [0, 1]."""
        return _HALF_POINTS

    def __add__(self, other: Score) -> Score:
        return Score(self.wins + other.wins, self.draws + other.draws, self.losses + other.losses)

    def __str__(self) -> str:
        return f"+{self.wins} ={self.draws} -{self.losses}"


@dataclass(frozen=True)
class Pairs(_Counted):
    """The pentanomial: pairs of games from one opening with the colours exchanged.

    The two games of a pair are not independent, the pairs are: the opening favours a colour, and
    what it gives in one game it takes in the other. So pairs, not games, are what is counted.
    """

    counts: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    """pairs that brought 0, 0.5, 1, 1.5 and 2 points"""

    def __post_init__(self) -> None:
        if len(self.counts) != 5 or min(self.counts) < 0:
            raise ValueError(f"counts: expected 5 numbers of pairs, got {self.counts}")

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, float]]) -> Pairs:
        """From the points (1, 0.5 or 0) of both games of each pair."""
        counts = _count((sum(pair) / 2 for pair in pairs), _PAIR_POINTS)
        return cls((counts[0], counts[1], counts[2], counts[3], counts[4]))

    @property
    def pairs(self) -> int:
        """All pairs."""
        return sum(self.counts)

    @property
    def games(self) -> int:
        """All games, two a pair."""
        return 2 * self.pairs

    @property
    def rate(self) -> float:
        """Points a game, in [0, 1]; NaN without pairs."""
        if not self.pairs:
            return math.nan
        return sum(c * v for c, v in zip(self.counts, _PAIR_POINTS, strict=True)) / self.pairs

    @property
    def reverse(self) -> Pairs:
        """The same pairs as the other player sees them."""
        a, b, c, d, e = self.counts
        return Pairs((e, d, c, b, a))

    @property
    def values(self) -> tuple[float, ...]:
        """What the pairs of ``counts`` are worth, a game, in [0, 1]."""
        return _PAIR_POINTS

    def __add__(self, other: Pairs) -> Pairs:
        a, b, c, d, e = (x + y for x, y in zip(self.counts, other.counts, strict=True))
        return Pairs((a, b, c, d, e))


def elo_of_rate(rate: float) -> float:
    """The Elo difference at which the stronger expects this rate: 400 log10(rate / (1 - rate))."""
    if math.isnan(rate):
        return math.nan
    if rate <= 0 or rate >= 1:
        return math.copysign(math.inf, rate - 0.5)
    return 400 * math.log10(rate / (1 - rate))


def rate_of_elo(elo: float) -> float:
    """The expected points a game of a player who is this much stronger: 1 / (1 + 10^(-elo/400))."""
    if elo < 0:
        return 1 - rate_of_elo(-elo)
    return 1 / (1 + math.pow(10, -elo / 400))


def z_of(confidence: float) -> float:
    """The two-sided quantile of the normal distribution: 1.96 for 0.95."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected more than 0 and less than 1, got {confidence}")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def mean_interval(
    counts: Sequence[int], values: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The score interval of the mean of a distribution over ``values`` (from 0 to 1, ascending).

    ``counts``: how often each value was seen; none at all leaves (0, 1).
    """
    games = sum(counts)
    z = z_of(confidence)
    if not games:
        return 0.0, 1.0
    seen = sum(count * value for count, value in zip(counts, values, strict=True)) / games

    def deviation(mean: float) -> float:
        """How many standard errors the seen mean is above this one."""
        shares = likeliest(counts, values, mean)
        variance = sum(p * (v - mean) ** 2 for p, v in zip(shares, values, strict=True))
        return (seen - mean) * math.sqrt(games / variance)

    low = 0.0 if seen <= 0 else bisect(lambda mean: deviation(mean) - z, 0.0, seen)
    high = 1.0 if seen >= 1 else bisect(lambda mean: deviation(mean) + z, seen, 1.0)
    return low, high


def likeliest(counts: Sequence[int], values: Sequence[float], mean: float) -> tuple[float, ...]:
    """Of all distributions over ``values`` with this mean, the one that makes ``counts`` likeliest.

    ``mean`` is more than the least value and less than the greatest. The shares are
    p = n / (N (1 + t (v - mean))) with the t that gives them the mean; where there is none, the
    rest lies on the least or the greatest value, which then was not seen (M. Van den Bergh, The
    Generalized Maximum Likelihood Ratio for the Expectation Value of a Distribution).
    """
    if tuple(values) == _HALF_POINTS:
        return _likeliest_of_three(counts, mean)
    shift = [value - mean for value in values]
    seen = [(count, a) for count, a in zip(counts, shift, strict=True) if count]
    total = sum(counts)
    # Every share is positive between these; at an end the outermost value's may be anything.
    least, most = -1 / shift[-1], -1 / shift[0]

    def excess(t: float) -> float:
        return sum(count * a / (1 + t * a) for count, a in seen)

    def shares(t: float) -> list[float]:
        pairs = zip(counts, shift, strict=True)
        return [count / (total * (1 + t * a)) if count else 0.0 for count, a in pairs]

    for end, outer in ((least, -1), (most, 0)):
        if not counts[outer] and (excess(end) < 0) == (outer == -1):
            found = shares(end)
            found[outer] = max(0.0, 1 - sum(found))
            return tuple(found)
    # excess falls from +inf (or from what stands at the end) to -inf.
    found = shares(bisect(excess, least, most))
    whole = sum(found)
    return tuple(share / whole for share in found)


def _likeliest_of_three(counts: Sequence[int], mean: float) -> tuple[float, ...]:
    """``likeliest`` for losses, draws and wins: the root of a quadratic equation (Tango)."""
    losses, draws, wins = counts
    games = losses + draws + wins
    lead = abs(2 * mean - 1)  # of the likelier of win and loss over the other
    more, less = (wins, losses) if mean >= 0.5 else (losses, wins)
    b = more + less + lead * (more - less - 2 * games)
    other = (b + math.sqrt(b * b + 8 * games * less * lead * (1 - lead))) / (4 * games)
    draw = max(0.0, 1 - lead - 2 * other)
    return (other, draw, other + lead) if mean >= 0.5 else (other + lead, draw, other)


def trinomial_variance(wins: Floats, draws: Floats, losses: Floats, rate: Floats) -> Floats:
    """The variance of a game's points under ``likeliest`` at each rate, many at once.

    Arrays of one shape; rates are between 0 and 1, neither included.
    """
    games = wins + draws + losses
    more, less = np.where(rate >= 0.5, (wins, losses), (losses, wins))
    lead = np.abs(2 * rate - 1)  # of the likelier of win and loss over the other
    b = more + less + lead * (more - less - 2 * games)
    other = (b + np.sqrt(b * b + 8 * games * less * lead * (1 - lead))) / (4 * games)
    return np.asarray((2 * other + lead - lead * lead) / 4, dtype=np.float64)


def bisect(function: Callable[[float], float], low: float, high: float) -> float:
    """Where ``function``, which falls from ``low`` to ``high``, is 0, to 14 digits of the width."""
    for _ in range(47):
        middle = (low + high) / 2
        if function(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _count(points: Iterable[float], values: tuple[float, ...]) -> list[int]:
    counts = [0] * len(values)
    for point in points:
        if point not in values:
            raise ValueError(f"points: expected one of {values}, got {point}")
        counts[values.index(point)] += 1
    return counts
