"""A USI engine as a child process: started, asked for moves, watched for death and silence."""

from __future__ import annotations

import collections
import contextlib
import os
import queue
import select
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_STDERR_LINES = 20
_WRITE_SECONDS = 10.0
_IMPLIED_OPTIONS = ("USI_Hash", "USI_Ponder")  # every engine takes them, declared or not
_STARTPOS = "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1"


class EngineError(RuntimeError):
    """An engine that does not do what USI asks of it; the text names it and says what came."""


class EngineCrashed(EngineError):  # noqa: N818 - what it is
    """Its process has ended, or never began."""


class EngineStalled(EngineError):  # noqa: N818 - what it is
    """It did not answer in time."""


class BadAnswer(EngineError):  # noqa: N818 - what it is
    """It said something that is no answer."""


@dataclass(frozen=True)
class EngineOption:
    """An option as an engine declares it."""

    name: str
    kind: str
    """check, spin, combo, button, string, filename"""
    default: str | None = None
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchInfo:
    """What the last ``info`` lines before a ``bestmove`` said; None where they did not."""

    depth: int | None = None
    nodes: int | None = None
    centipawns: int | None = None
    """seen by the engine that searches"""
    mate: int | None = None
    """plies to mate, negative if it is mated; 0 is not known to be either"""
    pv: tuple[str, ...] = ()


@dataclass(frozen=True)
class BestMove:
    """The answer to ``go``."""

    move: str
    """in USI, or ``resign``, or ``win``; not checked"""
    ponder: str | None
    info: SearchInfo
    seconds: float
    """wall time from ``go`` to the answer"""
    others: tuple[SearchInfo, ...] = ()
    """the second best line of play and on, if the engine was to say them (``MultiPV``)"""


@dataclass
class _Said:
    """What has come from the engine, read by a thread so that no pipe fills up."""

    lines: queue.SimpleQueue[str | None] = field(default_factory=queue.SimpleQueue)
    stderr: collections.deque[str] = field(
        default_factory=lambda: collections.deque(maxlen=_STDERR_LINES)
    )
    remark: str = ""
    """its last ``info string``"""


