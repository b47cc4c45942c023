"""Alert rules: how they are read, and when they hold."""

from __future__ import annotations

import math

import pytest

from keisei.utils.alert_rules import (
    ABSENT,
    BUILT_IN,
    LEAST_HISTORY,
    Watch,
    parse_rule,
    settled_rules,
    unknown_metrics,
)


def course(text: str, values: list[float], metric: str = "a.b") -> list[str]:
    """What a rule tells of these values in turn: begins, ends, or nothing."""
    watch, told = Watch(parse_rule("name", text)), []
    for value in values:
        change = watch.look({metric: value})
        told.append("" if change is None else "begins" if change.begins else "ends")
    return told


def test_it_is_told_once_until_it_is_over() -> None:
    assert course("a.b < 1", [2, 0.5, 0.4, 1, 0.3]) == ["", "begins", "", "ends", "begins"]


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("a.b < 1", 1.0, False),
        ("a.b <= 1", 1.0, True),
        ("a.b > 1", 1.0, False),
        ("a.b >= 1e0", 1.0, True),
        ("a.b < -.5", -0.6, True),
        ("a.b>1_000", 1001.0, True),
        ("a.* > 0", 1.0, True),
        ("b.* > 0", 1.0, False),
        ("a.b is not finite", math.nan, True),
        ("* is not finite", -math.inf, True),
        ("a.b is not finite", 1e300, False),
        ("a.b > 1", math.nan, False),
    ],
)
def test_when_it_holds(text: str, value: float, holds: bool) -> None:
    assert course(text, [value]) == ["begins" if holds else ""]


def test_for_so_many_in_a_row() -> None:
    values = [0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0]
    told = ["", "", "", "", "", "begins", "", "ends", ""]
    assert course("a.b < 1 for 3", values) == told


def test_a_share_of_the_median_of_those_before() -> None:
    values = [100.0] * LEAST_HISTORY + [49.0, 51.0]
    told = course("a.b < 50% of median", values)
    assert told == [""] * LEAST_HISTORY + ["begins", "ends"]
    few = [100.0] * (LEAST_HISTORY - 1) + [1.0]
    assert course("a.b < 50% of median", few) == [""] * LEAST_HISTORY, "expected no early judgement"
    assert course("a.b < 0.5 of median", values) == told
    slow = course("a.b < 50% of median", [100.0] * 200 + [40.0] * 100)
    assert slow.index("begins") == 200 and "ends" in slow, "a pace that stays is the new one"


def test_a_share_of_the_best_so_far() -> None:
    assert course("a.b < 80% of highest", [0.5, 1.0, 0.8, 0.79, 0.9]) == [
        "", "", "", "begins", "ends"
    ]  # fmt: skip
    assert course("a.b > 2 of lowest", [3.0, 1.0, 2.0, 2.1]) == ["", "", "", "begins"]


def test_a_ratio_of_two() -> None:
    watch = Watch(parse_rule("name", "games.truncated / games.games > 0.5"))
    assert watch.look({"games.truncated": 1.0, "games.games": 4.0}) is None
    assert watch.look({"games.truncated": 0.0, "games.games": 0.0}) is None
    assert watch.look({"games.games": 1.0}) is None
    change = watch.look({"games.truncated": 3.0, "games.games": 4.0})
    assert change is not None and change.metric == "games.truncated / games.games"
    assert change.text == (
        "games.truncated / games.games is 0.75; the rule: games.truncated / games.games > 0.5"
    )


def test_figures_without_the_metric_change_nothing() -> None:
    watch = Watch(parse_rule("name", "a.b < 1 for 2"))
    assert watch.look({"a.b": 0.0}) is None
    assert watch.look({"c": 0.0}) is None
    assert watch.look({"a.b": 0.0}) is not None
    assert watch.look({}) is None and watch.stands


def test_one_of_several_metrics_keeps_it_standing() -> None:
    watch = Watch(parse_rule("name", "a.* is not finite"))
    change = watch.look({"a.x": 1.0, "a.y": math.inf})
    assert change is not None and change.metric == "a.y"
    assert watch.look({"a.x": math.nan, "a.y": 1.0}) is None and watch.stands
    change = watch.look({"a.x": 1.0, "a.y": 1.0})
    assert change is not None and not change.begins
    assert change.text == "a.x is 1; the rule: a.* is not finite", "expected the one that was odd"


