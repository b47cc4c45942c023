import itertools
import math

import numpy as np
import pytest

from keisei.evaluation.ratings import Rating, Score, bradley_terry, rate_of_elo, unrated

ELO = 400 / math.log(10)
ANCHOR = {"random": 0.0}


def ratings_of(results, anchors=None, **options):
    return bradley_terry(results, anchors or ANCHOR, **options)


@pytest.mark.parametrize(
    "score",
    [
        Score(60, 30, 10),
        Score(10, 0, 0),
        Score(0, 0, 7),
        Score(0, 9, 0),
        Score(1, 0, 99),
        Score(1, 0, 0),
        Score(0, 0, 1),
    ],
)
def test_two_players_have_closed_forms(score):
    rating = ratings_of({("a", "random"): score})["a"]
    # Jeffreys' prior adds half a win and half a loss.
    points, lost = score.points, score.games - score.points
    assert rating.elo == pytest.approx(400 * math.log10((points + 0.5) / (lost + 0.5)))
    assert (rating.low, rating.high) == pytest.approx(score.elo_interval(), abs=0.01)
    assert (rating.games, rating.score) == (score.games, score.rate)


def test_one_game_among_many_is_no_obstacle():
    results = {
        ("b", "random"): Score(1, 0, 2),
        ("c", "random"): Score(4, 0, 0),
        ("b", "a"): Score(1, 0, 0),
        ("c", "b"): Score(2, 1, 1),
        ("d", "b"): Score(3, 0, 1),
    }
    ratings = bradley_terry(results, {"random": 0})
    assert set(ratings) == {"a", "b", "c", "d", "random"}
    assert ratings["a"].elo < ratings["b"].elo < ratings["d"].elo < ratings["c"].elo


def test_the_anchor_shifts_everything():
    score = Score(60, 30, 10)
    plain = ratings_of({("a", "random"): score})["a"]
    moved = ratings_of({("a", "x"): score}, {"x": 1500.0})
    assert moved["x"] == Rating(1500, 1500, 1500, 100, 0.25)
    assert moved["a"].elo == pytest.approx(plain.elo + 1500)
    assert moved["a"].low == pytest.approx(plain.low + 1500)
    assert moved["a"].high == pytest.approx(plain.high + 1500)


def test_a_pairing_may_stand_there_both_ways():
    one = ratings_of({("a", "random"): Score(6, 3, 1)})
    two = ratings_of({("a", "random"): Score(4, 1, 0), ("random", "a"): Score(1, 2, 2)})
    assert one == two


def penalised(results, levels):
    """The log of likelihood times Jeffreys' prior, written out for players a and b."""
    information = np.zeros((2, 2))
    log = 0.0
    for (one, other), score in results.items():
        rate = 1 / (1 + math.exp(levels[other] - levels[one]))
        lost = score.games - score.points
        log += score.points * math.log(rate) + lost * math.log(1 - rate)
        row = np.array([(name == one) - (name == other) for name in ("a", "b")])
        information += score.games * rate * (1 - rate) * np.outer(row, row)
    return log + 0.5 * math.log(np.linalg.det(information))


@pytest.mark.parametrize(
    "results",
    [
        {
            ("a", "random"): Score(30, 5, 15),
            ("b", "random"): Score(40, 0, 10),
            ("a", "b"): Score(5, 3, 12),
        },
        {("a", "random"): Score(9, 1, 0), ("a", "b"): Score(2, 2, 6)},
        {("a", "random"): Score(8, 0, 0), ("b", "random"): Score(8, 0, 0), ("a", "b"): Score(1)},
    ],
)
def test_three_players_are_at_the_maximum(results):
    ratings = ratings_of(results)
    levels = {name: rating.elo / ELO for name, rating in ratings.items()}
    top = penalised(results, levels)
    # The best of ever finer grids over the whole plane, which know nothing of the gradient.
    middle, width = np.zeros(2), 8.0
    while width > 1e-5:
        grid = [middle + width * np.array(x) / 5 for x in itertools.product(range(-5, 6), repeat=2)]
        middle = max(grid, key=lambda x: penalised(results, {"random": 0, "a": x[0], "b": x[1]}))
        width /= 2
    assert [levels["a"], levels["b"]] == pytest.approx(middle, abs=1e-3)
    assert top >= penalised(results, {"random": 0, "a": middle[0], "b": middle[1]}) - 1e-9


def test_the_interval_is_that_of_the_likelihood_ratio_where_games_are_many():
    """Another test of the same hypothesis, by brute force, with b fitted anew at every a."""
    results = {
        ("a", "random"): Score(620, 0, 380),
        ("b", "random"): Score(900, 0, 300),
        ("a", "b"): Score(330, 0, 470),
    }

    def log_likelihood(a, b):
        levels = {"random": 0.0, "a": a, "b": b}
        total = 0.0
        for (one, other), score in results.items():
            difference = levels[one] - levels[other]
            total -= score.wins * np.log1p(np.exp(-difference))
            total -= score.losses * np.log1p(np.exp(difference))
        return total

    a, b = np.linspace(0, 1.2, 2401), np.linspace(0.4, 2.0, 3201)
    profile = np.array([log_likelihood(level, b).max() for level in a])
    inside = a[2 * (profile.max() - profile) <= 1.959963984540054**2] * ELO
    rating = ratings_of(results)["a"]
    assert (rating.low, rating.high) == pytest.approx((inside[0], inside[-1]), abs=0.3)
    assert rating.elo == pytest.approx(a[profile.argmax()] * ELO, abs=0.3)