class UsiEngine:
    """One process of an engine. Not for several threads at once, but for ``stop`` and ``kill``.

    Args:
        command: Program and arguments, or one text that is split as a shell would; no shell runs.
        options: By name, set before ``isready``. Names are compared without regard to case, and
            a blank is an underscore.
        name: What errors call it; the program's name where none is given.
        folder: Where it runs; None: here.
        environment: All its environment variables; None: this program's.
        start_seconds: How long ``usi`` may take.
        ready_seconds: How long ``isready`` may take.
    """

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        options: Mapping[str, str] | None = None,
        name: str | None = None,
        folder: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        start_seconds: float = 30.0,
        ready_seconds: float = 120.0,
    ) -> None:
        self.command = shlex.split(command) if isinstance(command, str) else list(command)
        if not self.command:
            raise ValueError("command: expected a program, got nothing")
        self.name = name or Path(self.command[0]).name
        self.id_name = self.id_author = ""
        self.declared: dict[str, EngineOption] = {}
        self._given = dict(options or {})
        self._folder = folder
        self._environment = environment
        self._start_seconds = start_seconds
        self._ready_seconds = ready_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._said = _Said()
        self._searching = False
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.quit()

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the process, learns its options, sets those that were given.

        Raises EngineCrashed, EngineStalled, or BadAnswer for an option that it does not have.
        """
        self.kill()
        self._said = _Said()
        try:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,  # so that a signal to this program is not one to it
            )
        except OSError as error:
            raise EngineCrashed(f"engine {self.name}: cannot be started: {error}") from error
        process, said = self._process, self._said
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        threads = [
            threading.Thread(target=_read_lines, args=(process, said), daemon=True),
            threading.Thread(target=_read_errors, args=(process, said), daemon=True),
        ]
        for thread in threads:
            thread.start()
        # Only now: who ends the engine meanwhile, on another thread, joins those that run.
        self._threads = threads
        try:
            self._introduce()
        except EngineError:
            self.kill()
            raise

    def _introduce(self) -> None:
        self.send("usi")
        deadline = time.monotonic() + self._start_seconds
        self.declared = {}
        while (line := self._line(deadline, "usiok")) != "usiok":
            if line.startswith("id name "):
                self.id_name = line.removeprefix("id name ").strip()
            elif line.startswith("id author "):
                self.id_author = line.removeprefix("id author ").strip()
            elif line.startswith("option name "):
                option = parse_option(line)
                self.declared[_plain(option.name)] = option
        for name, value in self._given.items():
            self.set_option(name, value)

    def set_option(self, name: str, value: str) -> None:
        """Sets one option; BadAnswer if the engine has none of that name or refuses the value."""
        option = self.declared.get(_plain(name))
        if option is None:
            if name not in _IMPLIED_OPTIONS:
                known = ", ".join(o.name for o in self.declared.values()) or "it has none"
                raise BadAnswer(f"engine {self.name}: option {name!r}: expected one of: {known}")
            option = EngineOption(name, "string")
        expected = _misfit(option, value)
        if expected is not None:
            raise BadAnswer(
                f"engine {self.name}: option {option.name}: expected {expected}, got {value!r}"
            )
        tail = "" if option.kind == "button" else f" value {value}"
        self.send(f"setoption name {option.name}{tail}")

    def new_game(self) -> None:
        """``isready``, waited for, then ``usinewgame``."""
        self.send("isready")
        deadline = time.monotonic() + self._ready_seconds
        while self._line(deadline, "readyok") != "readyok":
            pass
        self.send("usinewgame")

    def position(self, start: str, moves: Sequence[str] = ()) -> None:
        """Says where the game stands: the SFEN of its first position, and the moves since."""
        place = "startpos" if start == _STARTPOS else f"sfen {start}"
        self.send(f"position {place}" + (" moves " + " ".join(moves) if moves else ""))

    def go(self, limits: str, seconds: float) -> BestMove:
        """Asks for a move. ``limits`` is what follows ``go``: ``nodes 1000``, ``byoyomi 500``.

        Raises EngineStalled after ``seconds`` without an answer, and EngineCrashed.
        """
        self._drop_old_lines()
        begun = time.monotonic()
        self.send(f"go {limits}".rstrip())
        self._searching = True
        infos = {1: SearchInfo()}
        try:
            while True:
                line = self._line(begun + seconds, "bestmove")
                words = line.split()
                if words[:1] == ["info"]:
                    number = _line_of_play(words)
                    infos[number] = _updated(infos.get(number, SearchInfo()), words)
                elif words[:1] == ["bestmove"]:
                    break
        finally:
            self._searching = False
        taken = time.monotonic() - begun
        if len(words) < 2:
            raise BadAnswer(f"engine {self.name}: expected a move after bestmove, got {line!r}")
        ponder = words[3] if words[2:3] == ["ponder"] and len(words) > 3 else None
        best, *others = (infos[number] for number in sorted(infos))
        return BestMove(words[1], ponder, best, taken, tuple(others))

    def stop(self) -> None:
        """Ends a search, if there is one; ``go`` then has its answer."""
        if self._searching:
            self.send("stop")

    def game_over(self, result: str) -> None:
        """Says how the game ended for the engine: ``win``, ``lose`` or ``draw``."""
        self.send(f"gameover {result}")

    def quit(self, seconds: float = 2.0) -> None:
        """Asks it to leave, and ends it if it has not after ``seconds``."""
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(EngineError):
                self.send("quit")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """Ends it and what it started, at once."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for thread in self._threads:
            thread.join(1.0)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def send(self, line: str) -> None:
        """Sends one line. Raises EngineCrashed or, if nobody reads there, EngineStalled."""
        process = self._process
        if process is None or process.stdin is None:
            raise EngineCrashed(f"engine {self.name}: expected it to run, it was not started")
        rest = line.encode() + b"\n"
        deadline = time.monotonic() + _WRITE_SECONDS
        fd = process.stdin.fileno()
        while rest:
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([], [fd], [], left)[1]:
                    raise EngineStalled(
                        f"engine {self.name}: expected it to read its input, it has not for "
                        f"{_WRITE_SECONDS:g} s"
                    ) from None
            except OSError:
                raise self._crashed() from None

    def _line(self, deadline: float, wanted: str) -> str:
        try:
            line = self._said.lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise EngineStalled(
                f"engine {self.name}: expected {wanted} in time, got nothing; its last words on "
                f"stderr: {self._last_words()}"
            ) from None
        if line is None:
            self._said.lines.put(None)  # for whoever asks again
            raise self._crashed()
        return line

    def _drop_old_lines(self) -> None:
        """What it still had to say of an earlier search."""
        while True:
            try:
                line = self._said.lines.get_nowait()
            except queue.Empty:
                return
            if line is None:
                self._said.lines.put(None)
                return

    def _crashed(self) -> EngineCrashed:
        status = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(1.0)
        for thread in self._threads:
            thread.join(1.0)
        how = "closed its output" if status is None else f"ended with status {status}"
        remark = f"; its last info string: {self._said.remark}" if self._said.remark else ""
        return EngineCrashed(
            f"engine {self.name}: it {how}; its last words on stderr: {self._last_words()}{remark}"
        )

    def _last_words(self) -> str:
        return " | ".join(self._said.stderr) or "none"


