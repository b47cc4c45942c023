"""Ratings from the scores of many players against each other: Bradley-Terry, anchored.

The model: the expected points of a player in a game are 1 / (1 + 10^(-d / 400)), d the Elo
difference (R. A. Bradley, M. E. Terry, Biometrika 39, 1952, 324-345). A draw counts as half a win
and half a loss. Some players are anchors, whose ratings are given; all others follow from the
games, their own and everybody else's.

The rating is the maximum of the likelihood times Jeffreys' prior (D. Firth, Biometrika 80, 1993,
27-38). That adds, over all pairings together, half a win and half a loss for each player who is no
anchor, and no more: it takes away the bias of few games, and leaves a finite rating to who won or
lost all games (10 wins of 10 against an anchor at 0: 529).

The interval does without that prior: it holds all ratings that a two-sided score test does not
refute. For each such rating the player's opponents are fitted anew, to the games of the player as
they are and to all other games by the quadratic form of their likelihood at the fit; variances are
those of the points that were scored, draws and all. Against one anchor alone that is exactly
``Score.elo_interval``. A bound is infinite where no game limits it: who never lost a point, and
nobody of those to whom points were lost either, has no upper bound. No torch is needed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from keisei.evaluation.scores import (
    CONFIDENCE,
    Floats,
    Pairs,
    Score,
    elo_of_rate,
    rate_of_elo,
    trinomial_variance,
    z_of,
)

__all__ = [
    "CONFIDENCE",
    "Pairs",
    "Rating",
    "Results",
    "Score",
    "bradley_terry",
    "elo_of_rate",
    "rate_of_elo",
    "unrated",
]

Results = Mapping[tuple[str, str], Score]
"""scores of the first player of each pairing against the second"""

_ELO = 400 / math.log(10)
"""Elo of one natural unit of log odds"""
_FARTHEST = 40.0
"""natural units from the estimate within which a bound is looked for"""
_CLOSE = 1e-5
"""natural units to which a bound is found"""


@dataclass(frozen=True)
class Rating:
    """A player's strength."""

    elo: float
    low: float
    """lower bound of the interval; may be minus infinity"""
    high: float
    """upper bound of the interval; may be infinity"""
    games: int
    score: float
    """points a game over all opponents"""


def bradley_terry(
    results: Results, anchors: Mapping[str, float], confidence: float = CONFIDENCE
) -> dict[str, Rating]:
    """The ratings of all players whom games connect with an anchor, the strongest first.

    Args:
        results: Scores; a pairing may stand there both ways round, the games are added up.
        anchors: Given ratings in Elo, of one player at least who has played. Their intervals
            have no width.
        confidence: How often an interval shall hold the truth.

    Raises:
        ValueError: A player against himself, or no anchor among the players.
    """
    z = z_of(confidence)
    scores = _both_ways(results)
    played = {name: list(scores[name]) for name in scores}
    connected = _reaching(anchors, played)
    if not connected:
        raise ValueError(f"anchors: expected one that has played, got {sorted(anchors)}")
    fit = _Fit({name: scores[name] for name in scores if name in connected}, anchors)
    # Who lost points to whom, on and on to an anchor, has an upper bound; the lower as well.
    lost = {a: [b for b, s in other.items() if s.points < s.games] for a, other in scores.items()}
    won = {a: [b for b, s in other.items() if s.points] for a, other in scores.items()}
    below, above = _reaching(anchors, lost), _reaching(anchors, won)
    ratings = {}
    for name in fit.names:
        if name in anchors:
            elo = low = high = float(anchors[name])
        else:
            profile = _Profile(fit, name)
            elo = profile.estimate * _ELO
            low = min(elo, profile.bound(z) * _ELO) if name in above else -math.inf
            high = max(elo, profile.bound(-z) * _ELO) if name in below else math.inf
        total = sum(scores[name].values(), Score())
        ratings[name] = Rating(elo, low, high, total.games, total.rate)
    return dict(sorted(ratings.items(), key=lambda item: (-item[1].elo, item[0])))


