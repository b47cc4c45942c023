"""Figures as a person reads them."""

from __future__ import annotations

import pytest

from keisei.training.display import format_rate, format_seconds


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
