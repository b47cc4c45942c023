"""The lines of a run that nobody draws."""

from __future__ import annotations

import logging

import pytest

from keisei.training.display import ProgressLines, progress_line
from keisei.training.metric_panels import format_rate, format_seconds
from keisei.training.rollout import ENDINGS


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00:00"),
        (59.9, "0:00:59"),
        (3723, "1:02:03"),
        (float("nan"), "-"),
        (float("inf"), "-"),
    ],
)
def test_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0, "0"), (0.041, "0.041"), (842, "842"), (999.6, "1k"), (1310, "1.31k"), (2.5e6, "2.5M")],
)
def test_rates(rate: float, text: str) -> None:
    assert format_rate(rate) == text


def figures(**others: float) -> dict[str, float]:
    counts = ["games", "black_wins", "white_wins", "draws", "truncated"]
    counts += [f"ending_{name}" for name in ENDINGS]
    found = {f"games.{name}": 1.0 for name in counts}
    found |= {"speed.positions_per_second": 10.0, "speed.games_per_second": 1.0}
    return found | others


def test_a_line() -> None:
    learned = {"learn.policy_loss": -0.25, "learn.value_loss": 0.5}
    learned |= {"learn.entropy": 3.0, "learn.approx_kl": 0.0125}
    assert progress_line(250, 1_000, 75.0, figures(**learned)) == (
        "step 250/1,000 (25.0%) | 10 positions/s 1 games/s | policy -0.2500 value 0.5000 "
        "entropy 3.000 KL 0.0125 | black 1 white 1 draw 1 cut 1 | left 0:01:15"
    )


def test_an_iteration_more_than_was_asked_for_is_all_of_it() -> None:
    assert progress_line(4096, 4000, 0.0, figures()).startswith("step 4,096/4,000 (100.0%) ")


def test_an_update_without_a_step_is_shown_as_such() -> None:
    """Whose first minibatch passed target_kl, say: there are no losses then."""
    assert "no gradient step was taken" in progress_line(10, 100, 9.0, figures())


def test_lines_come_at_the_interval_and_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    lines = ProgressLines(100, 5.0, clock=lambda: now)
    for step, now in ((10, 0.0), (20, 4.9), (30, 5.1), (40, 9.9), (100, 10.0)):  # noqa: B007
        lines.update(step, 1.0, figures())
    said = [record.getMessage().split("/")[0] for record in caplog.records]
    assert said == ["step 10", "step 30", "step 100"]
