"""Order, schedule and isolation of callbacks."""

from __future__ import annotations

import asyncio
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import plugin_samples
import pytest
import torch

from keisei.config_schema import AppConfig, PluginsConfig
from keisei.training.callback_manager import CallbackManager
from keisei.training.callbacks import Callback, Event, Schedule, Snapshot, StopTraining
from keisei.utils.plugins import PluginError


class Clock:
    """Shows what it is set to, from any beginning."""

    shows = 7000.0

    def __call__(self) -> float:
        return self.shows


def manager(**settings: Any) -> CallbackManager:
    return CallbackManager(AppConfig(), Path("runs/a/checkpoints"), **settings)


def tell(to: CallbackManager, event: Event, step: int = 0, seconds: float = 0.0) -> None:
    to.fire(event, to.snapshot(event, iteration=step, step=step, seconds=seconds))


class Noted(Callback):
    """Writes down every call."""

    def __init__(self, log: list[Any], name: str = "noted") -> None:
        self.log, self.name = log, name

    def _note(self, snapshot: Snapshot) -> None:
        self.log.append((self.name, snapshot.event, snapshot.step))

    on_start = on_rollout_end = on_game_end = on_update_end = _note
    on_live_game = on_evaluation = on_checkpoint = on_exception = on_finish = _note


class Failing(Callback):
    name = "the bad one"

    def __init__(self, times: int = 10**9, error: BaseException | None = None) -> None:
        self.calls, self.times, self.error = 0, times, error or ZeroDivisionError("by naught")

    def on_update_end(self, snapshot: Snapshot) -> None:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error


def test_every_event_reaches_its_method_with_the_snapshot() -> None:
    log: list[Any] = []
    to = manager()
    to.add(Noted(log))
    for step, event in enumerate(Event, start=1):
        tell(to, event, step)
    assert log == [("noted", event, step) for step, event in enumerate(Event, start=1)]
    taken = to.snapshot(Event.START, iteration=0, step=0, seconds=0.0)
    assert taken.run_dir == Path("runs/a")
    with pytest.raises(ValueError, match=r"expected one of Event\.FINISH, got one of Event\.START"):
        to.fire(Event.FINISH, taken)


def test_the_order_is_the_given_one_then_that_of_adding() -> None:
    log: list[Any] = []
    to = manager()
    for name, order in (("c", 1), ("a", -1), ("d", 1), ("b", 0)):
        to.add(Noted(log, name), order=order)
    tell(to, Event.UPDATE_END)
    assert [name for name, *_ in log] == ["a", "b", "c", "d"]
    to.remove(to.callbacks[1])
    tell(to, Event.FINISH)
    assert [name for name, *_ in log[4:]] == ["a", "c", "d"]


def test_a_schedule_fires_once_an_interval_and_thins_only_what_comes_each_iteration() -> None:
    log: list[Any] = []
    to = manager()
    to.add(Noted(log), Schedule(every_steps=100))
    tell(to, Event.START)
    for step in (60, 99, 101, 150, 420, 500, 501):
        tell(to, Event.ROLLOUT_END, step)
        tell(to, Event.UPDATE_END, step)
        tell(to, Event.CHECKPOINT, step)
    for event in (Event.ROLLOUT_END, Event.UPDATE_END):
        assert [step for _, e, step in log if e is event] == [101, 420, 500]
    assert [step for _, e, step in log if e is Event.CHECKPOINT] == [
        60,
        99,
        101,
        150,
        420,
        500,
        501,
    ]


def test_a_resumed_run_goes_on_with_the_same_intervals() -> None:
    log: list[Any] = []
    clock = Clock()
    to = manager(clock=clock)
    to.add(Noted(log), Schedule(every_steps=100, every_seconds=60))
    tell(to, Event.START, 230, 59.0)
    assert not to.listening(Event.UPDATE_END, step=299)
    # The clock goes on while the run does neither play nor learn.
    for step, passed in ((240, 0.5), (250, 2.0), (310, 11.0), (399, 60.0)):
        clock.shows = 7000.0 + passed
        assert to.listening(Event.UPDATE_END, step=step) == (step in (250, 310))
        tell(to, Event.UPDATE_END, step, 59.0)
    assert [step for _, event, step in log if event is Event.UPDATE_END] == [250, 310]


