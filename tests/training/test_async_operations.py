"""What is awaited goes on beside training, gives up when cancelled, and fails aloud."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from plugin_samples import FirstLegal
from run_helpers import PLIES, assert_same_run, screen, tiny_config, trainer_of
from torch import Tensor

from keisei.core.model_file import list_checkpoints, load_model
from keisei.evaluation.match import MatchCancelledError
from keisei.training import EnhancedTrainer
from keisei.training.callbacks import Callback, Snapshot
from keisei.training.checkpoint import load_checkpoint
from keisei.training.checkpoint_writer import CheckpointWriteError
from keisei.utils.plugins import PluginError

PATIENCE = 60.0  # seconds; only what is broken waits so long


class Gate(Callback):
    """Stops the run after an iteration until somebody opens it."""

    name = "gate"

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration
        self.reached, self.open = threading.Event(), threading.Event()

    def on_update_end(self, snapshot: Snapshot) -> None:
        if snapshot.iteration == self.iteration:
            self.reached.set()
            assert self.open.wait(PATIENCE), "nobody opened the gate"


async def happens(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, PATIENCE), "it never happened"


def run(main: Callable[[], Awaitable[Any]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(main(), 2 * PATIENCE)

    asyncio.run(bounded())


class Waiting(FirstLegal):
    """An opponent that makes no move before the run is three iterations further."""

    asked = threading.Event()
    further = threading.Event()

    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        self.asked.set()
        assert self.further.wait(PATIENCE), "training did not go on meanwhile"
        return super().choose(positions, mask, asked)


@pytest.fixture(autouse=True)
def fresh_events() -> Iterator[None]:
    Waiting.asked.clear(), Waiting.further.clear()
    yield
    Waiting.further.set()


def enhanced(root: Path, total: int = 6 * PLIES, **given: Any) -> EnhancedTrainer:
    return EnhancedTrainer(tiny_config(root, total), None, console=screen(), **given)


def test_a_run_is_the_same_with_what_goes_on_beside_it(tmp_path: Path) -> None:
    plain = trainer_of(tiny_config(tmp_path / "plain", 8 * PLIES))
    plain.run_training_loop()
    trainer = enhanced(tmp_path / "beside", 8 * PLIES, plugins=[Waiting])
    first, last = Gate(2), Gate(6)

    class Further(Callback):
        def on_update_end(self, snapshot: Snapshot) -> None:
            if snapshot.iteration == 5:
                Waiting.further.set()

    for callback in (first, Further(), last):
        trainer.callback_manager.add(callback, order=-1)

    async def main() -> None:
        operations = trainer.async_operations
        training = asyncio.create_task(operations.train())
        await happens(first.reached)
        evaluating = asyncio.create_task(operations.evaluate())
        saving = asyncio.create_task(operations.save_checkpoint())
        await asyncio.sleep(0)  # both ask now
        first.open.set()
        await happens(last.reached)
        result = await evaluating
        path = await saving
        last.open.set()
        assert await training
        taken = load_model(path).manifest["step"]
        assert taken == result.step < trainer.state.step
        assert [one.opponent for one in result.results] == ["random", "Waiting"]
        assert load_checkpoint(path)[1].values["iteration"] == 2

    run(main)
    assert_same_run(trainer, plain)


def test_an_evaluation_is_of_the_moment_it_was_asked_in(tmp_path: Path) -> None:
    trainer = enhanced(tmp_path)
    evaluated: list[dict[str, Tensor]] = []
    prepare = trainer.evaluator.network_now

    def watched() -> Any:
        network = prepare()
        evaluated.append({name: t.clone() for name, t in network.state_dict().items()})
        evaluated.append(network.state_dict())
        return network

    trainer.evaluator.network_now = watched  # type: ignore[method-assign]
    gate = Gate(1)
    trainer.callback_manager.add(gate, order=-1)

    async def main() -> None:
        training = asyncio.create_task(trainer.async_operations.train())
        await happens(gate.reached)
        evaluating = asyncio.create_task(trainer.async_operations.evaluate())
        await asyncio.sleep(0)
        gate.open.set()
        await evaluating
        await training

    run(main)
    before, after = evaluated
    trained = trainer.agent.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any(not torch.equal(before[name], trained[name]) for name in before)


def test_callbacks_are_told_of_what_was_found(tmp_path: Path) -> None:
    trainer, told = enhanced(tmp_path), []

    class Told(Callback):
        def on_evaluation(self, snapshot: Snapshot) -> None:
            told.append((snapshot.data["result"], threading.current_thread().name))

    start, end = Gate(1), Gate(3)
    for callback in (start, end, Told()):
        trainer.callback_manager.add(callback, order=-1)

    async def main() -> None:
        training = asyncio.create_task(trainer.async_operations.train())
        await happens(start.reached)
        evaluating = asyncio.create_task(trainer.async_operations.evaluate())
        await asyncio.sleep(0)
        start.open.set()
        result = await evaluating
        await happens(end.reached)
        end.open.set()
        await training
        assert [one for one, _ in told] == [result]

    run(main)


def test_while_nothing_trains_a_request_is_served_at_once(tmp_path: Path) -> None:
    trainer = enhanced(tmp_path)

    async def main() -> None:
        operations = trainer.async_operations
        path, result = await asyncio.gather(operations.save_checkpoint(), operations.evaluate())
        assert load_model(path).manifest["step"] == result.step == 0
        assert await operations.train()
        path = await operations.save_checkpoint()
        assert load_model(path).manifest["step"] == trainer.state.step
        assert path == list_checkpoints(Path(trainer.model_dir))[-1]

    run(main)


def test_a_cancelled_evaluation_stops(tmp_path: Path) -> None:
    trainer, gate = enhanced(tmp_path, plugins=[Waiting]), Gate(3)
    first = Gate(1)
    for callback in (first, gate):
        trainer.callback_manager.add(callback, order=-1)
    ended: list[BaseException] = []
    prepare = trainer.evaluator.prepare

    def watched(step: int) -> Any:
        evaluation = prepare(step)

        def run_it(cancelled: Callable[[], bool]) -> Any:
            try:
                return evaluation(cancelled)
            except BaseException as error:
                ended.append(error)
                raise

        return run_it

    trainer.async_operations = None  # type: ignore[assignment]
    trainer.evaluator.prepare = watched  # type: ignore[method-assign]
    (old,) = [c for c in trainer.callback_manager.callbacks if c.name == "async operations"]
    trainer.callback_manager.remove(old)
    trainer.plugin_manager.opponents.clear()
    trainer._take_plugins()

    async def main() -> None:
        operations = trainer.async_operations
        training = asyncio.create_task(operations.train())
        await happens(first.reached)
        evaluating = asyncio.create_task(operations.evaluate())
        await asyncio.sleep(0)
        first.open.set()
        await happens(Waiting.asked)
        evaluating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await evaluating
        Waiting.further.set()
        await happens(gate.reached)
        gate.open.set()
        assert await training
        operations.close()

    run(main)
    assert len(ended) == 1 and isinstance(ended[0], MatchCancelledError)
    assert not Path(trainer.eval_log_file_path).exists()


def test_a_cancelled_request_that_was_not_taken_up_is_dropped(tmp_path: Path) -> None:
    trainer, gate = enhanced(tmp_path), Gate(1)
    trainer.callback_manager.add(gate, order=-1)

    async def main() -> None:
        operations = trainer.async_operations
        training = asyncio.create_task(operations.train())
        await happens(gate.reached)
        tasks = [
            asyncio.create_task(operations.save_checkpoint()),
            asyncio.create_task(operations.evaluate()),
        ]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in done)
        gate.open.set()
        assert await training
        operations.close()

    run(main)
    steps = [
        load_checkpoint(p)[1].values["iteration"] for p in list_checkpoints(Path(trainer.model_dir))
    ]
    assert 1 not in steps and not Path(trainer.eval_log_file_path).exists()


def test_cancelling_the_training_saves_it(tmp_path: Path) -> None:
    trainer, gate = enhanced(tmp_path, 10**6), Gate(2)
    trainer.callback_manager.add(gate)

    async def main() -> None:
        training = asyncio.create_task(trainer.async_operations.train())
        await happens(gate.reached)
        training.cancel()
        await asyncio.sleep(0)
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await training

    run(main)
    assert trainer.state.iteration == 2
    last = list_checkpoints(Path(trainer.model_dir))[-1]
    assert load_model(last).manifest["step"] == trainer.state.step
    # What stopped one training stops nothing that comes after it.
    (old,) = [c for c in trainer.callback_manager.callbacks if isinstance(c, Gate)]
    trainer.callback_manager.remove(old)
    again = Gate(3)
    trainer.callback_manager.add(again)

    async def further() -> None:
        operations = trainer.async_operations
        assert (await operations.evaluate()).step == trainer.state.step
        assert trainer.execute_full_evaluation_run(trainer.state.step).games
        training = asyncio.create_task(operations.train())
        await happens(again.reached)
        training.cancel()
        await asyncio.sleep(0)
        again.open.set()
        with pytest.raises(asyncio.CancelledError):
            await training

    run(further)
    assert trainer.state.iteration == 3


def test_training_that_is_cancelled_before_it_begins_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = enhanced(tmp_path, 10**6)
    begins, may_begin = threading.Event(), threading.Event()
    real = trainer.run_training_loop

    def waits_first() -> bool:
        begins.set()
        assert may_begin.wait(PATIENCE)
        return real()

    monkeypatch.setattr(trainer, "run_training_loop", waits_first)

    async def main() -> None:
        training = asyncio.create_task(trainer.async_operations.train())
        await happens(begins)
        training.cancel()
        await asyncio.sleep(0)
        may_begin.set()
        with pytest.raises(asyncio.CancelledError):
            await training

    run(main)
    assert trainer.state.iteration == 0


def test_a_second_training_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    trainer, gate = enhanced(tmp_path), Gate(2)
    trainer.callback_manager.add(gate)

    async def main() -> None:
        operations = trainer.async_operations
        training = asyncio.create_task(operations.train())
        await happens(gate.reached)
        with pytest.raises(RuntimeError, match="this run trains already"):
            await operations.train()
        saving = asyncio.create_task(operations.save_checkpoint())
        await asyncio.sleep(0)
        assert not saving.done(), "a request is still to wait for a safe point"
        gate.open.set()
        assert await training and (await saving).is_dir()

    run(main)
    plain = trainer_of(tiny_config(tmp_path / "plain"))
    plain.run_training_loop()
    assert_same_run(trainer, plain)


def test_whatever_fails_beside_a_request_the_request_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking after writes fails in each iteration, and telling of what was evaluated too."""
    trainer, gates = enhanced(tmp_path, 10 * PLIES), [Gate(1), Gate(6)]
    for gate in gates:
        trainer.callback_manager.add(gate, order=-1)

    def fail(*_: object) -> None:
        raise TypeError("out of order")

    operations = trainer.async_operations
    broken = dataclasses.replace(operations._operations, published=fail, record=fail)
    monkeypatch.setattr(operations, "_operations", broken)

    async def main() -> None:
        training = asyncio.create_task(operations.train())
        for gate in gates:  # the second comes after more failures than a callback may have
            await happens(gate.reached)
            saving = asyncio.create_task(operations.save_checkpoint())
            await asyncio.sleep(0)
            gate.open.set()
            with pytest.raises(TypeError, match="out of order"):
                await saving
        assert await training
        assert trainer.callback_manager.disabled == ()

    run(main)


