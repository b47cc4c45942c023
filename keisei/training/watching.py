"""Hangs on a run's events what people watch it by: TensorBoard's details, and alerts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from keisei.config_schema import AppConfig
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.envs import ShogiVectorEnv
from keisei.training.alert_command import CommandRunner
from keisei.training.alerts import Action, AlertsCallback, caller, log_alert, marker
from keisei.training.callback_manager import CallbackManager
from keisei.training.curves import EvaluationCurves, Events, RolloutDetails
from keisei.training.live_game import LiveGameReader
from keisei.training.rollout_histograms import RolloutHistograms
from keisei.utils.alert_rules import settled_rules


def add_watching(
    callbacks: CallbackManager,
    config: AppConfig,
    *,
    buffer: ExperienceBuffer,
    game: ShogiVectorEnv,
    events: Events,
    alert_elsewhere: Callable[[str, str], None],
    evaluation_log: Path,
) -> None:
    """Adds what ``config`` (resolved) asks for; the first rank alone does any of it.

    ``events`` gives TensorBoard's file, ``alert_elsewhere`` takes title and text of an alert.
    """
    callbacks.add(EvaluationCurves(events, evaluation_log))
    interval, games = config.logging.detail_interval, config.env.num_games
    if isinstance(interval, str) or isinstance(games, str):
        raise TypeError("add_watching: expected a resolved configuration")
    if interval is not None:
        training = config.training
        reader = LiveGameReader(
            buffer, game, mirror_seed=training.seed if training.mirror else None
        )
        details = RolloutDetails(
            RolloutHistograms(buffer),
            reader,
            events,
            interval=interval,
            rows=games * buffer.rollout_length,
        )
        callbacks.add(details)
    alerts = config.alerts
    rules = settled_rules(alerts.rules, built_in=alerts.built_in_rules)
    actions: list[Action] = [log_alert, marker(events), caller(alert_elsewhere)]
    command = CommandRunner(alerts.command, alerts.command_timeout) if alerts.command else None
    callbacks.add(
        AlertsCallback(rules, actions, evaluation_log, command, lambda: callbacks.given_up)
    )