def test_a_failing_callback_is_named_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    log: list[Any] = []
    to, bad = manager(), Failing()
    to.add(Noted(log, "before"))
    to.add(bad)
    to.add(Noted(log, "after"))
    with caplog.at_level(logging.ERROR):
        for step in range(5):
            tell(to, Event.UPDATE_END, step)
    assert [name for name, *_ in log] == ["before", "after"] * 5
    assert bad.calls == 3 and to.disabled == ("the bad one",)
    assert (
        "callback the bad one failed at update_end, step 0 (1 in a row): by naught" in caplog.text
    )
    assert "ZeroDivisionError" in caplog.text, "expected the traceback"
    assert caplog.text.count("the bad one is disabled: it failed 3 times in a row") == 1


def test_failures_count_only_in_a_row() -> None:
    class Every(Callback):
        calls = 0

        def on_update_end(self, snapshot: Snapshot) -> None:
            self.calls += 1
            if self.calls % 3:
                raise ValueError("two of three")

    to, bad = manager(), Every()
    to.add(bad)
    for step in range(30):
        tell(to, Event.UPDATE_END, step)
    assert bad.calls == 30 and to.disabled == ()


def test_failures_count_event_by_event() -> None:
    class OneEvent(Failing):
        def on_rollout_end(self, snapshot: Snapshot) -> None:
            """Always goes well."""

    to, bad = manager(), OneEvent()
    to.add(bad)
    for step in range(5):
        tell(to, Event.ROLLOUT_END, step)
        tell(to, Event.UPDATE_END, step)
    assert bad.calls == 3 and to.disabled == ("the bad one",)


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError(), GeneratorExit()])
def test_what_is_no_exception_harms_nobody_either(error: BaseException) -> None:
    log: list[Any] = []
    to = manager()
    to.add(Failing(error=error))
    to.add(Noted(log))
    for step in range(4):
        tell(to, Event.UPDATE_END, step)
    assert len(log) == 4 and to.disabled == ("the bad one",)


def test_order_and_schedule_may_be_the_callbacks_own() -> None:
    log: list[Any] = []
    to = manager()
    early, late = Noted(log, "early"), Noted(log, "late")
    early.order, early.schedule = -1, Schedule(every_steps=100)
    to.add(late)
    to.add(early)
    for step in (50, 100):
        tell(to, Event.UPDATE_END, step)
    assert [(name, step) for name, _, step in log] == [("late", 50), ("early", 100), ("late", 100)]
    again = Noted(log, "told otherwise")
    again.order, again.schedule = -1, Schedule(every_steps=100)
    to.add(again, Schedule(every_steps=7), order=3)
    log.clear()
    tell(to, Event.UPDATE_END, 105)
    assert [name for name, *_ in log] == ["late", "told otherwise"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("schedule", {"every_steps": 5}, "schedule: expected a Schedule, got {'every_steps': 5}"),
        ("order", "first", "order: expected a whole number, got 'first'"),
    ],
)
def test_a_plugin_of_the_configuration_says_when_it_is_called(
    monkeypatch: pytest.MonkeyPatch, name: str, value: Any, message: str
) -> None:
    config = AppConfig(plugins=PluginsConfig(callbacks=["plugin_samples:Counting"]))
    to = CallbackManager(config, Path("runs/a/checkpoints"))
    monkeypatch.setattr(plugin_samples.Counting, "updates", [])
    monkeypatch.setattr(plugin_samples.Counting, "order", 5)
    monkeypatch.setattr(plugin_samples.Counting, "schedule", Schedule(every_steps=100))
    to.add(Callback())
    to.add_plugins()
    assert isinstance(to.callbacks[1], plugin_samples.Counting)
    for step in (60, 130, 150, 240):
        tell(to, Event.UPDATE_END, step)
    assert plugin_samples.Counting.updates == [130, 240]
    monkeypatch.setattr(plugin_samples.Counting, name, value)
    with pytest.raises(PluginError, match=f"plugin_samples:Counting.*{message}"):
        to.add_plugins()


