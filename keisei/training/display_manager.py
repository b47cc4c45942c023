"""What a person sees of a run, and what of it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from keisei.config_schema import AppConfig
from keisei.core.ranks import SINGLE, Ranks
from keisei.training.display import ProgressDisplay
from keisei.training.message_panel import MessagePanel
from keisei.utils.files import replacing

CONSOLE_FILE = "console.txt"


class DisplayManager:
    """Shows the run ``config`` (resolved) describes, and saves the console beside its log.

    ``rich_console`` is where it is drawn; ``rich_log_messages`` holds the last messages, which it
    gets as a handler of the log. Of several ``ranks`` the first one does so.
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
        model, training = config.model, config.training
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
        self._display = ProgressDisplay(
            self.rich_console,
            f"{path.parent.name}: {network} on {training.device}",
            training.total_timesteps,
        )

    def start(self) -> None:
        """Begins to draw; elsewhere than on a terminal there is nothing to begin."""
        if self._is_main:
            self._display.start()

    def phase(self, text: str) -> None:
        """Says what is being done now; seen on a terminal only."""
        self._display.phase(text)

    def update(self, step: int, seconds: float, left: float, metrics: Mapping[str, float]) -> None:
        """Shows the figures of one iteration; ``left`` is the time the rest will take."""
        if self._is_main:
            self._display.update(step, seconds, left, metrics)

    def stop(self) -> None:
        """Ends the drawing; a second call does nothing."""
        self._display.stop()

    def save_console_output(self) -> Path:
        """Writes the last messages and the last figures as plain text; returns the file."""
        with (
            replacing(self.console_file_path) as temporary,
            temporary.open("w", encoding="utf-8") as file,
        ):
            plain = Console(file=file, width=self.rich_console.width, color_system=None)
            plain.print(self.rich_log_messages)
            plain.print(self._display)
        return self.console_file_path

    def finalize_display(self) -> None:
        """Ends the drawing and saves the console."""
        self._display.phase("ended")
        self.stop()
        if self._is_main:
            self.save_console_output()
