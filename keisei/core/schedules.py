"""What the learning rate and the entropy coefficient are after so many plies: pure functions.

An iteration learns with what its first ply says; nothing is stored, so a resumed run goes on with
the same numbers.
"""

from __future__ import annotations

import math

from keisei.config_schema import TrainingConfig


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The learning rate once ``step`` plies are played; ``config`` must be resolved.

    It rises from zero to ``learning_rate`` over ``lr_warmup`` plies; then it stays, or falls to
    zero at ``total_timesteps`` in a line or in half a cosine.
    """
    if step < config.lr_warmup:
        return config.learning_rate * step / config.lr_warmup
    if config.lr_schedule == "constant":
        return config.learning_rate
    done = progress(step - config.lr_warmup, total(config) - config.lr_warmup)
    if config.lr_schedule == "linear":
        return config.learning_rate * (1.0 - done)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


def entropy_coefficient(config: TrainingConfig, step: int) -> float:
    """The entropy bonus's weight once ``step`` plies are played; ``config`` must be resolved.

    It stays, or goes from ``entropy_coefficient`` to ``entropy_final`` at ``total_timesteps`` in a
    line.
    """
    if config.entropy_schedule == "constant":
        return config.entropy_coefficient
    done = progress(step, total(config))
    return (1.0 - done) * config.entropy_coefficient + done * config.entropy_final


def progress(step: int, total: int) -> float:
    """The share of ``total`` that ``step`` is, at most 1; all of nothing."""
    return min(1.0, step / total) if total > 0 else 1.0


def total(config: TrainingConfig) -> int:
    """``total_timesteps`` of a resolved configuration; ValueError before it is resolved."""
    if config.total_timesteps == "auto":
        raise ValueError("training.total_timesteps: expected a number, got 'auto'")
    return config.total_timesteps
