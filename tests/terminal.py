"""A terminal of our own: what a program wrote to it, as a person would see it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.cells import cell_len

_TOKEN = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])|(\r)|(\n)|(\x1b.?)|(.)", re.DOTALL)


class Emulator:
    """Follows what is written: cursor, two screens, wide characters. Styles are passed over."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.main = [""]
        """lines of the usual screen, all that ever were"""
        self.other: dict[int, dict[int, str]] = {}
        self.is_other = False
        self.cursor_is_shown = True
        self._at = (0, 0)
        self._rest = ""

    def feed(self, text: str) -> None:
        """Takes what was written; a code that is cut in two is kept for later."""
        text = self._rest + text
        cut = text.rfind("\x1b")
        complete = cut < 0 or re.match(r"\x1b\[[?\d;]*[A-Za-z]", text[cut:])
        self._rest = "" if complete else text[cut:]
        for question, numbers, letter, back, down, _, character in _TOKEN.findall(
            text if complete else text[:cut]
        ):
            if letter:
                self._code(question, numbers, letter)
            elif character and not self.is_other:
                self.main[-1] += character
            elif character:
                self._put(character)
            elif down and not self.is_other:
                self.main.append("")
            elif back and self.is_other:
                self._at = (self._at[0], 0)

    def _put(self, character: str) -> None:
        """Writes over what stands there, of which a wide character goes as a whole."""
        row, column = self._at
        cells, width = self.other.setdefault(row, {}), cell_len(character)
        if cell_len(cells.get(column - 1, "")) == 2:
            del cells[column - 1]
        if width == 2:
            cells.pop(column + 1, None)
        cells[column] = character
        self._at = (row, column + width)

    def _code(self, question: str, numbers: str, letter: str) -> None:
        if question and letter in "hl":
            if numbers == "1049":
                self.is_other = letter == "h"
                self.other = {}
            elif numbers == "25":
                self.cursor_is_shown = letter == "h"
        elif letter == "H":
            row, column = (int(number or 1) for number in (numbers or "1;1").split(";"))
            assert row <= self.height, f"line {row} of {self.height}"
            self._at = (row - 1, column - 1)
        elif letter == "J" and numbers == "2":
            self.other = {}

    def screen(self) -> list[str]:
        """The lines of the other screen; those of characters that overlap would be too long."""
        lines = []
        for row in range(self.height):
            cells = self.other.get(row, {})
            line, at = "", 0
            for column in sorted(cells):
                line += " " * (column - at) + cells[column]
                at = column + cell_len(cells[column])
            lines.append(line)
        return lines

    def text(self) -> str:
        """The usual screen."""
        return "\n".join(self.main)


class Terminal:
    """A program that runs on a pseudo-terminal; what it writes is followed by an ``Emulator``."""

    def __init__(
        self, command: Sequence[str], folder: Path, *, width: int = 80, height: int = 24
    ) -> None:
        self.shows = Emulator(width, height)
        self._ours, theirs = os.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(theirs)
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
            environment.pop(name, None)
        environment |= {"TERM": "xterm-256color", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
        )  # fmt: skip
        self._theirs = theirs  # kept, so that its settings can be looked at afterwards

    def resize(self, width: int, height: int) -> None:
        """As when a person pulls at the window's corner."""
        self.shows.width, self.shows.height = width, height
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def type(self, keys: bytes) -> None:
        """As typed."""
        os.write(self._ours, keys)

    def wait_for(self, what: str, seen: Callable[[Emulator], bool], seconds: float = 120) -> None:
        """Follows the program until it shows something; fails if it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not seen(self.shows):
            ended = self.process.poll() is not None
            read = self._read()
            assert read or not ended, f"it ended before {what}:\n{self.shows.text()}"
            last = "\n".join(self.shows.screen())
            assert time.monotonic() < deadline, f"no {what} within {seconds} s:\n{last}"

    def wait(self, seconds: float = 120) -> int:
        """Follows the program to its end; its status."""
        self.wait_for("its end", lambda _: self.process.poll() is not None, seconds)
        while self._read():
            pass
        return self.process.returncode

    def _read(self) -> bool:
        readable, _, _ = select.select([self._ours], [], [], 0.1)
        if not readable:
            return False
        while len(data := self._pending()) and not self._is_whole(data):
            pass
        self.shows.feed(data.decode())
        return True

    _kept = b""

    def _pending(self) -> bytes:
        self._kept += os.read(self._ours, 65536)
        return self._kept

    def _is_whole(self, data: bytes) -> bool:
        """Whether it ends with a whole character."""
        try:
            data.decode()
        except UnicodeDecodeError:
            return False
        self._kept = b""
        return True

    @property
    def settings(self) -> list[object]:
        """Of the terminal: echo and the like."""
        return termios.tcgetattr(self._theirs)

    def close(self) -> None:
        """Ends the program, if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)
