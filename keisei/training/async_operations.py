"""Operations on a run that may be awaited, and go on beside training."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from keisei.evaluation.evaluate import EvaluationResult
from keisei.training.callbacks import Callback, Event, Snapshot
from keisei.training.checkpoint_writer import CheckpointWriteError

_log = logging.getLogger(__name__)

T = TypeVar("T")
Evaluation = Callable[[Callable[[], bool]], EvaluationResult]


@dataclass
class _Request(Generic[T]):
    """Something asked for, and whether it is still wanted."""

    future: Future[T] = field(default_factory=Future)
    unwanted: threading.Event = field(default_factory=threading.Event)

    def succeed(self, value: T) -> None:
        with contextlib.suppress(InvalidStateError):  # it was cancelled
            self.future.set_result(value)

    def fail(self, what: str, error: BaseException) -> None:
        """Gives the error to whoever awaits, and to the log in case that nobody does."""
        if not self.unwanted.is_set():
            _log.error("%s failed: %s: %s", what, type(error).__name__, error)
        with contextlib.suppress(InvalidStateError):  # it was cancelled
            self.future.set_exception(error)


@dataclass(frozen=True)
class Operations:
    """What ``AsyncOperations`` is made from."""

    train: Callable[[], bool]
    """trains until the run ends; returns whether it is complete"""
    stop: Callable[[], None]
    """asks a run that trains to end"""
    between_iterations: Callable[[], bool]
    """whether the run stands where its state can be taken"""
    save: Callable[[bool], Path]
    """saves the run as it stands, unless that is saved; True: returns once it is on the disk"""
    published: Callable[[], Path | None]
    """the checkpoint that is on the disk since last"""
    raise_failure: Callable[[], None]
    """raises CheckpointWriteError if a checkpoint could not be written"""
    step: Callable[[], int]
    """where the run stands"""
    prepare_evaluation: Callable[[int], Evaluation]
    """copies the network; what it returns evaluates the copy in any thread"""
    record: Callable[[int, EvaluationResult], None]
    """keeps the result of an evaluation with the checkpoints; takes the step first"""
    announce: Callable[[Event, Snapshot], None]
    """tells the callbacks"""


class AsyncOperations(Callback):
    """Awaitable forms of what a run can do, from any event loop in any thread.

    While the run trains, a request is taken up at its next safe point, the end of an iteration:
    there the state is copied, and writing or evaluating goes on in other threads while training
    does. While it does not train, a request is taken up at once. Nothing of the run is changed by
    either: it goes on bit for bit as without.

    A task that is cancelled gives up its request: one that was not taken up is dropped, an
    evaluation stops before its next ply, a checkpoint that is being written is finished, since half
    of one is of no use, and nobody is told. What fails is raised where it is awaited, and logged.
    """

    name = "async operations"
    every_rank = True  # each knows whether its own rank trains
    draws = False
    # Only what is to end the run anyway comes through it; it is never disabled, or some would wait
    # for ever.
    essential = True

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._executor = ThreadPoolExecutor(2, thread_name_prefix="async-operation")
        self._lock = threading.RLock()  # held while the run's state is read, or who may changes
        self._training = False
        self._unwanted = False  # whether the training that was asked for last was cancelled
        self._saves: list[_Request[Path]] = []
        self._writing: list[tuple[_Request[Path], Path]] = []
        self._evaluations: list[_Request[EvaluationResult]] = []
        self._evaluated: list[EvaluationResult] = []

    async def train(self) -> bool:
        """Runs the training loop in a thread; returns whether the run is complete.

        Cancelling it asks the run to end, waits until it is saved, and raises CancelledError.
        """
        self._unwanted = False
        future = self._executor.submit(self._operations.train)
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            if not (future.cancel() or future.done()):
                self._unwanted = True  # before it has begun there is nothing to stop
                self._operations.stop()
                await asyncio.wait([asyncio.wrap_future(future)])
            raise

    async def save_checkpoint(self) -> Path:
        """Saves the run; returns the checkpoint's folder once it is on the disk.

        Raises CheckpointWriteError if it could not be written, RuntimeError if the run failed in
        the middle of an iteration.
        """
        request: _Request[Path] = _Request()
        with self._lock:
            if self._training:
                self._saves.append(request)
            else:
                self._executor.submit(self._directly, self._saves, request)
        return await self._outcome(request)

    async def evaluate(self) -> EvaluationResult:
        """Evaluates a copy of the network as it is at the next safe point.

        The result is in the evaluation log, and callbacks are told of it, if the run still trains
        then. Raises PluginError if an opponent failed, MatchCancelledError if the run was asked to
        end, RuntimeError if it failed in the middle of an iteration.
        """
        request: _Request[EvaluationResult] = _Request()
        with self._lock:
            if self._training:
                self._evaluations.append(request)
            else:
                self._executor.submit(self._directly, self._evaluations, request)
        return await self._outcome(request)

    def close(self) -> None:
        """Waits for what goes on; nothing can be asked for afterwards."""
        self._executor.shutdown(wait=True)

    async def _outcome(self, request: _Request[T]) -> T:
        try:
            return await asyncio.wrap_future(request.future)
        except asyncio.CancelledError:
            request.unwanted.set()
            raise

    # The training thread calls what follows.

    def on_start(self, snapshot: Snapshot) -> None:
        """From now on requests wait for a safe point."""
        with self._lock:
            self._training = True
            self._evaluated = []
        if self._unwanted:
            self._operations.stop()

    def on_update_end(self, snapshot: Snapshot) -> None:
        """A safe point."""
        with self._lock:
            self._take_up_safely(wait=False)
            evaluated, self._evaluated = self._evaluated, []
        self._tell(snapshot, evaluated)

    def on_finish(self, snapshot: Snapshot) -> None:
        """The last safe point, unless training failed in an iteration: then what waits fails."""
        with self._lock:
            self._training = False
            self._take_up_safely(wait=True)
            evaluated, self._evaluated = self._evaluated, []
        self._tell(snapshot, evaluated)

    def end_of_run(self) -> None:
        """Answers what still waits, in case that the run ended without a word."""
        with self._lock:
            self._training = False
            self._take_up_safely(wait=True)
            self._fail_all(RuntimeError("the run ended before this was done"))

    def _directly(self, queue: list[Any], request: _Request[Any]) -> None:
        """In a thread of the executor: no need to wait for the training thread, unless it began."""
        with self._lock:
            queue.append(request)
            if not self._training:
                self._take_up_safely(wait=True)

    def _take_up_safely(self, *, wait: bool) -> None:
        try:
            self._take_up(wait=wait)
        except Exception as error:  # whoever awaits is to hear of it, and not for ever to wait
            self._fail_all(error)

    def _fail_all(self, error: Exception) -> None:
        """Gives an error to all whose request is not answered, nor worked on in another thread."""
        waiting: list[_Request[Any]] = [*self._saves, *self._evaluations]
        for request in (*waiting, *(one for one, _ in self._writing)):
            if not request.future.done():
                request.fail("what was asked for", error)
        self._saves, self._evaluations, self._writing = [], [], []

    def _take_up(self, *, wait: bool) -> None:
        for save in self._saves:
            if not save.unwanted.is_set():
                self._start_save(save, wait)
        self._saves.clear()
        self._look_at_writes()
        for evaluation in self._evaluations:
            if not evaluation.unwanted.is_set():
                self._start_evaluation(evaluation)
        self._evaluations.clear()

    def _check_state(self) -> None:
        if not self._operations.between_iterations():
            raise RuntimeError("the run failed in the middle of an iteration; it has no state")

    def _start_save(self, request: _Request[Path], wait: bool) -> None:
        try:
            self._check_state()
            path = self._operations.save(wait)
        except Exception as error:  # it is whoever's who awaits; others are served
            request.fail("a checkpoint", error)
        else:
            self._writing.append((request, path))

    def _look_at_writes(self) -> None:
        """Answers those whose checkpoint is there; names of folders sort as their steps do."""
        error: CheckpointWriteError | None = None
        try:
            self._operations.raise_failure()
        except CheckpointWriteError as caught:
            error = caught
        published = self._operations.published()
        waiting = []
        for request, path in self._writing:
            if path.is_dir() or (published is not None and published.name >= path.name):
                request.succeed(path)
            elif error is not None:
                request.fail(f"{path}", error)
            else:
                waiting.append((request, path))
        self._writing = waiting

    def _start_evaluation(self, request: _Request[EvaluationResult]) -> None:
        try:
            self._check_state()
            evaluation = self._operations.prepare_evaluation(self._operations.step())
        except Exception as error:  # as for a checkpoint
            request.fail("an evaluation", error)
            return
        self._executor.submit(self._evaluate, request, evaluation)

    def _evaluate(self, request: _Request[EvaluationResult], evaluation: Evaluation) -> None:
        try:
            result = evaluation(request.unwanted.is_set)
        except BaseException as error:  # SystemExit of a plugin too: else nobody would be answered
            request.fail("an evaluation", error)
            return
        with self._lock:
            self._evaluated.append(result)
        request.succeed(result)

    def _tell(self, snapshot: Snapshot, evaluated: list[EvaluationResult]) -> None:
        for result in evaluated:
            try:  # who asked has the result already, and other requests must not go down with it
                self._operations.record(result.step, result)
                told = snapshot.of(Event.EVALUATION, result=result)
            except Exception:  # the result is with who asked; see above
                _log.exception("the evaluation after %s plies is not recorded", result.step)
            else:
                self._operations.announce(Event.EVALUATION, told)
