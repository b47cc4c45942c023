"""The search without USI: ``keisei_search_check``, built with the thread sanitizer."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


def find_cmake() -> str | None:
    beside = Path(sys.executable).parent / "cmake"
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("cmake")


def build(folder: Path) -> Path:
    """The program, built once for all processes that share the folder."""
    cmake = find_cmake()
    assert cmake is not None
    program = folder / "build" / "csrc" / "engine" / "search" / "keisei_search_check"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            ninja = shutil.which(
                "ninja", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            )
            for command in (
                [
                    *(cmake, "--preset", "tsan", "-S", str(ROOT), "-B", str(folder / "build")),
                    *(("-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}") if ninja else ()),
                    *(() if ninja else ("-G", "Unix Makefiles")),
                ],
                [
                    *(cmake, "--build", str(folder / "build")),
                    *("--target", "keisei_search_check", "--parallel", "2"),
                ],
            ):
                done = subprocess.run(
                    command, cwd=ROOT, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return program


@dataclass(frozen=True)
class Line:
    visits: int
    value: float
    mate: int
    draw: bool
    policy: float
    pv: list[str]


@dataclass(frozen=True)
class Report:
    lines: list[Line]
    nodes: int
    evaluations: int
    depth: int
    seldepth: int
    hashfull: int
    proved: bool
    stopped_at: int | None = None

    @property
    def best(self) -> Line:
        return self.lines[0]


@dataclass(frozen=True)
class Mate:
    answer: str  # mate, nomate, unknown
    nodes: int
    pv: list[str]


def named(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))


class SearchCheck:
    """Sends commands and reads what they bring. One process; end it with ``close``."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Its default status 66 when it saw a race.
            env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1"},
        )

    def send(self, command: str) -> list[str]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        out: list[str] = []
        for line in self._process.stdout:
            if line == "done\n":
                assert not any(said.startswith("error ") for said in out), out
                return out
            out.append(line.rstrip("\n"))
        assert self._process.stderr is not None
        raise AssertionError(f"{command}: the program ended: {self._process.stderr.read()}")

    def set(self, **settings: float) -> None:
        for name, value in settings.items():
            self.send(f"set {name} {value}")

    def position(self, sfen: str = "", moves: str = "") -> None:
        self.send(f"position {'sfen ' + sfen if sfen else ''} {'moves ' + moves if moves else ''}")

    def reports(self, command: str) -> list[Report]:
        out: list[Report] = []
        lines: list[Line] = []
        for answer in self.send(command):
            kind, *words = answer.split()
            if kind == "line":
                at = words.index("pv")
                said = named(words[:at])
                lines.append(
                    Line(
                        visits=int(said["visits"]),
                        value=float(said["value"]),
                        mate=int(said["mate"]),
                        draw=said["draw"] == "1",
                        policy=float(said["policy"]),
                        pv=words[at + 1 :],
                    )
                )
            elif kind == "report":
                said = named(words)
                proved = said.pop("proved") == "1"
                numbers = {name: int(value) for name, value in said.items()}
                out.append(Report(lines=lines, proved=proved, **numbers))  # type: ignore[arg-type]
                lines = []
            elif kind == "stopped_at":
                last = out.pop()
                out.append(Report(**{**last.__dict__, "stopped_at": int(words[0])}))
        return out

    def go(self, limits: str) -> Report:
        (report,) = self.reports(f"go {limits}")
        return report

    def mate(self, sfen: str, nodes: int = 1_000_000, moves: str = "") -> Mate:
        self.position(sfen, moves)
        (answer,) = self.send(f"mate nodes {nodes} mib 64")
        kind, _, count, _, *pv = answer.split()
        return Mate(kind, int(count), pv)

    def close(self) -> None:
        """Ends the program; fails if the sanitizer saw anything."""
        assert self._process.stdin is not None
        _, said = self._process.communicate()
        assert self._process.returncode == 0 and said == "", said
