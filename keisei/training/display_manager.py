"""What a person sees of a run, and what of it is kept."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from keisei.config_schema import AppConfig
from keisei.core.ranks import SINGLE, Ranks
from keisei.evaluation.ladder import LadderRow
from keisei.training.blocks import Block, Picture
from keisei.training.dashboard import Dashboard
from keisei.training.display import ProgressLines
from keisei.training.live_game import LiveRows
from keisei.training.message_panel import MessagePanel
from keisei.training.screen_file import screen_svg
from keisei.training.terminal_screen import TerminalScreen
from keisei.utils.files import replacing

_log = logging.getLogger(__name__)

CONSOLE_FILE = "console.txt"
PICTURE_FILE = "console.svg"
# The screen as it is saved, whatever the terminal's size: cells wide, lines high.
_SAVED = (160, 48)
_MOST_NEWS = 1000
_SHOWN_AFTERWARDS = 200
"""messages of before that the terminal gets back at the end, at most"""


class DisplayManager:
    """Shows the run ``config`` (resolved) describes, and saves the console beside its log.

    ``rich_console`` is where it is drawn; ``rich_log_messages`` holds the last messages, which it
    gets as a handler of the log. Of several ranks the first one does so.

    On a terminal a thread draws; the calls here only put into its hands what it shows, and never
    wait for it. Elsewhere, and once drawing has failed, lines are logged at an interval.
    """

    def __init__(
        self,
        config: AppConfig,
        log_file_path: Path | str,
        *,
        console: Console | None = None,
        ranks: Ranks = SINGLE,
    ) -> None:
        path = Path(log_file_path)
        model, training, display = config.model, config.training, config.display
        if isinstance(training.total_timesteps, str):
            raise TypeError(
                f"training.total_timesteps: expected a number, got {training.total_timesteps!r}"
            )
        self._is_main = ranks.is_main
        self.rich_console = console or Console(quiet=not ranks.is_main)
        self.rich_log_messages = MessagePanel()
        self.console_file_path = path.parent / CONSOLE_FILE
        shape = f"{model.tower_depth}x{model.tower_width}"
        network = shape if model.type == "resnet" else model.type
        self._dashboard = Dashboard(
            f"{path.parent.name}: {network} on {training.device}",
            training.total_timesteps,
            self.rich_log_messages,
            moves_per_second=display.moves_per_second,
        )
        self._lines = ProgressLines(training.total_timesteps, display.line_interval)
        self._enabled = display.enabled
        self._news: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._screen = TerminalScreen(
            self.rich_console, self._draw, display.refresh_rate, self.rich_log_messages.note
        )
        self._iteration_seconds = 0.0
        self._last_update = time.monotonic()
        self._noted_before = 0
        self._failed = False
        self._taken_seconds = 0.0

    @property
    def is_drawing(self) -> bool:
        """Whether the terminal shows the run's screen; what is logged stands there, too."""
        return self._screen.active

    @property
    def wants_game(self) -> bool:
        """Whether the watched game's next rollout would be seen.

        Not unless the board is on the screen, nor while an earlier rollout is still shown.
        """
        if not (self._screen.active and self._dashboard.shows_board):
            return False
        return time.monotonic() + self._iteration_seconds >= self._dashboard.replay.ends

    def take_processor_seconds(self) -> float:
        """Time of a processor that the drawing thread took since the last call."""
        now = self._screen.processor_seconds
        before, self._taken_seconds = self._taken_seconds, now
        return now - before

    def start(self) -> None:
        """Begins to draw; elsewhere than on a terminal there is nothing to begin."""
        if self._is_main and self._is_to_draw() and not self._screen.active:
            self._noted_before = self.rich_log_messages.count
            self._guarded(self._screen.start)

    def _is_to_draw(self) -> bool:
        if self._enabled != "terminal":
            return self._enabled
        console = self.rich_console
        # Rich takes a pipe for a terminal where the environment forces colours.
        return console.is_terminal and not console.is_dumb_terminal and console.file.isatty()

    def phase(self, text: str) -> None:
        """Says what is being done now; seen on a terminal only."""
        self._dashboard.phase = text

    def update(self, step: int, seconds: float, left: float, metrics: Mapping[str, float]) -> None:
        """Shows the figures of one iteration; ``left`` is the time the rest will take."""
        if not self._is_main:
            return
        now = time.monotonic()
        self._iteration_seconds, self._last_update = now - self._last_update, now
        figures = dict(metrics)
        self._tell(lambda: self._dashboard.update(step, seconds, left, figures))
        if not self._screen.active:
            self._lines.update(step, left, figures)

    def game(self, rows: LiveRows) -> None:
        """Shows the watched game's plies of a rollout, at a steady pace."""
        self._tell(lambda: self._dashboard.game(rows))

    def ladder(self, rows: Sequence[LadderRow]) -> None:
        """Shows how strong the players of the run's ladder are, the strongest first."""
        copied = tuple(rows)
        self._tell(lambda: self._dashboard.ladder(copied))

    def _tell(self, news: Callable[[], None]) -> None:
        """The dashboard is the drawing thread's, while there is one."""
        if self._news.qsize() < _MOST_NEWS:  # more only if the terminal is held, by Ctrl-S
            self._news.put(news)
        if not self._screen.active:
            self._guarded(self._take_news)

    def _take_news(self) -> None:
        try:
            while True:
                self._news.get_nowait()()
        except queue.Empty:
            pass

    def _draw(self, width: int, height: int) -> Block:
        self._take_news()
        return self._dashboard.block(width, height, ascii_only=self.rich_console.options.ascii_only)

    def stop(self) -> None:
        """Ends the drawing; a second call does nothing.

        The terminal then gets the last figures and the messages that it has not seen.
        """
        drew = self._screen.active
        self._guarded(self._screen.stop)
        if drew:
            self._guarded(self._print_what_is_unseen)

    def _print_what_is_unseen(self) -> None:
        self._take_news()
        console, messages = self.rich_console, self.rich_log_messages
        unseen = min(messages.count - self._noted_before, _SHOWN_AFTERWARDS)
        for message in messages.last(unseen):
            console.print(message, markup=False, highlight=False, soft_wrap=True)
        console.print(
            Picture(self._dashboard.summary(console.width, ascii_only=console.options.ascii_only))
        )

    def save_console_output(self) -> Path:
        """Writes messages and last screen as plain text, the screen also as a picture beside it.

        Returns the text's file. Raises OSError if one cannot be written.
        """
        blocks: list[Block] = []
        self._guarded(lambda: blocks.append(self._last_screen()))
        with (
            replacing(self.console_file_path) as temporary,
            temporary.open("w", encoding="utf-8") as file,
        ):
            plain = Console(file=file, width=_SAVED[0], color_system=None)
            plain.print(self.rich_log_messages)
            for block in blocks:
                plain.print(Picture(block))
        for block in blocks:
            with replacing(self.console_file_path.with_name(PICTURE_FILE)) as temporary:
                temporary.write_text(screen_svg(block, "keisei"), encoding="utf-8")
        return self.console_file_path

    def _last_screen(self) -> Block:
        self._take_news()
        return self._dashboard.block(*_SAVED, fresh=True)

    def _guarded(self, action: Callable[[], None]) -> None:
        """Does it; whatever it raises is logged once and never ends a run: it is only shown."""
        try:
            action()
        except Exception as error:  # a run is not to end by what only shows it
            if not self._failed:
                _log.warning("the display failed: %s", error, exc_info=error)
            self._failed = True

    def finalize_display(self) -> None:
        """Ends the drawing and saves the console."""
        self._dashboard.phase = "ended"
        self.stop()
        if self._is_main:
            self.save_console_output()
