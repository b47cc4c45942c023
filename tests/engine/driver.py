"""A USI engine as a child process, spoken to line by line, and what tests ask of every engine."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

# The console script of the environment that runs the tests: what users have on their PATH. The
# variable names another one, for example that of a build with sanitizers.
KEISEI_PLAY = Path(os.environ.get("KEISEI_PLAY") or Path(sys.executable).parent / "keisei_play")
PATIENCE = 60.0


class Engine:
    """keisei_play with pipes. A line that does not come in time fails the test."""

    def __init__(self, *arguments: str, cwd: Path | None = None) -> None:
        assert KEISEI_PLAY.is_file(), f"{KEISEI_PLAY}: install the project to test its engine"
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        self._process = subprocess.Popen(
            [str(KEISEI_PLAY), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=cwd,
        )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def send(self, *lines: str | bytes) -> None:
        assert self._process.stdin is not None
        for line in lines:
            self._process.stdin.write((line if isinstance(line, bytes) else line.encode()) + b"\n")
        self._process.stdin.flush()

    def line(self) -> str | None:
        """The next line without its newline; None at the end of output."""
        raw = self._lines.get(timeout=PATIENCE)
        if raw is None:
            return None
        assert raw.endswith(b"\n"), f"a line without its newline: {raw!r}"
        text = raw[:-1].decode("ascii")
        assert text.isprintable(), f"more than printable ASCII: {raw!r}"
        return text

    def until(self, start: str) -> list[str]:
        """All lines up to the first that begins with ``start``, that one included."""
        out: list[str] = []
        while True:
            line = self.line()
            assert line is not None, f"the engine ended before {start!r}; it said {out}"
            out.append(line)
            if line.startswith(start):
                return out

    def ask(self, *lines: str | bytes) -> list[str]:
        """Sends lines and returns what they brought at once, in their order. What a search finds
        comes later, except that whatever ends a search brings its answer."""
        self.send(*lines, "are-you-there")
        return self.until("info string unknown command 'are-you-there'")[:-1]

    def ready(self) -> list[str]:
        """The lines of ``isready``."""
        self.send("isready")
        return self.until("readyok")

    def think(self, *lines: str | bytes) -> list[str]:
        """Sends lines of which one brings an answer, and returns all up to it."""
        self.send(*lines)
        out: list[str] = []
        while not out or not out[-1].startswith(("bestmove ", "checkmate ")):
            line = self.line()
            assert line is not None, f"the engine ended before it answered {lines}; it said {out}"
            out.append(line)
        return out

    def best(self, *lines: str | bytes) -> str:
        """The move of the one ``bestmove`` that lines bring; no other answer follows."""
        answer = self.think(*lines)
        assert answer[-1].startswith("bestmove "), answer
        assert self.ask() == [], f"more than one answer to {lines}: {answer}"
        return answer[-1].split()[1]

    def end_of_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def rest(self) -> list[str]:
        """What is said until the end of output."""
        out: list[str] = []
        while (line := self.line()) is not None:
            out.append(line)
        return out

    def status(self) -> int:
        """The exit status, once the engine has ended by itself; nothing came on stderr."""
        status = self._process.wait(timeout=PATIENCE)
        self._stderr.seek(0)
        assert self._stderr.read() == b""
        return status

    def quit(self) -> list[str]:
        """Ends the engine as GUIs do; returns what it still had to say."""
        self.send("quit")
        out = self.rest()
        assert self.status() == 0
        return out

    def close(self) -> None:
        """For the end of a test, passed or failed: leaves no process behind."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                stream.close()


def run(
    *arguments: str, text: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """keisei_play with all its input at once, until it ends."""
    return subprocess.run(
        [str(KEISEI_PLAY), *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=env,
    )


def score_line(answer: Sequence[str]) -> str:
    """The line right before ``bestmove``, where runners read the score."""
    assert answer[-1].startswith("bestmove "), answer
    assert re.match(r"info .*\bscore (cp|mate) -?\d+( |$)", answer[-2]), answer
    return answer[-2]


def fields(info: str, names: Sequence[str]) -> dict[str, str]:
    """The words after each name in an info line (for ``score`` two, for ``pv`` all)."""
    words = info.split()
    assert words[0] == "info", info
    out: dict[str, str] = {}
    for name in names:
        at = words.index(name) + 1
        end = len(words) if name == "pv" else at + (2 if name == "score" else 1)
        out[name] = " ".join(words[at:end])
    return out
