import itertools
import math

import numpy as np
import pytest

from keisei.evaluation.scores import (
    Pairs,
    Score,
    elo_of_rate,
    likeliest,
    mean_interval,
    rate_of_elo,
    trinomial_variance,
    z_of,
)

Z = 1.959963984540054


def wilson(wins, games):
    """The textbook formula."""
    p = wins / games
    middle = (p + Z * Z / (2 * games)) / (1 + Z * Z / games)
    half = Z / (1 + Z * Z / games) * math.sqrt(p * (1 - p) / games + Z * Z / (4 * games**2))
    return middle - half, middle + half


def test_z():
    assert z_of(0.95) == pytest.approx(Z, abs=1e-12)
    with pytest.raises(ValueError, match="confidence: expected more than 0 and less than 1, got 1"):
        z_of(1)


@pytest.mark.parametrize(("wins", "losses"), [(10, 0), (0, 10), (1, 0), (7, 3), (50, 50), (999, 1)])
def test_without_draws_the_interval_is_wilsons(wins, losses):
    expected = wilson(wins, wins + losses)
    assert Score(wins, 0, losses).interval() == pytest.approx(expected, abs=1e-9)


def test_the_interval_with_draws_is_tangos():
    # The test inverted by a grid over both unknowns, with no formula in common.
    wins, draws, losses = 12, 86, 2
    games = wins + draws + losses

    def refuted(delta):
        best, variance = -math.inf, 0.0
        for loss in np.linspace(max(0, -delta) + 1e-9, (1 - delta) / 2 - 1e-9, 20001):
            win = loss + delta
            draw = 1 - win - loss
            if min(win, draw) <= 0:
                continue
            likelihood = wins * math.log(win) + losses * math.log(loss) + draws * math.log(draw)
            if likelihood > best:
                best, variance = likelihood, win + loss - delta**2
        return abs((wins - losses) / games - delta) > Z * math.sqrt(variance / games)

    low, high = (2 * bound - 1 for bound in Score(wins, draws, losses).interval())
    assert [refuted(low + shift) for shift in (-1e-4, 1e-4)] == [True, False]
    assert [refuted(high + shift) for shift in (-1e-4, 1e-4)] == [False, True]


@pytest.mark.parametrize("draws", [1, 10, 1000])
def test_draws_alone_have_a_closed_form(draws):
    # The likeliest distribution of mean 0.5 + e has draws and wins only: variance 2e (1/2 - e) / 2.
    half = Z * Z / (draws + Z * Z) / 2
    expected = (0.5 - half, 0.5 + half)
    assert Score(0, draws, 0).interval() == pytest.approx(expected, abs=1e-9)


def test_draws_make_it_narrower_and_games_too():
    def width(score):
        low, high = score.interval()
        return high - low

    assert width(Score(20, 60, 20)) < 0.7 * width(Score(50, 0, 50))
    assert width(Score(500, 0, 500)) == pytest.approx(width(Score(50, 0, 50)) / 10**0.5, rel=0.02)


@pytest.mark.parametrize(
    "counts", [(3, 5, 9), (0, 5, 9), (3, 0, 9), (0, 0, 9), (0, 9, 0), (9, 0, 0), (4, 5, 0)]
)
@pytest.mark.parametrize("mean", [0.02, 0.3, 0.5, 0.5001, 0.77, 0.99])
def test_the_likeliest_distribution_is_the_best_of_a_grid(counts, mean):
    values = (0.0, 0.5, 1.0)
    shares = np.array(likeliest(counts, values, mean))
    assert shares.sum() == pytest.approx(1)
    assert shares @ np.array(values) == pytest.approx(mean)
    assert shares.min() >= 0

    def likelihood(p):
        return sum(
            c * math.log(x) if x > 0 else -math.inf for c, x in zip(counts, p, strict=True) if c
        )

    win = np.linspace(max(0, 2 * mean - 1), mean, 2001)
    best = max(likelihood((1 - (2 * mean - w), 2 * (mean - w), w)) for w in win)
    assert likelihood(shares) >= best - 1e-9 * abs(best) - 1e-12
    losses, draws, wins = (np.array([float(count)]) for count in counts)
    expected = shares @ (np.array(values) - mean) ** 2
    assert trinomial_variance(wins, draws, losses, np.array([mean]))[0] == pytest.approx(expected)


