"""The judge on trial: how often its intervals hold a truth that is known without it.

What is drawn here follows chances that are written down, so the expected points of every pairing
are exact. An interval of 95% must hold them in 95% of the cases: as many of 400 repetitions as a
binomial draw of 95% gives in all but one of a thousand cases, or exactly, by adding up all results
that a match can have.
"""

import math
from collections import Counter

import numpy as np
import pytest

from keisei.evaluation.ratings import bradley_terry
from keisei.evaluation.scores import Pairs, Score, bisect, rate_of_elo
from keisei.evaluation.sprt import SPRT

REPETITIONS = 400


def plausible(hits, share=0.95, repetitions=REPETITIONS):
    """Whether so many hits are what chance gives at this share, 1 in 1000 apart."""
    tail = [
        math.exp(
            math.lgamma(repetitions + 1)
            - math.lgamma(k + 1)
            - math.lgamma(repetitions - k + 1)
            + k * math.log(share)
            + (repetitions - k) * math.log(1 - share)
        )
        for k in range(repetitions + 1)
    ]
    return sum(tail[: hits + 1]) > 0.0005 and sum(tail[hits:]) > 0.0005


def test_plausible_can_say_no():
    assert plausible(380)
    assert not plausible(360)
    assert not plausible(397)


def chances(elo, drawn):
    """Loss, draw and win of who is ``elo`` stronger; ``drawn`` is the share of draws if even."""
    rate = rate_of_elo(elo)
    draw = drawn * 2 * min(rate, 1 - rate)
    return 1 - rate - draw / 2, draw, rate - draw / 2


def draw_score(rng, games, elo, drawn):
    losses, draws, wins = rng.multinomial(games, chances(elo, drawn))
    return Score(int(wins), int(draws), int(losses))


def exact_coverage(games, truth):
    """How often the interval of a score holds the truth: the sum over all results."""
    loss, draw, win = truth
    rate = win + draw / 2
    held = total = 0.0
    for wins in range(games + 1):
        for draws in range(games + 1 - wins):
            losses = games - wins - draws
            chance = math.exp(
                math.lgamma(games + 1)
                - math.lgamma(wins + 1)
                - math.lgamma(draws + 1)
                - math.lgamma(losses + 1)
                + wins * math.log(win)
                + draws * math.log(draw)
                + losses * math.log(loss)
            )
            total += chance
            low, high = Score(wins, draws, losses).interval()
            if low <= rate <= high:
                held += chance
    assert total == pytest.approx(1)
    return held


TRUTHS = [(0, 0.02), (0, 0.3), (0, 0.9), (120, 0.1), (120, 0.6), (400, 0.3)]


@pytest.mark.parametrize(("elo", "drawn"), TRUTHS)
def test_a_short_match_holds_the_truth_at_the_stated_rate(elo, drawn):
    # Of so few games the results are coarse: no interval can hit 95% for every truth.
    assert 0.93 < exact_coverage(24, chances(elo, drawn)) < 0.985


@pytest.mark.slow
@pytest.mark.parametrize("elo", [0, 40, 120, 250, 400, 600])
@pytest.mark.parametrize("drawn", [0.02, 0.1, 0.3, 0.6, 0.9])
def test_a_longer_match_holds_the_truth_at_the_stated_rate(elo, drawn):
    assert 0.935 < exact_coverage(80, chances(elo, drawn)) < 0.975


def hits(holds):
    """How often of the repetitions ``holds(generator)`` is true."""
    return sum(holds(np.random.default_rng([20261122, i])) for i in range(REPETITIONS))


@pytest.mark.parametrize(("elo", "drawn"), [(0, 0.1), (60, 0.7), (250, 0.3), (-500, 0.2)])
def test_scores_and_elo_differences_hold_the_truth_at_the_stated_rate(elo, drawn):
    def holds(rng):
        score = draw_score(rng, 300, elo, drawn)
        low, high = score.elo_interval()
        held = low <= elo <= high
        low, high = score.interval()
        assert held == (low <= rate_of_elo(elo) <= high)
        return held

    assert plausible(hits(holds))


OPENINGS = (-250, 0, 150)
"""what an opening gives to black, in Elo"""


def pair_truth(elo):
    """The expected points a game over all openings and both colours."""
    return sum(rate_of_elo(elo + gift) + rate_of_elo(elo - gift) for gift in OPENINGS) / 6


def draw_pairs(rng, number, elo, drawn=0.2):
    pairs = []
    for _ in range(number):
        gift = OPENINGS[rng.integers(len(OPENINGS))]
        pairs.append(
            tuple(rng.choice(3, p=chances(elo + sign * gift, drawn)) / 2 for sign in (1, -1))
        )
    return pairs


