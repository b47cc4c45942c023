"""Alerts of a run: told once, to everybody, and the same however often the run is cut."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
from event_files import curves, read_events
from run_helpers import PLIES, tiny_config, trainer_of

from keisei.config_schema import (
    AlertsConfig,
    AppConfig,
    ConfigError,
    EvaluationConfig,
    load_config,
)
from keisei.training.alerts import DISABLED, Alert, AlertsCallback, caller
from keisei.training.callbacks import Callback, Event, Snapshot, StopTraining
from keisei.utils.alert_rules import ABSENT, settled_rules


class Result:
    """An evaluation, as far as alerts look at it."""

    def __init__(self, step: int, rate: float) -> None:
        self.step = step
        self.rate = rate

    def to_json(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "win_rate": self.rate,
            "opponents": {"random": {"win_rate": self.rate, "name": "no number"}},
        }


class Bench:
    """A callback with rules, and what it told."""

    def __init__(self, run_dir: Path, **rules: str) -> None:
        self.run_dir = run_dir
        self.told: list[tuple[str, bool, int]] = []
        self.callback = AlertsCallback(
            settled_rules(rules, built_in=False), [self._note], run_dir / "evaluation.log"
        )
        self.callback.on_start(self.at(Event.START, 0, {}))

    def _note(self, alert: Alert) -> None:
        self.told.append((alert.name, alert.begins, alert.step))

    def at(self, event: Event, iteration: int, metrics: dict[str, float], **data: Any) -> Snapshot:
        snapshot = Snapshot(event, iteration, 10 * iteration, 0.0, self.run_dir, metrics)
        object.__setattr__(snapshot, "data", data)
        return snapshot

    def go(self, iteration: int, **metrics: float) -> None:
        figures = {name.replace("_", ".", 1): value for name, value in metrics.items()}
        with (self.run_dir / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"iteration": iteration, "step": 0, **figures}) + "\n")
        self.callback.on_update_end(self.at(Event.UPDATE_END, iteration, figures))


def test_what_stands_is_told_once_and_its_end_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, low="learn.entropy < 1 for 2")
    for iteration, entropy in enumerate([2, 0.5, 0.4, 0.3, 2, 2], start=1):
        bench.go(iteration, learn_entropy=entropy)
    assert bench.told == [("low", True, 30), ("low", False, 50)]


def test_a_run_that_was_cut_tells_what_it_would_have_told(tmp_path: Path) -> None:
    entropies = [2, 0.5, 0.4, 0.3, 2, 0.1, 0.1, 0.1]
    for cut in range(1, len(entropies)):
        folder, told = tmp_path / str(cut), []
        folder.mkdir()
        for part in (range(1, cut + 1), range(cut + 1, len(entropies) + 1)):
            bench = Bench(folder, low="learn.entropy < 1 for 2", ever="games.x is not finite")
            assert bench.callback.standing == (("low",) if cut in (3, 4, 7) and part[0] > 1 else ())
            for iteration in part:
                bench.go(iteration, learn_entropy=entropies[iteration - 1])
            told += bench.told
        assert told == [("low", True, 30), ("low", False, 50), ("low", True, 70)], f"cut at {cut}"


def test_what_still_stands_is_said_as_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Bench(tmp_path, low="learn.entropy < 1").go(1, learn_entropy=0.5)
    Bench(tmp_path, low="learn.entropy < 1")
    assert "alert low stands since before" in caplog.text


def test_evaluations_are_judged_too_and_remembered(tmp_path: Path) -> None:
    rule = "evaluation.random.win_rate < 80% of highest"
    bench = Bench(tmp_path, weak=rule)
    for step, rate in ((10, 0.9), (20, 0.6)):
        result = Result(step, rate)
        with (tmp_path / "evaluation.log").open("a") as file:
            file.write(json.dumps(result.to_json()) + "\n")
        bench.callback.on_evaluation(bench.at(Event.EVALUATION, step // 10, {}, result=result))
    assert bench.told == [("weak", True, 20)]
    assert Bench(tmp_path, weak=rule).callback.standing == ("weak",)


def test_a_failure_is_told_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "a1b2c3d4e5f6")
    alerts: list[Alert] = []
    callback = AlertsCallback([], [alerts.append], tmp_path / "evaluation.log")
    snapshot = Snapshot(
        Event.EXCEPTION,
        *(3, 30, 0.0, tmp_path),
        data={"type": "OSError", "message": "no a1b2c3d4e5f6", "traceback": ""},
    )
    callback.on_exception(snapshot)
    assert [(alert.name, alert.text) for alert in alerts] == [("run-failed", "OSError: no ***")]
    assert alerts[0].facts() == {
        "ALERT_NAME": "run-failed",
        "ALERT_STATE": "begins",
        "ALERT_TEXT": "OSError: no ***",
        "ALERT_RULE": "",
        "ALERT_METRIC": "",
        "ALERT_VALUE": "",
        "ALERT_ITERATION": "3",
        "ALERT_STEP": "30",
        "ALERT_RUN": str(tmp_path),
    }


def test_an_action_that_fails_keeps_no_other_from_being_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def fails(alert: Alert) -> None:
        raise RuntimeError("no way")

    rules = settled_rules({"low": "a.b < 1"}, built_in=False)
    callback = AlertsCallback(
        rules,
        [fails, caller(lambda title, text: done.append(f"{title}: {text}"))],
        tmp_path / "evaluation.log",
    )
    callback.on_start(Snapshot(Event.START, 0, 0, 0.0, tmp_path))
    for iteration, value in ((1, 0.0), (2, 2.0)):
        metrics = {"a.b": value}
        callback.on_update_end(
            Snapshot(Event.UPDATE_END, iteration, 5, 0.0, tmp_path, metrics=metrics)
        )
    assert "alert low cannot be told of: RuntimeError: no way" in caplog.text
    assert done == [f"{tmp_path.name}: low: a.b is 0; the rule: a.b < 1"]


def test_what_is_not_written_any_more_is_over(tmp_path: Path) -> None:
    """Iterations do not count for what evaluations write, nor does a resume begin anew."""
    rules = {"odd": "*.x is not finite", "weak": "evaluation.random.win_rate < 0.5"}
    bench = Bench(tmp_path, **rules)
    evaluation = Result(10, 0.1)
    (tmp_path / "evaluation.log").write_text(json.dumps(evaluation.to_json()) + "\n")
    bench.callback.on_evaluation(bench.at(Event.EVALUATION, 1, {}, result=evaluation))
    bench.go(1, games_x=math.nan)
    for iteration in range(2, ABSENT + 1):
        bench.go(iteration, games_y=1.0)
    assert bench.callback.standing == ("odd", "weak")
    again = Bench(tmp_path, **rules)
    assert again.callback.standing == ("odd", "weak")
    for iteration in range(ABSENT + 1, 3 * ABSENT):
        again.go(iteration, games_y=1.0)
    assert again.told == [("odd", False, 10 * (ABSENT + 1))]
    assert again.callback.standing == ("weak",)


def test_a_callback_that_is_given_up_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "a1b2c3d4e5f6")
    alerts: list[Alert] = []
    given_up: list[tuple[str, str]] = []
    callback = AlertsCallback(
        [], [alerts.append], tmp_path / "evaluation.log", given_up=lambda: given_up
    )
    for iteration in range(1, 5):
        if iteration == 2:
            given_up.append(("evaluation", "EngineError: no a1b2c3d4e5f6"))
        callback.on_update_end(Snapshot(Event.UPDATE_END, iteration, 10, 0.0, tmp_path))
    given_up.append(("mine", "OSError: full"))
    callback.on_finish(Snapshot(Event.FINISH, 5, 10, 0.0, tmp_path))
    assert [(alert.name, alert.iteration, alert.text) for alert in alerts] == [
        (
            DISABLED,
            2,
            "callback evaluation is not called any more; it failed with EngineError: no ***",
        ),
        (DISABLED, 5, "callback mine is not called any more; it failed with OSError: full"),
    ]


def test_a_name_that_no_figure_has_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, one="learn.entorpy < 1", two="evaluation.x < 1", three="x.y < 1")
    for iteration in (1, 2):
        bench.go(iteration, learn_entropy=2.0)
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert said == [
        "alerts.rules.one: no figure is named learn.entorpy; did you mean learn.entropy?",
        "alerts.rules.three: no figure is named x.y",
    ]


def with_alerts(root: Path, **alerts: Any) -> AppConfig:
    return tiny_config(root, 4 * PLIES, alerts=AlertsConfig(**alerts))


class StopAfter(Callback):
    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def on_update_end(self, snapshot: Snapshot) -> None:
        if snapshot.iteration == self.iteration:
            raise StopTraining("as far as this test goes")


def test_a_run_logs_and_marks_its_alerts(tmp_path: Path) -> None:
    """Over a resume too: the mark and the line are there once."""
    settings = with_alerts(tmp_path, rules={"always": "learn.loss > -1000 for 2"})
    trainer = trainer_of(settings)
    trainer.callback_manager.add(StopAfter(2))
    assert not trainer.run_training_loop()
    trainer_of(settings, resume=trainer.run_artifact_dir).run_training_loop()
    run = Path(trainer.run_artifact_dir)
    log = (run / "train.log").read_text()
    assert log.count("alert always: learn.loss is ") == 1
    assert log.count("alert always stands since before") == 1
    read = read_events(run / "tensorboard")
    assert [value for _, value in curves(read)["alerts/always"]] == [1.0]
    (text,) = read.Tensors("alerts/always/text_summary")
    assert b"the rule: learn.loss > -1000 for 2" in text.tensor_proto.string_val[0]


def test_a_run_that_fails_raises_an_alert(tmp_path: Path) -> None:
    class Fails(Callback):
        essential = True

        def on_update_end(self, snapshot: Snapshot) -> None:
            raise RuntimeError("broken")

    said = tmp_path / "said"
    settings = with_alerts(tmp_path, command=["sh", "-c", f'echo "$ALERT_TEXT" > {said}'])
    trainer = trainer_of(settings)
    trainer.callback_manager.add(Fails())
    with pytest.raises(RuntimeError, match="broken"):
        trainer.run_training_loop()
    assert said.read_text() == "RuntimeError: broken\n"


def test_evaluations_that_are_given_up_raise_an_alert(tmp_path: Path) -> None:
    """By an engine that cannot be started: the run goes on, and somebody is told."""
    said = tmp_path / "said"
    settings = tiny_config(
        tmp_path,
        4 * PLIES,
        alerts=AlertsConfig(command=["sh", "-c", f'echo "$ALERT_NAME: $ALERT_TEXT" >> {said}']),
        evaluation=EvaluationConfig(interval=PLIES, games=2, opponents=["dies=usi:false"]),
    )
    trainer = trainer_of(settings)
    assert trainer.run_training_loop()
    told = [line for line in said.read_text().splitlines() if DISABLED in line]
    expected = (
        f"{DISABLED}: callback evaluation is not called any more; it failed with EngineCrashed"
    )
    assert len(told) == 1 and told[0].startswith(expected), told
    log = Path(trainer.log_file_path).read_text()
    assert "ERROR keisei.training.callback_manager: callback evaluation is disabled" in log
    marks = curves(read_events(Path(trainer.run_artifact_dir) / "tensorboard"))
    assert [value for _, value in marks[f"alerts/{DISABLED}"]] == [1.0]


@pytest.mark.parametrize("word", ["/nowhere/program", "echo --told"])
def test_a_command_that_is_not_there_is_refused_before_a_file_is_made(
    tmp_path: Path, word: str
) -> None:
    with pytest.raises(ConfigError, match=f"alerts.command: expected a program .*, got '{word}'"):
        trainer_of(with_alerts(tmp_path, command=[word]))
    assert list(tmp_path.iterdir()) == []


def test_the_disk_is_watched(tmp_path: Path) -> None:
    trainer = trainer_of(with_alerts(tmp_path, rules={"disk-space": "resources.disk_free_gb >= 0"}))
    trainer.run_training_loop()
    assert "alert disk-space: resources.disk_free_gb is " in Path(trainer.log_file_path).read_text()


def test_rules_are_judged_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "alerts:\n  rules:\n    good: learn.entropy < 0.1 for 20\n    slow: none\n"
        "    bad: learn.entropy under 3\n    a/b: x < 1\n  command: [notify, 5]\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment={})
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{path}:5: alerts.rules.bad: expected METRIC [/ METRIC] <|<=|>|>= ")
    assert lines[0].endswith("got 'learn.entropy under 3'")
    assert lines[1].startswith(f"{path}:6: alerts.rules.a/b: expected a name of letters, digits ")
    assert lines[2] == f"{path}:7: alerts.command.1: expected a valid string, got 5"
    path.write_text("alerts:\n  command_timeout: 3.0\n")
    with pytest.raises(ConfigError, match=r"nothing reads it while alerts\.command is"):
        load_config(path, environment={})
