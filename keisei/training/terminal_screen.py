"""A thread that draws on the whole of a terminal and leaves it as it was."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from keisei.training.blocks import Block

_log = logging.getLogger(__name__)

ENTER = "\x1b[?1049h\x1b[?25l"
"""The terminal's other screen, without a cursor"""
LEAVE = "\x1b[?25h\x1b[?1049l\x1b[0m"
"""The screen of before, with its cursor"""
# What else was written to the terminal (a typed key, say) is painted over so often, in seconds.
_WHOLE = 10.0
_JOIN_SECONDS = 2.0


# The one that has the terminal now.
_holders: list[TerminalScreen] = []


def give_back_at_once() -> None:
    """Gives the terminal back where the process is about to end without anything else."""
    for screen in _holders:
        screen.end()
        with contextlib.suppress(OSError, ValueError):  # the terminal is gone, or was none
            os.write(screen.descriptor, LEAVE.encode())


class _Lines(io.TextIOBase):
    """Takes the place of standard output or error: hands on each line that is written."""

    def __init__(self, stream: Any, note: Callable[[str], None]) -> None:
        self.rich_proxied_file = stream  # by this name rich finds what it is to write to
        self._note = note
        self._rest = ""
        self._turn = threading.RLock()

    def write(self, text: str) -> int:
        with self._turn:
            *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._note(line)
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self.rich_proxied_file.isatty())

    def fileno(self) -> int:
        return int(self.rich_proxied_file.fileno())

    def close_line(self) -> None:
        """Hands on what did not end with a line break."""
        if self._rest:
            self.write("\n")


class TerminalScreen:
    """Draws on the console's terminal, ``rate`` times a second, from ``start`` to ``stop``.

    ``draw`` gives the screen for a width and a height; it is called in this thread alone. Only
    lines that are others than before are written. Whatever ``draw`` or the terminal raises ends the
    drawing, is logged once and goes no further. ``note`` gets the lines that others print to
    standard output and error meanwhile, which would else tear the screen.
    """

    def __init__(
        self,
        console: Console,
        draw: Callable[[int, int], Block],
        rate: float,
        note: Callable[[str], None],
    ) -> None:
        self._console = console
        self._draw = draw
        self._interval = 1.0 / rate
        self._note = note
        self._end = threading.Event()
        self._turn = threading.Lock()  # who writes to the terminal
        self._thread: threading.Thread | None = None
        self._shown: list[str] = []
        self._size = (0, 0)
        self._whole_at = 0.0
        self._entered = False
        self._replaced: dict[str, tuple[Any, _Lines]] = {}
        self.processor_seconds = 0.0
        """time of a processor that drawing took so far"""

    @property
    def active(self) -> bool:
        """Whether it draws now."""
        thread = self._thread
        return thread is not None and thread.is_alive() and not self._end.is_set()

    @property
    def descriptor(self) -> int:
        """Of what is written to."""
        return self._console.file.fileno()

    def start(self) -> None:
        """Begins; a second call does nothing."""
        if self._thread is not None:
            return
        self._end.clear()
        self._shown, self._size = [], (0, 0)
        self._thread = threading.Thread(target=self._run, name="display", daemon=True)
        self._write(ENTER)
        self._entered = True
        _holders.append(self)
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and not isinstance(stream, _Lines):
                lines = _Lines(stream, self._note)
                self._replaced[name] = (stream, lines)
                setattr(sys, name, lines)
        self._thread.start()

    def end(self) -> None:
        """Draws no more; what is logged reaches the terminal again."""
        self._end.set()

    def stop(self) -> None:
        """Ends and gives the terminal back; a second call does nothing."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._end.set()
        if thread is not threading.current_thread():
            thread.join(_JOIN_SECONDS)  # not for ever: a terminal may be held by Ctrl-S
        self._leave()

    def _run(self) -> None:
        before = time.thread_time()
        try:
            while not self._end.is_set():
                self._paint()
                now = time.thread_time()
                self.processor_seconds += now - before
                before = now
                self._end.wait(self._interval)
        except Exception as error:  # a run is not to end, nor a terminal to stay, by a drawing
            self._end.set()
            with contextlib.suppress(OSError, ValueError):  # the terminal is gone
                self._leave()
            _log.warning("the display is off: %s", error, exc_info=error)

    def _leave(self) -> None:
        with self._turn:
            if not self._entered:
                return
            self._entered = False
            _holders.remove(self)
            for name, (stream, lines) in self._replaced.items():
                if getattr(sys, name) is lines:
                    setattr(sys, name, stream)
                lines.close_line()
            self._replaced = {}
        self._write(LEAVE)

    def _write(self, text: str) -> None:
        file = self._console.file
        file.write(text)
        file.flush()

    def _paint(self) -> None:
        width, height = self._console.size
        now = time.monotonic()
        whole = (width, height) != self._size or now - self._whole_at >= _WHOLE
        # As Console.print codes a line; without it there is no public way to code one.
        coded = self._console._render_buffer
        lines = [coded(line) for line in self._draw(width, height)]
        text = []
        if (width, height) != self._size:
            text.append("\x1b[0m\x1b[2J")
        for number, line in enumerate(lines):
            if whole or self._shown[number] != line:
                text.append(f"\x1b[{number + 1};1H{line}")
        if whole:
            self._whole_at, self._size = now, (width, height)
        self._shown = lines
        with self._turn:
            if text and self._entered:
                self._write("".join(text))
