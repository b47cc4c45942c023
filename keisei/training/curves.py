"""What TensorBoard gets beside the figures of each iteration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from keisei.board_image import board_image
from keisei.training.callbacks import Callback, Snapshot
from keisei.training.final_figures import FINAL_FIGURES, evaluation_figures, read_evaluations
from keisei.training.live_game import LiveGame, LiveGameReader
from keisei.training.rollout_histograms import RolloutHistograms
from keisei.utils.event_file import EventFile

Events = Callable[[], EventFile | None]


class EvaluationCurves(Callback):
    """Writes the figures of evaluations and, as the session ends, the last ones of all.

    ``events`` gives the file while there is one; ``log_file`` is the run's evaluation log.
    """

    name = "evaluation curves"
    draws = False
    order = 15  # behind what drops the evaluations that are void

    def __init__(self, events: Events, log_file: Path) -> None:
        self._events = events
        self._log_file = log_file
        self._began_at = -1
        self._last: dict[str, float] = {}

    def on_start(self, snapshot: Snapshot) -> None:
        """Takes up the last evaluation of a run that goes on."""
        self._began_at = snapshot.iteration
        self._last = {}
        for figures in read_evaluations(self._log_file):
            self._last = figures

    def on_evaluation(self, snapshot: Snapshot) -> None:
        """Writes its figures at the step that was evaluated."""
        result = snapshot.data["result"]
        self._last = evaluation_figures(result.to_json())
        events = self._events()
        if events is not None:
            events.scalars(self._last, result.step)

    def on_finish(self, snapshot: Snapshot) -> None:
        """Writes the last figures, unless nothing was learned in this session."""
        events = self._events()
        if events is None or snapshot.iteration == self._began_at:
            return
        known = {**snapshot.metrics, **self._last}
        final = {name: known[name] for name in FINAL_FIGURES if name in known}
        events.session_end(final, snapshot.step)


class RolloutDetails(Callback):
    """Now and then: how values and move probabilities are spread, and one game's board.

    That is each time that a multiple of ``interval`` plies is passed. The figures are copied from
    the device behind the rollout and read when the learning is done: nothing waits for them.
    ``rows`` is how many plies an iteration has at most, over all ranks.
    """

    name = "histograms and board"
    draws = False

    def __init__(
        self,
        histograms: RolloutHistograms,
        game: LiveGameReader,
        events: Events,
        *,
        interval: int,
        rows: int,
    ) -> None:
        self._histograms = histograms
        self._game = game
        self._events = events
        self._interval = interval
        self._rows = rows
        self._started_at: int | None = None

    def on_rollout_end(self, snapshot: Snapshot) -> None:
        """Starts the copies, if the iteration may pass a multiple."""
        self._started_at = None
        step = snapshot.step
        if self._passes(step, step + self._rows):
            self._histograms.start()
            self._game.copy()
            self._started_at = step

    def on_update_end(self, snapshot: Snapshot) -> None:
        """Writes what was copied, if the iteration did pass one."""
        begun, self._started_at = self._started_at, None
        events = self._events()
        if events is None or begun is None or not self._passes(begun, snapshot.step):
            return
        events.histograms(self._histograms.read(), snapshot.step)
        views = self._game.read().views
        if views:
            view = views[-1]
            pixels = board_image(view.sfen, view.last_move, _title(view))
            events.image("game", pixels, snapshot.step)

    def _passes(self, before: int, after: int) -> bool:
        return after // self._interval > before // self._interval


def _title(view: LiveGame) -> str:
    words = f"game {view.slot}, after {view.ply} plies"
    if view.last_move is not None:
        words += f": {view.last_move}"
    if view.value is not None:
        words += f", value {view.value:+.2f} for the side to move"
    if view.ending is not None:
        words += f", {view.ending}" + (f", {view.winner} wins" if view.winner else "")
    return words
