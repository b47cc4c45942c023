"""The log of a run: lines for people, on the console and in a file."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.logging import RichHandler

ROOT = "keisei"


class TrainingLogger:
    """Sends everything logged below ``keisei`` to the console and, with UTC times, to a file.

    On a terminal the lines go through rich, so that they do not tear a live display on the same
    console; elsewhere they are plain. Use as a context manager, or call ``close``.
    """

    def __init__(self, log_file_path: Path | None, console: Console, level: str = "info") -> None:
        self._logger = logging.getLogger(ROOT)
        self._before = (self._logger.level, self._logger.propagate)
        self._logger.setLevel(level.upper())
        self._logger.propagate = False
        screen: logging.Handler
        if console.is_terminal:
            screen = RichHandler(
                console=console, show_path=False, show_level=False, log_time_format="%H:%M:%S"
            )
            screen.setFormatter(logging.Formatter("%(message)s"))
        else:
            screen = logging.StreamHandler(console.file)
            screen.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        self._handlers: list[logging.Handler] = [screen]
        if log_file_path is not None:
            file = logging.FileHandler(log_file_path, encoding="utf-8")
            formatter = logging.Formatter(
                "%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ"
            )
            formatter.converter = time.gmtime
            file.setFormatter(formatter)
            self._handlers.append(file)
        for handler in self._handlers:
            self._logger.addHandler(handler)

    def debug(self, message: str, *args: object) -> None:
        """Logs for those who look for a fault."""
        self._logger.debug(message, *args)

    def info(self, message: str, *args: object) -> None:
        """Logs what is worth knowing."""
        self._logger.info(message, *args)

    def warning(self, message: str, *args: object) -> None:
        """Logs what may be wrong."""
        self._logger.warning(message, *args)

    def error(self, message: str, *args: object) -> None:
        """Logs what went wrong."""
        self._logger.error(message, *args)

    def close(self) -> None:
        """Detaches from the console and closes the file; a second call does nothing."""
        for handler in self._handlers:
            self._logger.removeHandler(handler)
            handler.close()
        if self._handlers:
            self._logger.setLevel(self._before[0])
            self._logger.propagate = self._before[1]
        self._handlers = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
