"""Schedules against their closed forms."""

from __future__ import annotations

import math

import pytest

from keisei.config_schema import TrainingConfig
from keisei.core.schedules import entropy_coefficient, learning_rate

TOTAL = 1000


def training(**values: object) -> TrainingConfig:
    return TrainingConfig.model_validate({"total_timesteps": TOTAL, "learning_rate": 0.25} | values)


@pytest.mark.parametrize("step", [0, 1, 250, 500, 999, 1000, 1500])
def test_without_warm_up(step: int) -> None:
    done = min(step / TOTAL, 1.0)
    expected = {
        "constant": 0.25,
        "linear": 0.25 * (1 - done),
        "cosine": 0.25 * math.cos(math.pi / 2 * done) ** 2,  # (1 + cos x) / 2 = cos(x / 2)^2
    }
    for schedule, rate in expected.items():
        got = learning_rate(training(lr_schedule=schedule), step)
        assert got == pytest.approx(rate, abs=1e-15), f"{schedule} after {step} plies"


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_warm_up_rises_in_a_line_to_the_whole_rate(schedule: str) -> None:
    config = training(lr_schedule=schedule, lr_warmup=200)
    for step in (0, 1, 50, 199, 200):
        assert learning_rate(config, step) == pytest.approx(0.25 * step / 200, abs=1e-15)


def test_what_follows_the_warm_up_fills_the_rest() -> None:
    for step in (200, 201, 600, 999, 1000, 2000):
        done = min((step - 200) / 800, 1.0)
        linear = learning_rate(training(lr_schedule="linear", lr_warmup=200), step)
        assert linear == pytest.approx(0.25 * (1 - done), abs=1e-15)
        cosine = learning_rate(training(lr_schedule="cosine", lr_warmup=200), step)
        assert cosine == pytest.approx(0.125 * (1 + math.cos(math.pi * done)), abs=1e-15)
        assert learning_rate(training(lr_warmup=200), step) == 0.25


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.02), (1, 0.019985), (500, 0.0125), (1000, 0.005), (5000, 0.005)]
)
def test_entropy_goes_in_a_line_to_its_last_value(step: int, expected: float) -> None:
    config = training(entropy_coefficient=0.02, entropy_schedule="linear", entropy_final=0.005)
    assert entropy_coefficient(config, step) == pytest.approx(expected, abs=1e-15)
    assert entropy_coefficient(training(entropy_coefficient=0.02), step) == 0.02


def test_a_total_that_is_not_settled_is_refused() -> None:
    with pytest.raises(ValueError, match=r"training\.total_timesteps: expected a number"):
        learning_rate(TrainingConfig(lr_schedule="linear"), 0)