def _read_lines(process: subprocess.Popen[bytes], said: _Said) -> None:
    assert process.stdout is not None
    with contextlib.suppress(OSError, ValueError):
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace").strip()
            if line.startswith("info string "):
                said.remark = line.removeprefix("info string ")
            if line:
                said.lines.put(line)
    said.lines.put(None)


def _read_errors(process: subprocess.Popen[bytes], said: _Said) -> None:
    assert process.stderr is not None
    with contextlib.suppress(OSError, ValueError):
        for raw in process.stderr:
            said.stderr.append(raw.decode("utf-8", "replace").rstrip())


def _plain(name: str) -> str:
    return name.replace(" ", "_").lower()


def parse_option(line: str) -> EngineOption:
    """An ``option`` line. Names may hold blanks; what is not understood is left out."""
    name, _, rest = line.removeprefix("option name ").partition(" type ")
    words = rest.split()
    found: dict[str, list[str]] = {"default": [], "min": [], "max": []}
    choices: list[str] = []
    key = ""
    for word in words[1:]:
        if word in (*found, "var"):
            key = word
            if word == "var":
                choices.append("")
        elif key == "var":
            choices[-1] = f"{choices[-1]} {word}".strip()
        elif key:
            found[key].append(word)
    default = " ".join(found["default"]) if "default" in words else None
    return EngineOption(
        name.strip(),
        words[0] if words else "string",
        default,
        _whole(found["min"]),
        _whole(found["max"]),
        tuple(choices),
    )


def _whole(words: Sequence[str]) -> int | None:
    try:
        return int(words[0])
    except (IndexError, ValueError):
        return None


def _misfit(option: EngineOption, value: str) -> str | None:
    """What was expected, if the option cannot have the value."""
    if "\n" in value or "\r" in value:
        return "one line"
    if option.kind == "check":
        return None if value in ("true", "false") else "true or false"
    if option.kind == "combo" and option.choices:
        return None if value in option.choices else " or ".join(option.choices)
    if option.kind == "spin":
        least, most = option.least, option.most
        try:
            number = int(value)
        except ValueError:
            return "a whole number"
        fits = (least is None or least <= number) and (most is None or number <= most)
        return None if fits else f"{least} to {most}"
    return None


def _line_of_play(words: Sequence[str]) -> int:
    """Which of several an ``info`` line is about; the first, if it does not say."""
    if "string" in words or "multipv" not in words:
        return 1
    return max(1, _whole(words[words.index("multipv") + 1 :]) or 1)


def _updated(info: SearchInfo, words: Sequence[str]) -> SearchInfo:
    """What an ``info`` line adds."""
    values = {
        "depth": info.depth,
        "nodes": info.nodes,
        "centipawns": info.centipawns,
        "mate": info.mate,
    }
    pv = info.pv
    at = 1
    while at < len(words):
        word, rest = words[at], words[at + 1 :]
        if word == "string":
            break
        if word == "pv":
            pv = tuple(rest)
            break
        if word in ("depth", "nodes") and rest:
            values[word] = _whole(rest)
            at += 1
        elif word == "score" and len(rest) >= 2:
            if rest[0] == "cp":
                values["centipawns"], values["mate"] = _whole(rest[1:]), None
            elif rest[0] == "mate":
                sign = -1 if rest[1].startswith("-") else 1
                plies = _whole([rest[1].lstrip("+-")])
                values["centipawns"], values["mate"] = None, sign * (plies or 1)
            at += 2
        at += 1
    return SearchInfo(values["depth"], values["nodes"], values["centipawns"], values["mate"], pv)