def test_five_values_are_likeliest_where_the_lagrange_conditions_hold():
    values = np.array([0, 0.25, 0.5, 0.75, 1])
    for counts in itertools.product((0, 1, 7), repeat=5):
        if not sum(counts):
            continue
        for mean in (0.1, 0.5, 0.6, 0.9):
            shares = np.array(likeliest(counts, values, mean))
            assert shares.min() >= 0
            assert shares.sum() == pytest.approx(1)
            assert shares @ values == pytest.approx(mean)
            # No small step that keeps sum and mean makes the counts likelier.
            used = np.array(counts) > 0
            gradient = np.where(used, np.array(counts) / np.where(used, shares, 1), 0)
            for step in _directions(values):
                if np.all(shares + 1e-9 * step >= 0):
                    assert gradient @ step <= 1e-4 * np.abs(gradient).max(), (counts, mean)


def _directions(values):
    """Changes of three shares that keep sum and mean."""
    for i, j, k in itertools.combinations(range(5), 3):
        step = np.zeros(5)
        step[i], step[k] = values[k] - values[j], values[j] - values[i]
        step[j] = -(step[i] + step[k])
        yield step
        yield -step


def test_pairs_are_counted():
    pairs = Pairs.of([(1, 0), (1, 1), (0.5, 0), (0, 0), (0.5, 1), (0.5, 0.5)])
    assert pairs.counts == (1, 1, 2, 1, 1)
    assert (pairs.pairs, pairs.games, pairs.rate) == (6, 12, 0.5)
    assert pairs.reverse == pairs
    assert Pairs((1, 0, 0, 0, 0)).reverse + Pairs((0, 1, 0, 0, 0)) == Pairs((0, 1, 0, 0, 1))


def test_openings_that_decide_say_nothing_of_the_players():
    # Each opening is won by black, whoever has it: 50 pairs of 1-1 leave little room, 100 games
    # that are taken as independent leave much.
    pairs, score = Pairs((0, 0, 50, 0, 0)), Score(50, 0, 50)
    assert pairs.rate == score.rate == 0.5
    assert pairs.interval() == pytest.approx(Score(0, 50, 0).interval())
    assert pairs.interval()[1] - 0.5 < 0.5 * (score.interval()[1] - 0.5)


def test_pairs_of_independent_games_have_the_interval_of_the_games():
    # 2 games each won with 0.6: 400 pairs in exact proportion.
    pairs, score = Pairs((64, 0, 192, 0, 144)), Score(480, 0, 320)
    assert pairs.interval() == pytest.approx(score.interval(), abs=2e-4)


def test_reverse_mirrors_everything():
    score = Score(9, 4, 2)
    low, high = score.interval()
    assert score.reverse.interval() == pytest.approx((1 - high, 1 - low))
    assert score.reverse.elo == pytest.approx(-score.elo)
    pairs = Pairs((1, 2, 3, 4, 5))
    low, high = pairs.interval()
    assert pairs.reverse.interval() == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("elo", [-800, -1, 0, 35, 400, 2000])
def test_elo_and_rate_are_inverse(elo):
    assert elo_of_rate(rate_of_elo(elo)) == pytest.approx(elo)


def test_elo():
    assert rate_of_elo(400) == pytest.approx(10 / 11)
    assert Score(10, 0, 0).elo == math.inf
    assert Score(0, 0, 3).elo == -math.inf
    low, high = Score(10, 0, 0).elo_interval()
    assert (low, high) == (pytest.approx(400 * math.log10(10 / Z**2)), math.inf)
    low, high = Pairs((10, 0, 0, 0, 0)).elo_interval()
    assert (low, high) == (-math.inf, pytest.approx(-400 * math.log10(10 / Z**2)))


def test_no_games():
    assert math.isnan(Score().rate)
    assert math.isnan(Score().elo)
    assert math.isnan(Pairs().rate)
    assert Score().interval() == Pairs().interval() == (0, 1)
    assert mean_interval((0, 0), (0, 1)) == (0, 1)


def test_arithmetic_and_text():
    score = Score.of([1, 1, 0.5, 0])
    assert score == Score(2, 1, 1)
    assert score + score == Score(4, 2, 2)
    assert (score.games, score.points, score.rate) == (4, 2.5, 0.625)
    assert str(score) == "+2 =1 -1"


def test_what_is_no_score_is_refused():
    with pytest.raises(ValueError, match="losses: expected 0 or more, got -1"):
        Score(1, 0, -1)
    with pytest.raises(ValueError, match=r"points: expected one of \(0.0, 0.5, 1.0\), got 0.7"):
        Score.of([0.7])
    with pytest.raises(ValueError, match="counts: expected 5 numbers of pairs"):
        Pairs((1, 2, 3))  # type: ignore[arg-type]