def test_an_attempt_to_change_a_snapshot_is_the_callbacks_failure() -> None:
    class Vandal(Callback):
        def on_update_end(self, snapshot: Snapshot) -> None:
            snapshot.metrics["learn.loss"] = 0.0  # type: ignore[index]

    seen: list[float] = []

    class Reader(Callback):
        def on_update_end(self, snapshot: Snapshot) -> None:
            seen.append(snapshot.metrics["learn.loss"])

    to = manager(max_failures=1)
    to.add(Vandal())
    to.add(Reader())
    metrics = {"learn.loss": 0.5}
    to.fire(
        Event.UPDATE_END,
        to.snapshot(Event.UPDATE_END, iteration=1, step=1, seconds=0.0, metrics=metrics),
    )
    assert seen == [0.5] and metrics == {"learn.loss": 0.5}
    assert len(to.disabled) == 1 and to.disabled[0].endswith("Vandal")


def test_draws_and_grad_mode_of_a_callback_are_its_own() -> None:
    class Drawing(Callback):
        def on_update_end(self, snapshot: Snapshot) -> None:
            random.seed(7), np.random.rand(3), torch.manual_seed(7)
            torch.set_grad_enabled(False)
            raise ValueError("and it fails")

    to = manager()
    to.add(Drawing())
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    tell(to, Event.UPDATE_END)
    assert torch.is_grad_enabled()
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_ctrl_c_and_essential_failures_pass_through() -> None:
    to = manager()
    to.add(Failing(error=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        tell(to, Event.UPDATE_END)

    to, saving = manager(), Failing(error=OSError("disk full"))
    saving.essential = True
    to.add(saving)
    for _ in range(4):
        with pytest.raises(OSError, match="disk full"):
            tell(to, Event.UPDATE_END)
    assert to.disabled == ()


def test_an_essential_failure_passes_through_the_callback_that_told_it() -> None:
    class Saving(Callback):
        essential = True

        def on_evaluation(self, snapshot: Snapshot) -> None:
            raise OSError("disk full")

    class Evaluating(Callback):
        def on_update_end(self, snapshot: Snapshot) -> None:
            to.fire(Event.EVALUATION, snapshot.of(Event.EVALUATION))

    to = manager()
    to.add(Evaluating())
    to.add(Saving())
    with pytest.raises(OSError, match="disk full"):
        tell(to, Event.UPDATE_END)


def test_a_callback_may_ask_the_run_to_end(caplog: pytest.LogCaptureFixture) -> None:
    log: list[Any] = []
    to = manager()
    to.add(Failing(error=StopTraining("good enough")))
    to.add(Noted(log))
    assert to.stop_reason is None
    tell(to, Event.UPDATE_END)
    assert to.stop_reason == "the bad one: good enough"
    assert log and to.disabled == ()
    assert "callback the bad one asks the run to end: good enough" in caplog.text


def test_other_ranks_call_only_what_every_rank_takes_part_in() -> None:
    log: list[Any] = []
    to = manager(is_main=False, ranks=2)
    together = Noted(log, "together")
    together.every_rank = True
    to.add(Noted(log, "alone"))
    assert not to.listening(Event.GAME_END, step=1)
    to.add(together, Schedule(every_steps=1))
    tell(to, Event.UPDATE_END, 1)
    assert [name for name, *_ in log] == ["together"]
    other = Noted(log, "timed")
    other.every_rank = True
    with pytest.raises(ValueError, match=r"callback timed: all 2 ranks .* got one in seconds"):
        to.add(other, Schedule(every_seconds=5))


def test_only_callbacks_are_taken_and_only_once() -> None:
    to, one = manager(), Callback()
    with pytest.raises(TypeError, match="callback: expected a Callback, got <class"):
        to.add(Callback)  # type: ignore[arg-type]
    to.add(one)
    with pytest.raises(ValueError, match=r"callback keisei\.training\.callbacks\.Callback: .*once"):
        to.add(one)
    to.remove(one)
    with pytest.raises(ValueError, match="expected one that was added"):
        to.remove(one)