def unrated(results: Results, anchors: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Players whom no games connect with an anchor, in groups that games connect, by name."""
    played = {name: list(others) for name, others in _both_ways(results).items()}
    left = sorted(set(played) - _reaching(anchors, played))
    groups = []
    while left:
        group = _reaching(left[:1], played)
        groups.append(tuple(sorted(group)))
        left = [name for name in left if name not in group]
    return tuple(groups)


def _both_ways(results: Results) -> dict[str, dict[str, Score]]:
    """The score of each player against each other; pairings without games are left out."""
    scores: dict[str, dict[str, Score]] = defaultdict(lambda: defaultdict(Score))
    for (a, b), score in results.items():
        if a == b:
            raise ValueError(f"results: expected two players, got {a!r} against itself")
        if score.games:
            scores[a][b] += score
            scores[b][a] += score.reverse
    return scores


def _reaching(ends: Iterable[str], onward: Mapping[str, Iterable[str]]) -> set[str]:
    """The players from whom one of ``ends`` is reached, step by step ``onward``; and these."""
    backward: dict[str, list[str]] = defaultdict(list)
    for name, others in onward.items():
        for other in others:
            backward[other].append(name)
    found = {name for name in ends if name in onward}
    new = list(found)
    while new:
        for name in backward[new.pop()]:
            if name not in found:
                found.add(name)
                new.append(name)
    return found


def _expected(difference: Floats) -> Floats:
    """Expected points a game; inside (0, 1) however great the difference."""
    return 1 / (1 + np.exp(-np.clip(difference, -_FARTHEST, _FARTHEST)))


class _Fit:
    """The ratings of all players at once, in natural units of log odds.

    Players are numbered, those who are no anchors first: P of them. Arrays over pairings have one
    entry for each two players who have met, matrices are [P, P].
    """

    def __init__(self, scores: Mapping[str, Mapping[str, Score]], anchors: Mapping[str, float]):
        self.names = sorted(scores, key=lambda name: (name in anchors, name))
        self.free = sum(name not in anchors for name in self.names)
        number = {name: i for i, name in enumerate(self.names)}
        met = [
            (number[a], number[b], score.wins, score.draws, score.losses)
            for a, others in scores.items()
            for b, score in others.items()
            if number[a] < number[b] and number[a] < self.free
        ]
        columns = np.array(met, dtype=np.float64).reshape(-1, 5).T
        self.a, self.b = columns[:2].astype(np.int64)
        self.wins, self.draws, self.losses = columns[2:]
        self.games = self.wins + self.draws + self.losses
        self.level = np.array([anchors.get(name, 0.0) / _ELO for name in self.names])
        if self.free:
            self._climb()

    def _climb(self) -> None:
        """Newton's way up, with Firth's half games shared out by leverage."""
        for _ in range(500):
            rate, weight = self._at()
            spread = np.zeros((len(self.names), len(self.names)))  # the anchors have none
            spread[: self.free, : self.free] = np.linalg.inv(self.matrix(weight))
            leverage = weight * (
                spread[self.a, self.a] + spread[self.b, self.b] - 2 * spread[self.a, self.b]
            )
            residual = self._points() - self.games * rate + leverage * (0.5 - rate)
            # The half games tell of the ratings, too: without them a step after a single game is
            # twice too far, and goes to and fro for ever.
            slope = self.matrix((self.games + leverage) * rate * (1 - rate))
            step = np.linalg.solve(slope, self.vector(residual))
            size = float(np.abs(step).max())
            self.level[: self.free] += step / max(size, 1.0)
            if size < 1e-9:
                break
        else:
            raise RuntimeError(f"ratings: no fit of {len(self.names)} players was found")
        rate, weight = self._at()
        variance = self.games * trinomial_variance(self.wins, self.draws, self.losses, rate)
        self.inverse = np.linalg.inv(self.matrix(weight))
        self.covariance = self.inverse @ self.matrix(variance) @ self.inverse
        self.step = self.inverse @ self.vector(self._points() - self.games * rate)
        """the Newton step from here to the maximum without the prior"""

    def _points(self) -> Floats:
        points: Floats = self.wins + self.draws / 2
        return points

    def _at(self) -> tuple[Floats, Floats]:
        """Expected points a game and the information of each pairing."""
        rate = _expected(self.level[self.a] - self.level[self.b])
        return rate, self.games * rate * (1 - rate)

    def matrix(self, weight: Floats) -> Floats:
        """The sum over pairings of weight (e_a - e_b)(e_a - e_b)', without the anchors."""
        whole: Floats = np.zeros((len(self.names), len(self.names)))
        for i, j, sign in (
            (self.a, self.a, 1),
            (self.b, self.b, 1),
            (self.a, self.b, -1),
            (self.b, self.a, -1),
        ):
            np.add.at(whole, (i, j), sign * weight)
        part: Floats = whole[: self.free, : self.free]
        return part

    def vector(self, residual: Floats) -> Floats:
        """The sum over pairings of residual (e_a - e_b), without the anchors."""
        whole: Floats = np.zeros(len(self.names))
        np.add.at(whole, self.a, residual)
        np.add.at(whole, self.b, -residual)
        return whole[: self.free]


class _Profile:
    """One player's score test: the player's own games as they are, all others by their curvature.

    The opponents who are no anchors are numbered 0 to K - 1.
    """

    def __init__(self, fit: _Fit, name: str):
        player = fit.names.index(name)
        first, second = fit.a == player, fit.b == player
        own = first | second
        others = np.where(first, fit.b, fit.a)[own]
        self._wins = np.where(first, fit.wins, fit.losses)[own]
        self._losses = np.where(first, fit.losses, fit.wins)[own]
        self._draws = fit.draws[own]
        self._games = fit.games[own]
        self._points = self._wins + self._draws / 2
        self._level = fit.level[others]
        self._is_free = others < fit.free
        self.estimate = float(fit.level[player])
        # What all games tell of these players, when everybody else is fitted anew: the information
        # (without and with what draws take from the variance) and the gradient. Then without the
        # own games.
        block = np.concatenate(([player], others[self._is_free]))
        grid = np.ix_(block, block)
        total = np.linalg.inv(fit.inverse[grid])
        rate = _expected(self.estimate - self._level)
        free = self._is_free
        self._curvature = total[1:, 1:] - np.diag((self._games * rate * (1 - rate))[free])
        spread = (total @ fit.covariance[grid] @ total)[1:, 1:]
        self._spread = spread - np.diag((self._games * self._variance(rate))[free])
        self._slope = (total @ fit.step[block])[1:] + (self._points - self._games * rate)[free]
        self._shift = np.zeros(len(block) - 1)
        """of the opponents from the fit, at the rating that was tested last"""

    def _variance(self, rate: Floats) -> Floats:
        return trinomial_variance(self._wins, self._draws, self._losses, rate)

    def _rates(self, rating: float) -> Floats:
        level = self._level.copy()
        level[self._is_free] += self._shift
        return _expected(rating - level)

    def deviation(self, rating: float) -> float:
        """How many standard errors the games are better than this rating."""
        free = self._is_free
        for _ in range(50):
            rate = self._rates(rating)
            residual = self._points - self._games * rate
            gradient = self._slope - self._curvature @ self._shift - residual[free]
            weight = (self._games * rate * (1 - rate))[free]
            inner = self._curvature + np.diag(weight + 1e-12)
            step = np.linalg.solve(inner, gradient)
            size = float(np.abs(step).max(initial=0))
            self._shift += step / max(size, 1.0)
            if size < 1e-6:
                break
        # What is left of the player's residuals when those that the opponents explain are gone.
        share = np.linalg.solve(inner, weight)
        kept = np.ones_like(rate)
        kept[free] -= share
        variance = float((self._games * self._variance(rate)) @ kept**2)
        variance += float(share @ self._spread @ share)
        excess = float(residual.sum() + share @ gradient)
        return excess / math.sqrt(max(variance, 1e-300))

    def bound(self, z: float) -> float:
        """The rating from which the games deviate by ``z``; infinite if there is none."""
        direction = -1.0 if z > 0 else 1.0
        self._shift[:] = 0
        inside, step = self.estimate, 0.25
        past, beyond = self.deviation(inside) - z, self.deviation(inside + direction * step) - z
        while beyond * direction > 0:
            inside, past = inside + direction * step, beyond
            if abs(inside - self.estimate) > _FARTHEST:
                return direction * math.inf
            step *= 2
            beyond = self.deviation(inside + direction * step) - z
        # False position between the two, with the halving that makes both ends move (Illinois).
        outside = inside + direction * step
        for _ in range(60):
            middle = inside + (outside - inside) * past / (past - beyond)
            here = self.deviation(middle) - z
            if here * direction > 0:
                closed = abs(middle - inside)
                inside, past, beyond = middle, here, beyond / 2
            else:
                closed = abs(middle - outside)
                outside, beyond, past = middle, here, past / 2
            if closed < _CLOSE:
                break
        return middle