def test_a_chain_adds_up_and_so_does_its_uncertainty():
    step = Score(60, 0, 40)
    ratings = ratings_of({("a", "random"): step, ("b", "a"): step})
    assert ratings["b"].elo == pytest.approx(2 * ratings["a"].elo)
    # a's games against b, who met nobody else, say nothing of a.
    low, high = step.elo_interval()
    assert (ratings["a"].low, ratings["a"].high) == pytest.approx((low, high), abs=0.01)
    width = (ratings["b"].high - ratings["b"].low) / (high - low)
    assert width == pytest.approx(math.sqrt(2), rel=0.02)


def test_many_games_of_the_opponent_make_it_an_anchor():
    base = {("a", "hub"): Score(30, 10, 60)}
    fixed = ratings_of(base, {"hub": 200.0})["a"]
    points = round(10**7 * rate_of_elo(200))
    free = ratings_of(base | {("hub", "random"): Score(points, 0, 10**7 - points)})["a"]
    assert free.elo == pytest.approx(fixed.elo, abs=0.1)
    assert (free.low, free.high) == pytest.approx((fixed.low, fixed.high), abs=0.2)


def test_draws_make_the_interval_narrower():
    all_won, few_won = Score(500, 0, 500), Score(50, 900, 50)
    decided = ratings_of({("a", "random"): all_won, ("b", "a"): all_won})
    drawn = ratings_of({("a", "random"): few_won, ("b", "a"): few_won})
    for name in ("a", "b"):
        width = decided[name].high - decided[name].low
        assert drawn[name].high - drawn[name].low == pytest.approx(width * 0.1**0.5, rel=0.05)


def test_who_never_lost_has_a_finite_rating_without_upper_bound():
    won, even = Score(100, 0, 0), Score(50, 0, 50)
    ratings = ratings_of({("a", "random"): won, ("b", "random"): won, ("a", "b"): even})
    for name in ("a", "b"):
        # They lost points to each other, but neither to anybody whose strength is limited.
        assert 600 < ratings[name].low < ratings[name].elo < 1500
        assert ratings[name].high == math.inf
    ratings = ratings_of({("a", "random"): won.reverse, ("a", "b"): even})
    assert ratings["a"].low == ratings["b"].low == -math.inf
    assert -1500 < ratings["a"].elo < ratings["a"].high < -400


def test_one_lost_point_anywhere_on_the_way_bounds_it():
    results = {("a", "random"): Score(100, 0, 0), ("b", "random"): Score(99, 1, 0)}
    ratings = ratings_of(results | {("a", "b"): Score(50, 0, 50)})
    assert ratings["a"].elo < ratings["a"].high < math.inf
    assert ratings["b"].elo < ratings["b"].high < math.inf


def test_the_strongest_is_first():
    ratings = ratings_of({("weak", "random"): Score(0, 2, 8), ("good", "random"): Score(8, 2, 0)})
    assert list(ratings) == ["good", "random", "weak"]


def test_players_whom_nothing_connects_are_reported():
    results = {
        ("a", "random"): Score(1, 0, 1),
        ("x", "y"): Score(1),
        ("z", "y"): Score(1),
        ("p", "q"): Score(0, 1, 0),
        ("a", "p"): Score(),
    }
    assert set(ratings_of(results)) == {"a", "random"}
    assert unrated(results, ANCHOR) == (("p", "q"), ("x", "y", "z"))
    assert unrated({("a", "random"): Score(1)}, ANCHOR) == ()


def test_two_anchors():
    results = {("a", "low"): Score(64, 0, 36), ("a", "high"): Score(36, 0, 64)}
    ratings = ratings_of(results | {("high", "low"): Score(100, 0, 0)}, {"low": 0, "high": 200})
    assert ratings["a"].elo == pytest.approx(100, abs=1e-6)
    assert ratings["high"] == Rating(200, 200, 200, 200, 0.82)


def test_confidence():
    results = {("a", "random"): Score(60, 0, 40)}
    wide, narrow = (ratings_of(results, confidence=c)["a"] for c in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.elo < narrow.high < wide.high


def test_what_cannot_be_rated_is_refused():
    with pytest.raises(
        ValueError, match=r"anchors: expected one that has played, got \['random'\]"
    ):
        ratings_of({("a", "b"): Score(1)})
    with pytest.raises(ValueError, match="results: expected two players, got 'a' against itself"):
        ratings_of({("a", "a"): Score(1)})


def test_a_long_ladder():
    """Three hundred checkpoints against three hubs, in exact proportion, come out as they were."""
    results = {}
    hubs = {"random": 0, "greedy": 300, "one-ply": 600}
    for i in range(300):
        for hub, elo in hubs.items():
            wins = round(1000 * rate_of_elo(3 * i - elo))
            results[f"step {i}", hub] = Score(wins, 0, 1000 - wins)
    ratings = ratings_of(results)
    assert ratings["greedy"].elo == pytest.approx(300, abs=2)
    assert ratings["one-ply"].elo == pytest.approx(600, abs=2)
    for i in range(300):
        rating = ratings[f"step {i}"]
        assert rating.elo == pytest.approx(3 * i, abs=15)
        assert rating.low < 3 * i < rating.high
