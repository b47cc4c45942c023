"""What a run itself hangs on its events: checkpoints, evaluations, the ladder that is shown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from keisei.evaluation.evaluate import EvaluationResult
from keisei.evaluation.ladder import LadderRow
from keisei.evaluation.match import MatchCancelledError
from keisei.training.callbacks import Callback, Event, Snapshot

_log = logging.getLogger(__name__)

Announce = Callable[[Event, Snapshot], None]


class CheckpointCallback(Callback):
    """Saves the run whenever its schedule says so; every rank takes part.

    A failure ends the run: see ``Callback.essential``. ``save`` saves the run as it stands;
    ``saved_step`` tells which step that was last, so that two schedules save no step twice.
    """

    name = "checkpoint"
    every_rank = True
    essential = True
    draws = False

    def __init__(self, save: Callable[[], object], saved_step: Callable[[], int]) -> None:
        self._save = save
        self._saved_step = saved_step

    def on_update_end(self, snapshot: Snapshot) -> None:
        """Saves, unless this step is saved already."""
        if self._saved_step() != snapshot.step:
            self._save()


class PublishedCallback(Callback):
    """Tells of each checkpoint once it is on the disk, at the next update or at the end.

    Checkpoints are written in a thread of their own; ``published`` names the last one that is there
    (None: none yet). One that is followed by another before anybody looks is passed over.
    """

    name = "checkpoint published"
    draws = False

    def __init__(self, published: Callable[[], Path | None], announce: Announce) -> None:
        self._published = published
        self._announce = announce
        self._told: Path | None = None

    def _look(self, snapshot: Snapshot) -> None:
        path = self._published()
        if path is not None and path != self._told:
            self._told = path
            self._announce(Event.CHECKPOINT, snapshot.of(Event.CHECKPOINT, path=path))

    def on_update_end(self, snapshot: Snapshot) -> None:
        """Looks."""
        self._look(snapshot)

    def on_finish(self, snapshot: Snapshot) -> None:
        """Looks."""
        self._look(snapshot)


class EvaluationCallback(Callback):
    """Evaluates the network whenever its schedule says so, and tells of the result.

    ``evaluate`` takes the step; training waits for it. ``record`` takes step and result, before
    anybody is told. An evaluation that is cancelled, because the run is to end, has no result.
    ``forget_after`` is told the step the run starts from.
    """

    name = "evaluation"
    draws = False  # execute_full_evaluation_run looks after what opponents draw

    def __init__(
        self,
        evaluate: Callable[[int], EvaluationResult],
        record: Callable[[int, EvaluationResult], None],
        announce: Announce,
        forget_after: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._evaluate = evaluate
        self._forget_after = forget_after
        self._record = record
        self._announce = announce

    def on_start(self, snapshot: Snapshot) -> None:
        """Drops what a run that died found out past the step it goes on from."""
        self._forget_after(snapshot.step)

    def on_update_end(self, snapshot: Snapshot) -> None:
        """Evaluates."""
        try:
            result = self._evaluate(snapshot.step)
        except MatchCancelledError as reason:
            _log.warning("no evaluation after %s plies: %s", f"{snapshot.step:,}", reason)
            return
        self._record(snapshot.step, result)
        self._announce(Event.EVALUATION, snapshot.of(Event.EVALUATION, result=result))


class LadderCallback(Callback):
    """Shows the run's ladder as it stands when the run starts and after each evaluation.

    ``rows`` reads it; ``show`` takes what there is.
    """

    name = "ladder"
    draws = False

    def __init__(
        self,
        rows: Callable[[], Sequence[LadderRow]],
        show: Callable[[Sequence[LadderRow]], None],
    ) -> None:
        self._rows = rows
        self._show = show

    def on_start(self, snapshot: Snapshot) -> None:
        """Reads and shows."""
        self._show(self._rows())

    def on_evaluation(self, snapshot: Snapshot) -> None:
        """Reads and shows."""
        self._show(self._rows())
