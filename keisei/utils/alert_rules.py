"""Alert rules: what they say, and when they hold.

::

    METRIC [/ METRIC] < NUMBER[%] [of median|highest|lowest] [for K]
    METRIC is not finite [for K]

``<`` may be ``<=``, ``>`` or ``>=``; METRIC is a figure's name, in which ``*`` stands for anything.
"""

from __future__ import annotations

import fnmatch
import functools
import math
import operator
import re
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

HISTORY = 100
"""values that a median is of, the newest ones"""
LEAST_HISTORY = 10
"""values there must have been before a rule goes by a median"""
ABSENT = 20
"""records in a row without a metric, after which it is taken for gone"""

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_METRIC = r"[\w.:*?-]+"
_NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RULE = re.compile(
    rf"(?P<metric>{_METRIC})(?:\s*/\s*(?P<divisor>{_METRIC}))?\s*"
    rf"(?:(?P<sign><=|>=|<|>)\s*(?P<bound>{_NUMBER})\s*(?P<percent>%)?"
    r"(?:\s+of\s+(?P<of>median|highest|lowest))?|\s(?P<not_finite>is\s+not\s+finite))"
    r"(?:\s+for\s+(?P<times>\d+))?"
)
FORM = (
    "METRIC [/ METRIC] <|<=|>|>= NUMBER[%] [of median|highest|lowest] [for K] "
    "or METRIC is not finite [for K]"
)

BUILT_IN: Mapping[str, str] = {
    "not-finite": "* is not finite",
    "skipped-updates": "learn.skipped_updates > 0",
    "entropy-collapse": "learn.entropy < 0.05 for 20",
    "truncated-games": "games.truncated / games.games > 0.5 for 50",
    "slow": "speed.positions_per_second < 50% of median for 5",
    "disk-space": "resources.disk_free_gb < 5",
}
"""Rules that hold unless they are switched off or replaced by others of the same name."""


@dataclass(frozen=True)
class Rule:
    """When to raise an alert: see the module."""

    name: str
    text: str
    """as it was written"""
    metric: str
    divisor: str | None
    sign: str | None
    """None: the metric is to be finite"""
    bound: float
    of: str | None
    """what the bound is a multiple of: median, highest, lowest; None: it stands for itself"""
    times: int
    """values in a row that must be so"""

    def values(self, figures: Mapping[str, float]) -> dict[str, float]:
        """What of the figures it judges, by what to call it."""
        if self.divisor is None:
            return {name: figures[name] for name in _matching(self.metric, tuple(figures))}
        over, below = figures.get(self.metric), figures.get(self.divisor)
        if over is None or not below:
            return {}
        return {f"{self.metric} / {self.divisor}": over / below}


