"""The progress of a run and its figures."""

from __future__ import annotations

import math

import pytest

from keisei.training.metrics_manager import MetricsManager
from keisei.training.train_state import TrainState

COUNTS = {
    "plies": 32, "games": 4, "game_plies": 40,
    "black_wins": 2, "white_wins": 1, "draws": 0, "truncated": 1,
}  # fmt: skip
LEARNED = {"loss": 0.5, "policy_loss": -0.01, "value_loss": 0.25, "gradient_steps": 6.0}


def record(metrics: MetricsManager, seconds: float = 2.0) -> dict[str, float]:
    return metrics.record(
        COUNTS,
        LEARNED,
        collect_seconds=0.25 * seconds,
        learn_seconds=0.75 * seconds,
        settings={"learning_rate": 1e-3},
    )


def test_it_counts_and_names_the_figures() -> None:
    metrics = MetricsManager()
    figures = record(metrics)
    record(metrics)
    assert metrics.state.iteration == 2 and metrics.global_timestep == 64
    assert metrics.state.seconds == 4.0
    assert (metrics.total_episodes_completed, metrics.black_wins) == (8, 4)
    assert (metrics.white_wins, metrics.draws) == (2, 0)
    assert figures["speed.positions_per_second"] == 16.0
    assert figures["speed.collect_seconds"] == 0.5 and figures["speed.learn_seconds"] == 1.5
    assert figures["learn.loss"] == 0.5 and figures["learn.learning_rate"] == 1e-3
    assert figures["games.black_wins"] == 2.0 and figures["games.mean_plies"] == 10.0


def test_current_stats_are_plain_and_a_copy() -> None:
    metrics = MetricsManager()
    stats = metrics.get_current_stats()
    assert stats["global_timestep"] == 0 and stats["black_wins_share"] == 0.0
    assert stats["latest"] == {}
    record(metrics)
    stats = metrics.get_current_stats()
    assert stats["global_timestep"] == 32 and stats["total_episodes_completed"] == 4
    assert stats["black_wins_share"] == 0.5 and stats["truncated"] == 1
    stats["latest"]["learn.loss"] = 9.0
    assert metrics.get_current_stats()["latest"]["learn.loss"] == 0.5


def test_counters_can_be_set_but_not_below_nothing() -> None:
    metrics = MetricsManager()
    metrics.global_timestep = 7
    metrics.set_total("draws", 3)
    assert metrics.state.step == 7 and metrics.draws == 3
    with pytest.raises(ValueError, match="global_timestep: expected 0 or more, got -1"):
        metrics.global_timestep = -1
    with pytest.raises(ValueError, match="draws: expected 0 or more, got -1"):
        metrics.set_total("draws", -1)
    metrics.take_progress(TrainState(iteration=3, step=96))
    assert metrics.global_timestep == 96


def test_the_pace_leaves_out_what_warms_up() -> None:
    metrics = MetricsManager()
    assert math.isinf(metrics.seconds_left(320))
    metrics.start_pace(warm_up=1)
    record(metrics, seconds=100.0)
    assert metrics.seconds_left(320) == pytest.approx(288 / 0.32)
    record(metrics, seconds=2.0)
    assert metrics.seconds_left(320) == pytest.approx(256 / 16)
    assert metrics.seconds_left(10) == 0.0


def test_an_update_in_one_line() -> None:
    text = MetricsManager().format_ppo_metrics(LEARNED)
    assert text == "PPO: 6 gradient steps | loss 0.5 policy_loss -0.01 value_loss 0.25"
    assert MetricsManager().format_ppo_metrics({"gradient_steps": 0.0}) == "PPO: no gradient steps"
