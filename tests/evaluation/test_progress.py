"""How far a match is, said now and then."""

from __future__ import annotations

import logging

import pytest

from keisei.evaluation.progress import Progress
from keisei.evaluation.scores import Score


def test_a_line_each_ten_seconds_at_most(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 100.0
    progress = Progress(40, clock=lambda: now)
    said = []
    for second in range(35):
        now = 100.0 + second
        progress.say("a", "b", Score(wins=second))
        said.append(len(caplog.messages))
    assert said == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 5
    assert caplog.messages[1] == "a against b: 20 of 40 games, +20 =0 -0"
    now = 200.0
    progress.say("a", "b", Score(8, 1, 3))
    assert caplog.messages[3] == "a against b: 12 of 40 games, +8 =1 -3"


def test_the_end_of_a_match_is_said_at_once_and_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    progress = Progress(2, clock=lambda: now)
    for second in "bc":
        progress.say("a", second, Score(1, 0, 1), at_once=True)
    now = 20.0
    progress.say("a", "d", Score(1, 0, 1))
    progress.say("a", "d", Score(1, 0, 1), at_once=True)
    lines = [f"a against {second}: 2 of 2 games, +1 =0 -1" for second in "bcd"]
    assert caplog.messages == lines
