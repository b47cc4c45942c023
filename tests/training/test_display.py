"""Figures as a person reads them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from keisei.training.display import ProgressDisplay, format_rate, format_seconds
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


@pytest.mark.parametrize("terminal", [False, True])
def test_an_update_without_a_step_is_shown_as_such(terminal: bool) -> None:
    """Whose first minibatch passed target_kl, say: there are no losses then."""
    counts = ["games", "black_wins", "white_wins", "draws", "truncated"]
    counts += [f"ending_{name}" for name in ENDINGS]
    figures = {f"games.{name}": 1.0 for name in counts}
    figures |= {"speed.positions_per_second": 10.0, "speed.games_per_second": 1.0}
    figures |= {"speed.collect_seconds": 1.0, "speed.learn_seconds": 1.0, "games.mean_plies": 9.0}
    figures |= {"learn.gradient_steps": 0.0, "learn.explained_variance": 0.25}
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=200)
    display = ProgressDisplay(console, "a run", 100)
    display.update(10, 1.0, 9.0, figures)
    assert "no gradient step was taken" in display.line()
    console.print(display)
    assert "0.25" in screen.getvalue() and "policy loss" in screen.getvalue()
