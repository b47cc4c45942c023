import math

import numpy as np
import pytest

from keisei.evaluation.scores import Pairs, Score, rate_of_elo
from keisei.evaluation.sprt import SPRT


def test_bounds_are_walds():
    assert SPRT(0, 10).bounds == pytest.approx((-math.log(19), math.log(19)))
    low, high = SPRT(0, 10, alpha=0.01, beta=0.1).bounds
    assert (low, high) == pytest.approx((math.log(0.1 / 0.99), math.log(0.9 / 0.01)))


@pytest.mark.parametrize(("wins", "losses"), [(70, 30), (10, 0), (0, 4)])
def test_without_draws_it_is_the_binomial_test(wins, losses):
    s0, s1 = rate_of_elo(0), rate_of_elo(100)
    expected = wins * math.log(s1 / s0) + losses * math.log((1 - s1) / (1 - s0))
    assert SPRT(0, 100).llr(Score(wins, 0, losses)) == pytest.approx(expected)
    doubled = Pairs((losses, 0, 0, 0, wins))
    assert SPRT(0, 100).llr(doubled) == pytest.approx(expected)


def test_draws_are_a_nuisance_that_each_side_may_choose():
    score = Score(40, 80, 25)

    def best(elo):
        """The greatest log likelihood with this expectation, over a grid of draw shares."""
        rate = rate_of_elo(elo)
        win = np.linspace(max(0, 2 * rate - 1), rate, 1_000_001)[1:-1]
        draw = 2 * (rate - win)
        return (
            score.wins * np.log(win) + score.draws * np.log(draw)
            + score.losses * np.log(1 - win - draw)
        ).max()  # fmt: skip

    expected = best(30) - best(-10)
    assert SPRT(-10, 30).llr(score) == pytest.approx(expected, rel=1e-6)


def test_near_the_middle_it_is_the_normal_approximation():
    # Van den Bergh's approximation: N (s1 - s0) (2 s - s0 - s1) / (2 variance).
    pairs = Pairs((900, 4100, 10100, 4400, 1000))
    s0, s1 = rate_of_elo(0), rate_of_elo(4)
    values, counts = np.array(pairs.values), np.array(pairs.counts)
    variance = counts @ (values - pairs.rate) ** 2 / pairs.pairs
    expected = pairs.pairs * (s1 - s0) * (2 * pairs.rate - s0 - s1) / (2 * variance)
    assert SPRT(0, 4).llr(pairs) == pytest.approx(expected, rel=0.01)


def test_all_draws_speak_for_no_difference():
    test = SPRT(0, 50)
    assert test.llr(Score(0, 1, 0)) == pytest.approx(math.log(2 - 2 * rate_of_elo(50)))
    assert test.decide(Score(0, 100, 0)) == "H0"


def test_a_decision():
    test = SPRT(0, 100)
    assert test.llr(Score()) == test.llr(Pairs()) == 0
    assert test.decide(Score(10, 0, 10)) is None
    assert test.decide(Score(60, 0, 20)) == "H1"
    assert test.decide(Score(20, 0, 60)) == "H0"
    assert test.describe(Score(10, 0, 10)) == "LLR -0.82 (-2.94, 2.94) [0, 100]: goes on"
    assert test.describe(Score(60, 0, 20)).endswith("H1 accepted")


@pytest.mark.parametrize("results", [Score(9, 0, 0), Score(0, 9, 0), Pairs((9, 0, 0, 0, 0))])
def test_the_farthest_hypotheses_still_have_a_number(results):
    for test in (SPRT(0, 4000), SPRT(-4000, 0), SPRT(-4000, 4000)):
        assert math.isfinite(test.llr(results))


def test_pairs_need_fewer_games_where_the_opening_decides():
    # Black wins each game but one in ten, in which the better one draws the lost side.
    pairs = Pairs((0, 0, 90, 10, 0))
    score = Score(100, 10, 90)
    assert pairs.rate == score.rate
    test = SPRT(0, 20)
    assert test.decide(pairs) == "H1"
    assert test.decide(score) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((10, 10), "elo1: expected more than elo0 10, got 10"),
        ((0, 10, 0), "alpha: expected more than 0 and less than 0.5, got 0"),
        ((0, 10, 0.05, 0.5), "beta: expected more than 0 and less than 0.5, got 0.5"),
        ((0, math.inf), "elo1: expected -4000 to 4000, got inf"),
        ((0, 1e6), "elo1: expected -4000 to 4000, got 1000000.0"),
        ((-1e6, 0), "elo0: expected -4000 to 4000, got -1000000.0"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        SPRT(*arguments)