@pytest.mark.parametrize("rule", ["a.b is not finite", "a.b / c > 2", "a.b > 50% of highest"])
def test_what_is_gone_ends_it(rule: str) -> None:
    """And says so: nobody is to believe that it became better."""
    watch = Watch(parse_rule("name", rule))
    bad = {"a.b": math.nan if "finite" in rule else 5.0, "c": 1.0}
    changes = [watch.look(bad), watch.look(bad)]
    assert sum(change is not None for change in changes) == 1 and watch.stands
    for _ in range(ABSENT - 1):
        assert watch.look({"c": 0.0}) is None and watch.look({}, "others") is None
    change = watch.look({"c": 0.0})
    assert change is not None and not change.begins and change.absent and not watch.stands
    metric, value = rule.split(" is")[0].split(" >")[0], f"{bad['a.b']:g}"
    assert change.text == (
        f"{metric} was {value} and is missing from the {ABSENT} records since; the rule: {rule}"
    )
    assert watch.look({"c": 0.0}) is None, "told once"
    change = watch.look(bad)
    assert change is not None and change.begins, "it is back as it was"


def test_a_figure_that_comes_rarely_counts_from_time_to_time() -> None:
    watch = Watch(parse_rule("name", "a.b < 1 for 2"))
    assert watch.look({"a.b": 0.0}) is None
    for _ in range(2 * ABSENT):
        assert watch.look({}) is None
    change = watch.look({"a.b": 0.0})
    assert change is not None and change.begins


def test_one_that_is_gone_does_not_end_what_another_keeps_up() -> None:
    watch = Watch(parse_rule("name", "a.* > 1"))
    assert watch.look({"a.x": 2.0, "a.y": 3.0}) is not None
    for _ in range(2 * ABSENT):
        assert watch.look({"a.y": 3.0}) is None
    change = watch.look({"a.y": 0.0})
    assert change is not None and not change.begins and change.metric == "a.y"


def test_the_text_names_what_a_value_is_measured_by() -> None:
    """So that an alert that ends because the median came down is seen to end so."""
    watch = Watch(parse_rule("name", "a.b < 50% of median"))
    for _ in range(LEAST_HISTORY):
        watch.look({"a.b": 100.0})
    change = watch.look({"a.b": 40.0})
    assert change is not None
    assert change.text == "a.b is 40 (median 100); the rule: a.b < 50% of median"
    changes = [watch.look({"a.b": 40.0}) for _ in range(LEAST_HISTORY)]
    (change,) = filter(None, changes)
    assert not change.begins
    assert change.text == "a.b is 40 (median 70); the rule: a.b < 50% of median"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "METRIC"),
        ("a.b", "METRIC"),
        ("a.b < ", "METRIC"),
        ("a.b < x", "METRIC"),
        ("a.b == 1", "METRIC"),
        ("a.b < 1 for", "METRIC"),
        ("a.b < 1 for 2.5", "METRIC"),
        ("a b < 1", "METRIC"),
        ("a.b < nan", "METRIC"),
        ("a.b is finite", "METRIC"),
        ("a.b < 1 of mean", "METRIC"),
        ("a.b < 50%", "behind %"),
        ("a.* / b < 1", "whole names"),
        ("a.b < 1 for 0", "1 to 1000000"),
        ("a.b < 1 for 1000001", "1 to 1000000"),
        ("a.b < 1e999", "a finite number"),
    ],
)
def test_what_is_no_rule_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=r"^expected ") as caught:
        parse_rule("name", text)
    assert expected in str(caught.value)


def test_built_in_rules_can_be_replaced_and_switched_off() -> None:
    assert [rule.name for rule in settled_rules({})] == list(BUILT_IN)
    given = {"slow": None, "disk-space": "resources.disk_free_gb < 9", "mine": "a < 1"}
    rules = {rule.name: rule.text for rule in settled_rules(given)}
    assert rules == {n: t for n, t in BUILT_IN.items() if n != "slow"} | {
        "disk-space": "resources.disk_free_gb < 9",
        "mine": "a < 1",
    }
    assert [rule.name for rule in settled_rules({"mine": "a < 1"}, built_in=False)] == ["mine"]


def test_names_that_no_figure_has() -> None:
    rules = settled_rules({"a": "x.y < 1", "b": "x.z / q < 1", "c": "x.* < 1"}, built_in=False)
    assert unknown_metrics(rules, {"x.z": 1.0}) == {"a": "x.y", "b": "q"}