def test_a_run_that_ends_without_a_word_answers_what_waits(tmp_path: Path) -> None:
    class Worse(Callback):
        essential = True

        def on_finish(self, snapshot: Snapshot) -> None:
            raise OSError("no end")

    trainer, gate = enhanced(tmp_path), Gate(5)
    trainer.callback_manager.add(gate, order=100)
    trainer.callback_manager.add(Worse(), order=-1)

    async def main() -> None:
        training = asyncio.create_task(trainer.async_operations.train())
        await happens(gate.reached)
        saving = asyncio.create_task(trainer.async_operations.save_checkpoint())
        await asyncio.sleep(0)
        trainer.callback_manager.stop_reason = "the test"
        gate.open.set()
        with pytest.raises(OSError, match="no end"):
            await training
        assert (await saving).is_dir()

    run(main)


class Losing(FirstLegal):
    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        raise KeyError("book")


def test_a_failure_is_raised_where_it_is_awaited(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = enhanced(tmp_path, plugins=[Losing])

    async def main() -> None:
        with pytest.raises(PluginError, match="opponent 'Losing': choose failed: KeyError: 'book'"):
            await trainer.async_operations.evaluate()

    with caplog.at_level(logging.ERROR, logger="keisei"):
        run(main)
    assert "an evaluation failed: PluginError: opponent 'Losing'" in caplog.text


def test_a_failed_write_is_raised_where_it_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, gate = enhanced(tmp_path), Gate(1)
    trainer.callback_manager.add(gate, order=-1)

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("keisei.training.checkpoint_writer.write_rank_files", fail)

    async def main() -> None:
        training = asyncio.create_task(trainer.async_operations.train())
        await happens(gate.reached)
        saving = asyncio.create_task(trainer.async_operations.save_checkpoint())
        await asyncio.sleep(0)
        gate.open.set()
        with pytest.raises(CheckpointWriteError, match="no space left"):
            await saving
        with pytest.raises(CheckpointWriteError, match="no space left"):
            await training

    run(main)


def test_after_a_failure_in_an_iteration_there_is_no_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = enhanced(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(trainer.agent, "learn", fail)

    async def main() -> None:
        operations = trainer.async_operations
        with pytest.raises(RuntimeError, match="out of luck"):
            await operations.train()
        for operation in (operations.save_checkpoint, operations.evaluate):
            with pytest.raises(RuntimeError, match="failed in the middle of an iteration"):
                await operation()

    run(main)


@pytest.mark.gpu
def test_an_evaluation_beside_training_spoils_no_recording(tmp_path: Path) -> None:
    """The first iterations record CUDA graphs; what another thread does then is no part of them."""
    settings = tiny_config(tmp_path, 40 * PLIES)
    training = settings.training.model_copy(update={"device": "cuda", "compile": "auto"})
    trainer = EnhancedTrainer(
        settings.model_copy(update={"training": training}), None, console=screen()
    )

    async def main() -> None:
        operations = trainer.async_operations
        training = asyncio.create_task(operations.train())
        while not training.done():
            await operations.evaluate()
        assert await training

    run(main)
    assert trainer.step_manager._collector.recorded, "expected the rollout to be one graph"
    assert trainer.agent._step.recorded, "expected the gradient step to be one graph"
