"""The log of a run: lines for people, on the console and in a file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.logging import RichHandler

from keisei.utils.masking import MaskingFormatter

ROOT = "keisei"


class TrainingLogger:
    """Sends everything logged below ``keisei`` to the console and, with UTC times, to a file.

    On a terminal the lines go through rich, so that they do not tear a live display on the same
    console; elsewhere they are plain; ``prefix`` stands before each. ``extra`` handlers get the
    same messages. While ``hushed`` says so the console gets none: a screen that is drawn there
    shows them. It does so from ``open`` to ``close``, or as a context manager; before and after,
    its lines go where Python's logging sends them. Values of secret environment variables are
    masked everywhere.
    """

    def __init__(
        self,
        log_file_path: Path | None,
        console: Console,
        level: str = "info",
        extra: Sequence[logging.Handler] = (),
        prefix: str = "",
        hushed: Callable[[], bool] = lambda: False,
    ) -> None:
        self._logger = logging.getLogger(ROOT)
        self._path = log_file_path
        self._console = console
        self._level = level
        self._prefix = prefix
        self._hushed = hushed
        self._extra = tuple(extra)
        self._handlers: list[logging.Handler] = []
        self._before: tuple[int, bool] = (logging.NOTSET, True)

    def open(self) -> None:
        """Attaches to the console and opens the file; a second call does nothing.

        Raises OSError if the file cannot be written.
        """
        if self._handlers:
            return
        screen: logging.Handler
        if self._console.is_terminal:
            screen = RichHandler(
                console=self._console, show_path=False, show_level=False, log_time_format="%H:%M:%S"
            )
            screen.setFormatter(MaskingFormatter(f"{self._prefix}%(message)s"))
        else:
            screen = logging.StreamHandler(self._console.file)
            screen.setFormatter(
                MaskingFormatter(f"%(asctime)s {self._prefix}%(message)s", "%H:%M:%S")
            )
        screen.addFilter(lambda _: not self._hushed())
        handlers = [screen, *self._extra]
        if self._path is not None:
            file = logging.FileHandler(self._path, encoding="utf-8")
            formatter = MaskingFormatter(
                "%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ"
            )
            formatter.converter = time.gmtime
            file.setFormatter(formatter)
            handlers.append(file)
        self._before = (self._logger.level, self._logger.propagate)
        self._logger.setLevel(self._level.upper())
        self._logger.propagate = False
        self._handlers = handlers
        for handler in self._handlers:
            self._logger.addHandler(handler)

    @property
    def is_open(self) -> bool:
        """Whether lines reach the console and the file now."""
        return bool(self._handlers)

    def log(self, level: str, message: str, *args: object) -> None:
        """Logs at a level given by name: debug, info, warning, error; ValueError for another."""
        number = logging.getLevelNamesMapping().get(level.upper())
        if number is None:
            raise ValueError(f"level: expected debug, info, warning or error, got {level!r}")
        self._logger.log(number, message, *args)

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
            if handler not in self._extra:
                handler.close()
        if self._handlers:
            self._logger.setLevel(self._before[0])
            self._logger.propagate = self._before[1]
        self._handlers = []

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