@functools.lru_cache(maxsize=1024)
def _matching(pattern: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(fnmatch.filter(names, pattern))


def parse_rule(name: str, text: str) -> Rule:
    """The rule that ``text`` says; ValueError says what was expected."""
    match = _RULE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected {FORM}")
    divisor, percent = match["divisor"], match["percent"]
    if divisor is not None and set("*?") & {*match["metric"], *divisor}:
        raise ValueError("expected whole names, no * or ?, on both sides of /")
    if percent is not None and match["of"] is None:
        raise ValueError("expected 'of median', 'of highest' or 'of lowest' behind %")
    times = int(match["times"] or 1)
    if not 1 <= times <= 10**6:
        raise ValueError("expected 1 to 1000000 behind 'for'")
    bound = float(match["bound"] or 0) / (100 if percent else 1)
    if not math.isfinite(bound):
        raise ValueError("expected a finite number")
    return Rule(name, text, match["metric"], divisor, match["sign"], bound, match["of"], times)


def settled_rules(given: Mapping[str, str | None], *, built_in: bool = True) -> tuple[Rule, ...]:
    """The built-in rules, overlaid with those given; None switches one off."""
    texts = {**(BUILT_IN if built_in else {}), **given}
    return tuple(parse_rule(name, text) for name, text in texts.items() if text is not None)


@dataclass(frozen=True)
class Change:
    """An alert that begins or ends."""

    rule: Rule
    begins: bool
    metric: str
    value: float
    """of the metric, the last one that was written"""
    reference: float | None = None
    """the median, the highest or the lowest of the values before, if the rule goes by one"""
    absent: bool = False
    """whether it ends because the metric is not written any more"""

    @property
    def text(self) -> str:
        """What to say of it."""
        value = f"{self.value:.6g}"
        if self.absent:
            what = f"{self.metric} was {value} and is missing from the {ABSENT} records since"
        elif self.reference is not None:
            what = f"{self.metric} is {value} ({self.rule.of} {self.reference:.6g})"
        else:
            what = f"{self.metric} is {value}"
        return f"{what}; the rule: {self.rule.text}"


@dataclass
class _Series:
    """What a rule remembers of one metric."""

    source: str
    """what it is a figure of"""
    in_a_row: int = 0
    missed: int = 0
    """records of its source since the last value that could be judged"""
    value: float = math.nan
    reference: float | None = None
    history: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    highest: float = -math.inf
    lowest: float = math.inf

    @property
    def holds(self) -> bool:
        """Whether it was as the rule says when it was last judged, and is still written."""
        return self.in_a_row > 0 and self.missed < ABSENT


class Watch:
    """One rule over the figures of a run: what it says follows from those figures alone."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.stands = False
        """whether the alert has begun and not ended"""
        self._series: dict[str, _Series] = {}

    def look(self, figures: Mapping[str, float], source: str = "") -> Change | None:
        """Takes the next record of figures; tells if the alert begins or ends with it.

        It begins once a metric was as the rule says for ``times`` values in a row, and ends once no
        metric is so any more. A record that lacks the metric changes nothing, but after ``ABSENT``
        such records of the same ``source`` (iterations are one, evaluations another) the metric is
        taken for gone.
        """
        begins = over = gone = None
        values = self.rule.values(figures)
        for name, series in self._series.items():
            if series.source == source and name not in values:
                series.missed += 1
                if series.in_a_row and series.missed == ABSENT:
                    gone = name
        for name, value in values.items():
            series = self._series.setdefault(name, _Series(source))
            is_so = self._judge(series, value)
            if is_so is None:
                continue
            if series.holds and not is_so:
                over = name
            series.in_a_row = series.in_a_row + 1 if is_so else 0
            series.value, series.missed = value, 0
            if begins is None and series.in_a_row >= self.rule.times:
                begins = name
        if begins is not None and not self.stands:
            self.stands = True
            return self._change(begins, begins=True)
        ended = over or gone
        if self.stands and ended and not any(one.holds for one in self._series.values()):
            self.stands = False
            return self._change(ended, begins=False)
        return None

    def _change(self, name: str, *, begins: bool) -> Change:
        series = self._series[name]
        return Change(
            self.rule, begins, name, series.value, series.reference, absent=series.missed > 0
        )

    def _judge(self, series: _Series, value: float) -> bool | None:
        """Whether it is as the rule says; None: nobody can tell."""
        rule = self.rule
        if rule.sign is None:
            return not math.isfinite(value)
        if not math.isfinite(value):
            return None
        reference = _reference(series, rule.of)
        if rule.of is not None:
            series.reference = reference
            series.history.append(value)
            series.highest = max(series.highest, value)
            series.lowest = min(series.lowest, value)
        if reference is None:
            return None
        return _COMPARISONS[rule.sign](value, rule.bound * reference)


def _reference(series: _Series, of: str | None) -> float | None:
    """What the bound is multiplied by, from the values before this one."""
    if of is None:
        return 1.0
    if not series.history or (of == "median" and len(series.history) < LEAST_HISTORY):
        return None
    if of == "median":
        return statistics.median(series.history)
    return series.highest if of == "highest" else series.lowest


def unknown_metrics(rules: Iterable[Rule], figures: Mapping[str, float]) -> dict[str, str]:
    """The rules, by name, whose metric none of the figures is, with that metric."""
    found = {}
    for rule in rules:
        for metric in filter(None, (rule.metric, rule.divisor)):
            if not _matching(metric, tuple(figures)):
                found[rule.name] = metric
    return found
