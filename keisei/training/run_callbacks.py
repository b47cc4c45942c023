"""What every run hangs on its events: plugins, evaluations, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from keisei.config_schema import AppConfig
from keisei.evaluation.evaluate import EvaluationResult
from keisei.training.callback_manager import CallbackManager
from keisei.training.callbacks import Schedule
from keisei.training.followed_games import FollowedRows
from keisei.training.game_log import GameLog
from keisei.training.resource_monitor import MemoryLimitCallback
from keisei.training.standard_callbacks import (
    CheckpointCallback,
    EvaluationCallback,
    PublishedCallback,
)


def add_run_callbacks(
    callbacks: CallbackManager,
    config: AppConfig,
    *,
    save: Callable[[], object],
    saved_step: Callable[[], int],
    published: Callable[[], Path | None],
    evaluate: Callable[[int], EvaluationResult],
    record: Callable[[int, EvaluationResult], None],
    forget_after: Callable[[int], None],
    followed_rows: Callable[[], FollowedRows],
) -> None:
    """Adds what ``config`` (resolved) asks for.

    Plugins come first and checkpoints after them, so that what a run is resumed from has seen all
    that came before it; where the best checkpoints stay, each evaluation gets one of its own.
    """
    interval = _number("checkpoint_interval", config.logging.checkpoint_interval)
    evaluations = config.evaluation.interval
    callbacks.add_plugins()
    if config.logging.follow_games:
        games_interval = _number("games_interval", config.logging.games_interval)
        callbacks.add(GameLog(followed_rows, games_interval), order=5)
    saving = [Schedule(every_steps=interval)]
    if evaluations is not None:
        evaluation = EvaluationCallback(evaluate, record, callbacks.fire, forget_after)
        callbacks.add(evaluation, Schedule(every_steps=evaluations), order=10)
        if config.logging.keep_best:
            saving.append(Schedule(every_steps=evaluations))
    for schedule in saving:
        callbacks.add(CheckpointCallback(save, saved_step), schedule, order=20)
    callbacks.add(PublishedCallback(published, callbacks.fire), order=30)
    if config.resources.memory_limit_gb is not None:
        callbacks.add(MemoryLimitCallback(config.resources.memory_limit_gb), order=40)


def _number(key: str, value: int | str) -> int:
    if isinstance(value, str):
        raise TypeError(f"logging.{key}: expected a number, got {value!r}")
    return value
