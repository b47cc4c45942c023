"""Alerts: when a figure of the run is as a rule says, those who should know are told.

What stands when a run goes on follows from the figures that it has written so far, so that nothing
is told twice and nothing is forgotten, however often the run is cut.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keisei.training.alert_command import CommandRunner
from keisei.training.callbacks import Callback, Snapshot
from keisei.training.final_figures import evaluation_figures, read_evaluations
from keisei.utils.alert_rules import Change, Rule, Watch, unknown_metrics
from keisei.utils.event_file import EventFile
from keisei.utils.masking import mask_secrets
from keisei.utils.metrics_writer import read_metrics

_log = logging.getLogger(__name__)

FAILURE = "run-failed"
"""the alert of a run that ends by an error"""
DISABLED = "callback-disabled"
"""the alert of a callback, evaluations say, that failed too often to be called again"""
# What figures are of: each kind has records of its own.
_ITERATION, _EVALUATION = "iteration", "evaluation"
# Figures that come later than with the first iteration.
_LATE = ("evaluation.", "time.", "resources.")


@dataclass(frozen=True)
class Alert:
    """An alert that begins or ends."""

    name: str
    begins: bool
    text: str
    rule: str
    metric: str
    value: float | None
    iteration: int
    step: int
    run_dir: Path

    def facts(self) -> dict[str, str]:
        """What a command gets as variables of its environment."""
        return {
            "ALERT_NAME": self.name,
            "ALERT_STATE": "begins" if self.begins else "ends",
            "ALERT_TEXT": self.text,
            "ALERT_RULE": self.rule,
            "ALERT_METRIC": self.metric,
            "ALERT_VALUE": "" if self.value is None else repr(self.value),
            "ALERT_ITERATION": str(self.iteration),
            "ALERT_STEP": str(self.step),
            "ALERT_RUN": str(self.run_dir),
        }


Action = Callable[[Alert], None]


def log_alert(alert: Alert) -> None:
    """Says it in the log, where failures of the run and of callbacks stand already."""
    if alert.name in (FAILURE, DISABLED):
        return
    if alert.begins:
        _log.warning("alert %s: %s", alert.name, alert.text)
    else:
        _log.info("alert %s is over: %s", alert.name, alert.text)


def marker(events: Callable[[], EventFile | None]) -> Action:
    """Marks it in TensorBoard: 1 where it begins, 0 where it ends, and its text."""

    def mark(alert: Alert) -> None:
        file = events()
        if file is not None:
            file.scalars({f"alerts.{alert.name}": float(alert.begins)}, alert.step)
            file.text(f"alerts.{alert.name}", alert.text, alert.step)

    return mark


def caller(call: Callable[[str, str], None]) -> Action:
    """Calls Weights & Biases with title and text of one that begins."""

    def alert_there(alert: Alert) -> None:
        if alert.begins:
            call(f"{alert.run_dir.name}: {alert.name}", alert.text)

    return alert_there


class AlertsCallback(Callback):
    """Judges the figures of each iteration and evaluation by ``rules``, and does the ``actions``.

    An alert is told once when it begins and once when it ends. A run that fails is one too, and so
    is a callback of those that ``given_up`` gives, names and what they failed with.
    ``evaluation_log`` is the run's; ``command`` is closed as the run ends. An action that fails is
    logged and keeps no other from being done.
    """

    name = "alerts"
    draws = False
    order = 15  # before checkpoints; behind what drops the evaluations that are void

    def __init__(
        self,
        rules: Sequence[Rule],
        actions: Sequence[Action],
        evaluation_log: Path,
        command: CommandRunner | None = None,
        given_up: Callable[[], Collection[tuple[str, str]]] = tuple,
    ) -> None:
        self._rules = tuple(rules)
        self._evaluation_log = evaluation_log
        self._command = command
        self._given_up = given_up
        self._told_of: set[tuple[str, str]] = set()
        self._actions = [*actions]
        if command is not None:
            self._actions.append(lambda alert: command.run(alert.facts()))
        self._watches: list[Watch] = []
        self._names_looked_at = False

    @property
    def standing(self) -> tuple[str, ...]:
        """The names of the alerts that have begun and not ended."""
        return tuple(watch.rule.name for watch in self._watches if watch.stands)

    def on_start(self, snapshot: Snapshot) -> None:
        """Takes up the alerts that stand where the run goes on."""
        self._watches = [Watch(rule) for rule in self._rules]
        for record in read_metrics(snapshot.run_dir):
            self._judge({name: x for name, x in record.items() if "." in name}, _ITERATION)
        for figures in read_evaluations(self._evaluation_log):
            self._judge(figures, _EVALUATION)
        for name in self.standing:
            _log.warning("alert %s stands since before", name)

    def on_update_end(self, snapshot: Snapshot) -> None:
        """Judges the figures of the iteration."""
        if not self._names_looked_at:
            self._names_looked_at = True
            self._look_at_names(snapshot.metrics)
        self._tell(self._judge(snapshot.metrics, _ITERATION), snapshot, snapshot.step)
        self._look_at_callbacks(snapshot)

    def on_evaluation(self, snapshot: Snapshot) -> None:
        """Judges the figures of the evaluation."""
        result = snapshot.data["result"]
        changes = self._judge(evaluation_figures(result.to_json()), _EVALUATION)
        self._tell(changes, snapshot, result.step)

    def on_exception(self, snapshot: Snapshot) -> None:
        """Tells that the run failed."""
        self._tell_of_failure(
            FAILURE, f"{snapshot.data['type']}: {snapshot.data['message']}", snapshot
        )

    def on_finish(self, snapshot: Snapshot) -> None:
        """Waits for the command, if one is running."""
        self._look_at_callbacks(snapshot)
        if self._command is not None:
            self._command.close()

    def _look_at_callbacks(self, snapshot: Snapshot) -> None:
        for name, why in self._given_up():
            if (name, why) not in self._told_of:
                self._told_of.add((name, why))
                text = f"callback {name} is not called any more; it failed with {why}"
                self._tell_of_failure(DISABLED, text, snapshot)

    def _judge(self, figures: Mapping[str, float], source: str) -> list[Change]:
        changes = (watch.look(figures, source) for watch in self._watches)
        return [change for change in changes if change is not None]

    def _tell(self, changes: Sequence[Change], snapshot: Snapshot, step: int) -> None:
        for change in changes:
            self._act(
                Alert(
                    name=change.rule.name,
                    begins=change.begins,
                    text=change.text,
                    rule=change.rule.text,
                    metric=change.metric,
                    value=change.value,
                    iteration=snapshot.iteration,
                    step=step,
                    run_dir=snapshot.run_dir,
                )
            )

    def _tell_of_failure(self, name: str, text: str, snapshot: Snapshot) -> None:
        self._act(
            Alert(
                name=name,
                begins=True,
                text=mask_secrets(text),
                rule="",
                metric="",
                value=None,
                iteration=snapshot.iteration,
                step=snapshot.step,
                run_dir=snapshot.run_dir,
            )
        )

    def _act(self, alert: Alert) -> None:
        for action in self._actions:
            try:
                action(alert)
            except Exception as error:  # whatever it is, the others are still to be told
                what = f"{type(error).__name__}: {error}"
                _log.warning("alert %s cannot be told of: %s", alert.name, what)

    def _look_at_names(self, figures: Mapping[str, float]) -> None:
        for name, metric in unknown_metrics(self._rules, figures).items():
            if not metric.startswith(_LATE):
                near = difflib.get_close_matches(metric, figures, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                _log.warning("alerts.rules.%s: no figure is named %s%s", name, metric, hint)
