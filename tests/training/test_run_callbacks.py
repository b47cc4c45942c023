"""Callbacks, plugins and evaluations in whole runs; what they do to the run: nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import plugin_samples
import pytest
import torch
from plugin_samples import FirstLegal, TinyNetwork
from run_helpers import PLIES, assert_same_run, tiny_config, trainer_of
from torch import Tensor

from keisei.config_schema import AppConfig, EvaluationConfig, ModelConfig, PluginsConfig
from keisei.core.model_file import list_checkpoints, load_model
from keisei.export import export_checkpoint
from keisei.training import Trainer
from keisei.training.callbacks import Callback, Event, Schedule, Snapshot, StopTraining
from keisei.training.component_timing import ComponentTimes
from keisei.utils.plugins import PluginError


@pytest.fixture
def plain(tmp_path: Path) -> Trainer:
    trainer = trainer_of(tiny_config(tmp_path / "plain"))
    trainer.run_training_loop()
    return trainer


class Noted(Callback):
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.snapshots: list[Snapshot] = []

    def _note(self, snapshot: Snapshot) -> None:
        self.events.append(snapshot.event)
        self.snapshots.append(snapshot)

    on_start = on_rollout_end = on_game_end = on_update_end = _note
    on_evaluation = on_checkpoint = on_exception = on_finish = _note


def test_the_events_of_a_run(tmp_path: Path) -> None:
    trainer = trainer_of(
        tiny_config(tmp_path, evaluation=EvaluationConfig(interval=3 * PLIES, games=2))
    )
    noted = Noted()
    trainer.callback_manager.add(noted, order=100)
    assert trainer.run_training_loop()
    events, iterations = noted.events, trainer.state.iteration
    assert events[0] is Event.START and events[-1] is Event.FINISH
    assert events.count(Event.ROLLOUT_END) == events.count(Event.UPDATE_END) == iterations
    assert events.count(Event.EVALUATION) == trainer.state.step // (3 * PLIES) == 2
    assert events.count(Event.CHECKPOINT) >= 1
    assert noted.snapshots[-1].data == {"done": True}
    for snapshot in noted.snapshots:
        assert snapshot.run_dir == tmp_path / "run"
        if snapshot.event is Event.CHECKPOINT:
            assert (snapshot.data["path"] / "checkpoint.json").is_file()
        if snapshot.event is Event.EVALUATION:
            assert snapshot.data["result"].results[0].opponent == "random"
            assert snapshot.data["result"].step == snapshot.step
    updates = [s for s in noted.snapshots if s.event is Event.UPDATE_END]
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    for snapshot, line in zip(updates, map(json.loads, lines), strict=True):
        assert snapshot.iteration == line["iteration"] and snapshot.step == line["step"]
        assert snapshot.metrics["learn.entropy"] == line["learn.entropy"]


def test_every_game_that_ended_is_told_once(tmp_path: Path) -> None:
    trainer = trainer_of(tiny_config(tmp_path))
    noted = Noted()
    trainer.callback_manager.add(noted)
    trainer.run_training_loop()
    told = [s.data["games"] for s in noted.snapshots if s.event is Event.GAME_END]
    totals = trainer.state.totals
    assert sum(map(len, told)) == totals["games"] > 0
    assert sum(int(games.length.sum()) for games in told) == totals["game_plies"]
    with pytest.raises(ValueError, match="read-only"):
        told[0].length[0] = 1


def test_games_are_not_read_when_nobody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(tiny_config(tmp_path, 2 * PLIES))

    def refuse() -> None:
        raise AssertionError("nobody listens to GAME_END")

    monkeypatch.setattr(trainer.step_manager._ended_games, "copy", refuse)
    trainer.run_training_loop()


def test_evaluations_disturb_nothing(tmp_path: Path, plain: Trainer) -> None:
    """Bit for bit: weights, optimiser, games, counters and every random generator."""
    settings = tiny_config(
        tmp_path / "evaluated",
        evaluation=EvaluationConfig(interval=PLIES, games=3),
        plugins=PluginsConfig(opponents=["plugin_samples:Drawing"]),
    )
    trainer = trainer_of(settings)
    trainer.run_training_loop()
    log = Path(trainer.eval_log_file_path).read_text().splitlines()
    assert len(log) == trainer.state.step // PLIES >= 5
    for line in map(json.loads, log):
        assert list(line["opponents"]) == ["random", "plugin_samples:Drawing"]
        assert line["opponents"]["random"]["games"] == 3
    assert_same_run(trainer, plain)


class Terminating(FirstLegal):
    """Asks the process to end in the middle of a match."""

    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().choose(positions, mask, asked)


def test_a_signal_ends_an_evaluation_and_the_run_is_saved(tmp_path: Path) -> None:
    evaluation = EvaluationConfig(interval=PLIES, games=2)
    trainer = trainer_of(tiny_config(tmp_path, 10**6, evaluation=evaluation))
    trainer.evaluator.add_opponent("terminating", Terminating)
    assert not trainer.run_training_loop()
    assert trainer.state.iteration <= 2
    assert not Path(trainer.eval_log_file_path).exists()
    log = Path(trainer.log_file_path).read_text()
    assert "no evaluation after" in log and "against terminating was asked to stop" in log
    last = list_checkpoints(Path(trainer.model_dir))[-1]
    assert load_model(last).manifest["step"] == trainer.state.step


@pytest.mark.gpu
@pytest.mark.usefixtures("determinism_as_before")
def test_evaluations_disturb_nothing_on_a_gpu(tmp_path: Path) -> None:
    """Over the iterations that compile, record graphs and start them."""
    runs = []
    for name, interval in (("plain", None), ("evaluated", PLIES)):
        evaluation = EvaluationConfig(
            interval=interval, games=3, opponents=["random", "one-ply"], earlier=2
        )
        settings = tiny_config(tmp_path / name, 20 * PLIES, evaluation=evaluation)
        training = {"device": "cuda", "compile": "auto", "deterministic": True}
        training = settings.training.model_copy(update=training)
        runs.append(trainer_of(settings.model_copy(update={"training": training})))
        runs[-1].run_training_loop()
    assert_same_run(runs[1], runs[0])


class Troubled(Callback):
    """Draws, seeds, tries to change what it gets, and fails."""

    name = "troubled"

    def on_rollout_end(self, snapshot: Snapshot) -> None:
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        torch.set_grad_enabled(False)

    def on_game_end(self, snapshot: Snapshot) -> None:
        snapshot.data["games"].winner[:] = 0

    def on_update_end(self, snapshot: Snapshot) -> None:
        random.random(), np.random.rand(), torch.rand(3)
        snapshot.metrics["learn.loss"] = 0.0  # type: ignore[index]


def test_a_failing_callback_changes_no_bit(tmp_path: Path, plain: Trainer) -> None:
    trainer = trainer_of(tiny_config(tmp_path / "troubled"))
    trainer.callback_manager.add(Troubled())
    assert trainer.run_training_loop()
    log = Path(trainer.log_file_path).read_text()
    assert "callback troubled failed at update_end" in log
    assert "TypeError: 'mappingproxy' object does not support item assignment" in log
    assert_same_run(trainer, plain)


def test_a_callback_can_end_the_run_which_is_saved(tmp_path: Path) -> None:
    class Enough(Callback):
        name = "enough"

        def on_update_end(self, snapshot: Snapshot) -> None:
            if snapshot.iteration == 2:
                raise StopTraining("it plays well")

    trainer = trainer_of(tiny_config(tmp_path, 10**6))
    trainer.callback_manager.add(Enough())
    assert not trainer.run_training_loop()
    assert trainer.state.iteration == 2
    assert (
        "callback enough asks the run to end: it plays well"
        in Path(trainer.log_file_path).read_text()
    )
    last = list_checkpoints(Path(trainer.model_dir))[-1]
    assert load_model(last).manifest["step"] == trainer.state.step


def test_a_run_that_was_stopped_goes_on_when_it_is_asked_to(tmp_path: Path) -> None:
    class Once(Callback):
        name = "once"
        asked = False

        def on_update_end(self, snapshot: Snapshot) -> None:
            if not self.asked:
                self.asked = True
                os.kill(os.getpid(), signal.SIGTERM)
                raise StopTraining("a rest")

    trainer = trainer_of(tiny_config(tmp_path))
    trainer.callback_manager.add(Once())
    assert not trainer.run_training_loop()
    assert trainer.callback_manager.stop_reason == "once: a rest"
    assert trainer.execute_full_evaluation_run(trainer.state.step).games
    assert trainer.run_training_loop()
    assert trainer.callback_manager.stop_reason is None


def test_a_second_loop_at_once_is_refused(tmp_path: Path) -> None:
    refused: list[str] = []

    class Again(Callback):
        def on_update_end(self, snapshot: Snapshot) -> None:
            try:
                trainer.run_training_loop()
            except RuntimeError as error:
                refused.append(str(error))

    trainer = trainer_of(tiny_config(tmp_path))
    trainer.callback_manager.add(Again())
    assert trainer.run_training_loop()
    text = "run_training_loop: expected one at a time, this run trains already"
    assert refused == [text] * trainer.state.iteration


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
def test_a_callback_that_quits_does_not_end_the_run(tmp_path: Path, error: BaseException) -> None:
    class Quits(Callback):
        def on_update_end(self, snapshot: Snapshot) -> None:
            raise error

    trainer = trainer_of(tiny_config(tmp_path))
    trainer.callback_manager.add(Quits())
    assert trainer.run_training_loop()


def test_evaluations_and_checkpoints_have_times_of_their_own(tmp_path: Path) -> None:
    settings = tiny_config(tmp_path, evaluation=EvaluationConfig(interval=PLIES, games=2))
    trainer = trainer_of(settings)
    outer = ComponentTimes.measure
    inside: list[list[str]] = []
    stack: list[str] = []

    @contextlib.contextmanager
    def watched(self: ComponentTimes, part: str) -> Iterator[None]:
        stack.append(part)
        inside.append([*stack])
        try:
            with outer(self, part):
                yield
        finally:
            stack.pop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ComponentTimes, "measure", watched)
        trainer.run_training_loop()
    assert ["callbacks", "evaluation"] in inside and ["callbacks", "checkpoint"] in inside
    last = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert last["time.evaluation_seconds"] > 0 and last["time.checkpoint_seconds"] > 0
    assert "time.callbacks_seconds" in last


def test_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(tiny_config(tmp_path))
    noted = Noted()
    trainer.callback_manager.add(noted)

    def fail(*_: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(trainer.agent, "learn", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        trainer.run_training_loop()
    (told,) = [s for s in noted.snapshots if s.event is Event.EXCEPTION]
    assert told.data["type"] == "RuntimeError" and told.data["message"] == "out of luck"
    assert "out of luck" in told.data["traceback"]
    assert noted.snapshots[-1].event is Event.FINISH and not noted.snapshots[-1].data["done"]


def test_a_schedule_goes_on_after_a_resume(tmp_path: Path) -> None:
    def run(settings: AppConfig, resume: str | None = None) -> tuple[Trainer, list[int]]:
        trainer = trainer_of(settings, resume)
        noted = Noted()
        trainer.callback_manager.add(noted, Schedule(every_steps=50))
        trainer.run_training_loop()
        steps = [s.step for s in noted.snapshots if s.event is Event.UPDATE_END]
        return trainer, steps

    _, whole = run(tiny_config(tmp_path / "whole", 10 * PLIES))
    half, first = run(tiny_config(tmp_path / "half", 4 * PLIES))
    _, second = run(tiny_config(tmp_path / "half", 10 * PLIES), resume=half.run_artifact_dir)
    assert first + second == whole and first and second
    assert len(whole) == whole[-1] // 50, "each interval fires once"


def test_plugins_by_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_samples.Counting, "updates", [])
    settings = tiny_config(
        tmp_path,
        model=ModelConfig(type="plugin_samples:TinyNetwork", options={"width": 5}),
        evaluation=EvaluationConfig(interval=PLIES, games=2),
        plugins=PluginsConfig(
            modules=["plugin_samples"],
            callbacks=["plugin_samples:Counting"],
            opponents=["plugin_samples:FirstLegal"],
        ),
    )
    trainer = trainer_of(settings)
    assert isinstance(trainer.model, TinyNetwork) and trainer.model.stem.out_channels == 5
    trainer.run_training_loop()
    log = Path(trainer.log_file_path).read_text()
    assert "network: plugin_samples:TinyNetwork, width 5, 778 weights" in log
    assert len(plugin_samples.Counting.updates) == trainer.state.iteration
    line = json.loads(Path(trainer.eval_log_file_path).read_text().splitlines()[0])
    assert list(line["opponents"]) == ["random", "plugin_samples:FirstLegal"]

    last = list_checkpoints(Path(trainer.model_dir))[-1]
    rebuilt = load_model(last).network()
    assert isinstance(rebuilt, TinyNetwork)
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(rebuilt.state_dict()[name], tensor)
    export_checkpoint(last, tmp_path / "policy.pt")
    further = trainer_of(
        settings.model_copy(
            update={"training": settings.training.model_copy(update={"total_timesteps": 8 * PLIES})}
        ),
        resume=trainer.run_artifact_dir,
    )
    assert isinstance(further.model, TinyNetwork) and further.resumed_from_checkpoint
    further.run_training_loop()
    assert further.state.step >= 8 * PLIES


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"plugins": PluginsConfig(callbacks=["plugin_samples:NeedsMore"])}, "NeedsMore"),
        ({"plugins": PluginsConfig(modules=["no_such_module"])}, "no_such_module"),
        (
            {
                "evaluation": EvaluationConfig(interval=PLIES),
                "plugins": PluginsConfig(opponents=["plugin_samples:Counting"]),
            },
            "Counting",
        ),
        ({"model": ModelConfig(type="plugin_samples:FirstLegal")}, "FirstLegal"),
    ],
)
def test_a_bad_plugin_is_refused_before_anything_is_made(
    tmp_path: Path, sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(PluginError, match=message):
        trainer_of(tiny_config(tmp_path / "runs", **sections))
    assert not (tmp_path / "runs").exists()


def test_the_best_by_evaluation_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from keisei.evaluation.match import MatchResult
    from keisei.evaluation.scores import Pairs, Score
    from keisei.training import run_evaluator

    scores = iter((3, 9, 1, 2, 5, 4))
    ask = run_evaluator.execute_full_evaluation_run

    def scored(*args: Any, **kwargs: Any) -> Any:
        result = ask(*args, **kwargs)
        from dataclasses import replace

        wins = next(scores)
        won = MatchResult(Score(wins, 0, 10 - wins), Score(), {}, 1.0, Pairs())
        return replace(result, results=(replace(result.results[0], result=won),))

    monkeypatch.setattr(run_evaluator, "execute_full_evaluation_run", scored)
    settings = tiny_config(tmp_path, evaluation=EvaluationConfig(interval=PLIES, games=1))
    logging = settings.logging.model_copy(update={"keep_checkpoints": 1, "keep_best": 1})
    trainer = trainer_of(settings.model_copy(update={"logging": logging}))
    trainer.run_training_loop()
    kept = list_checkpoints(Path(trainer.model_dir))
    second = [
        json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    ]
    best = next(line["step"] for line in second if line["step"] >= 2 * PLIES)
    assert [load_model(one).manifest["step"] for one in kept] == [best, trainer.state.step]