@pytest.mark.parametrize("elo", [pytest.param(0, marks=pytest.mark.slow), 80])
def test_pairs_hold_the_truth_at_the_stated_rate(elo):
    truth = pair_truth(elo)
    of_games = 0

    def holds(rng):
        nonlocal of_games
        pairs = draw_pairs(rng, 60, elo)
        low, high = Score.of(points for pair in pairs for points in pair).interval()
        of_games += low <= truth <= high
        low, high = Pairs.of(pairs).interval()
        return low <= truth <= high

    assert plausible(hits(holds))
    # Games that are taken for independent claim less than they know.
    assert of_games > 0.96 * REPETITIONS


LEAGUE = {"random": 0, "a": 90, "b": 200, "c": 420, "d": 700}
FIXTURES = [
    *(("a", "random"), ("b", "random"), ("b", "a"), ("c", "a"), ("c", "b"), ("d", "c"), ("d", "a"))
]


@pytest.mark.parametrize(
    ("games", "drawn"),
    [(30, 0.3), *(pytest.param(100, d, marks=pytest.mark.slow) for d in (0, 0.6))],
)
def test_ratings_hold_the_truth_at_the_stated_rate(games, drawn):
    held = Counter()
    in_order = 0
    errors = {name: [] for name in LEAGUE}
    for i in range(REPETITIONS):
        rng = np.random.default_rng([5, i])
        results = {
            (one, other): draw_score(rng, games, LEAGUE[one] - LEAGUE[other], drawn)
            for one, other in FIXTURES
        }
        ratings = bradley_terry(results, {"random": 0})
        held.update(name for name, r in ratings.items() if r.low <= LEAGUE[name] <= r.high)
        in_order += list(ratings) == list(reversed(LEAGUE))
        for name, rating in ratings.items():
            errors[name].append(rating.elo - LEAGUE[name])
    assert held.pop("random") == REPETITIONS
    assert len(held) == 4 and all(map(plausible, held.values())), held
    # The estimates lean to no side by more than a fraction of their spread.
    for name in "abcd":
        assert abs(np.mean(errors[name])) < 0.25 * np.std(errors[name])
    assert in_order > (0.85 if games == 30 else 0.99) * REPETITIONS


def test_bounds_of_a_player_who_wins_nearly_all_hold_the_truth():
    # Often all games are won: then the upper bound is infinite, and the lower one must still hold.
    def holds(rng):
        score = draw_score(rng, 40, 600, 0.2)
        rating = bradley_terry({("a", "random"): score}, {"random": 0})["a"]
        return rating.low <= 600 <= rating.high

    assert plausible(hits(holds), 0.96) or plausible(hits(holds), 0.95)


def errors_of(test, draw, elo, wrong, step):
    """How often of the repetitions the test accepts ``wrong``, and the games it takes."""
    count = games = 0
    for i in range(REPETITIONS):
        rng = np.random.default_rng([7, i])
        results = draw(rng, step, elo)
        while (decision := test.decide(results)) is None:
            results += draw(rng, step, elo)
        count += decision == wrong
        games += results.games
    return count, games / REPETITIONS


@pytest.mark.parametrize("form", ["trinomial", "pentanomial"])
def test_sprt_errs_no_more_often_than_it_says(form):
    test = SPRT(0, 100)

    def draw(rng, number, elo):
        if form == "trinomial":
            return draw_score(rng, number, elo, 0.3)
        gifts = ((-80, 80) for _ in range(number))
        return Pairs.of(
            tuple(rng.choice(3, p=chances(elo + gift, 0.3)) / 2 for gift in pair) for pair in gifts
        )

    # Where the openings give something away, more is needed for the same expected points.
    truth = {"H0": 0.0, "H1": 100.0 if form == "trinomial" else level_with_gifts(100)}
    for hypothesis, wrong in (("H0", "H1"), ("H1", "H0")):
        count, games = errors_of(test, draw, truth[hypothesis], wrong, 4)
        assert plausible(count, 0.05) or count < 0.05 * REPETITIONS
        assert count >= 2  # it is no oracle
        assert 40 < games < 90


def level_with_gifts(elo):
    """What one must be stronger to score as at ``elo`` where openings give 80 to either side."""
    wanted = 2 * rate_of_elo(elo)
    return bisect(lambda x: wanted - rate_of_elo(x - 80) - rate_of_elo(x + 80), 0, 400)
