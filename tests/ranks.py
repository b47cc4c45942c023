"""Starting several ranks of a program on this machine's CPU."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch.distributed as dist

T = TypeVar("T")

PROGRAMS = Path(__file__).parent / "rank_programs"
# Environment of the launch that the tests themselves may run under, and of the ranks.
_OWN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")


def plain_environment(**changes: str) -> dict[str, str]:
    """This process's environment without anything that says it is a rank; one thread a rank."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _OWN and not name.startswith(("TORCHELASTIC_", "KEISEI_"))
    }
    return kept | {"OMP_NUM_THREADS": "1"} | changes


def run_ranks(
    count: int, program: str, *arguments: str | Path, timeout: float = 90.0
) -> list[subprocess.CompletedProcess[str]]:
    """Runs ``rank_programs/PROGRAM`` as ``count`` ranks; returns how each ended.

    The test keeps the store, as torchrun would, so that no port has to be guessed.
    """
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROGRAMS / program), *map(str, arguments)],
            env=plain_environment(
                RANK=str(rank),
                WORLD_SIZE=str(count),
                LOCAL_RANK=str(rank),
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=str(store.port),
                TORCHELASTIC_USE_AGENT_STORE="True",
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    done = []
    try:
        for process in processes:
            out, errors = process.communicate(timeout=timeout)
            done.append(subprocess.CompletedProcess(process.args, process.returncode, out, errors))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return done


def run_well(count: int, program: str, *arguments: str | Path, timeout: float = 90.0) -> None:
    """As ``run_ranks``, and every rank must end with status 0."""
    for rank, done in enumerate(run_ranks(count, program, *arguments, timeout=timeout)):
        assert done.returncode == 0, f"rank {rank}: status {done.returncode}\n{done.stderr}"


@dataclass
class Launched:
    """A torchrun that runs; what it and its ranks say is collected in a file."""

    process: subprocess.Popen[bytes]
    output_file: Path
    seen: set[int] = field(default_factory=set)

    @property
    def output(self) -> str:
        return self.output_file.read_text(errors="replace")

    def ranks(self) -> dict[int, int]:
        """The process of each rank that lives now."""
        found = {}
        for child in _children(self.process.pid):
            with contextlib.suppress(OSError, StopIteration):
                pairs = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
                rank = next(pair for pair in pairs if pair.startswith(b"RANK="))
                found[int(rank.partition(b"=")[2])] = child
        return found

    def signal(self, rank: int, number: signal.Signals) -> None:
        """Sends a signal to one rank, which must live and not have got one before."""
        process = self.wait_for(lambda: self._fresh(rank), f"rank {rank}")
        self.seen.add(process)
        os.kill(process, number)

    def _fresh(self, rank: int) -> int | None:
        process = self.ranks().get(rank)
        return None if process in self.seen else process

    def wait_for(self, find: Callable[[], T | None], what: str, timeout: float = 90.0) -> T:
        """What ``find`` gives once it is not empty; fails if torchrun ends before, or too late."""
        end = time.monotonic() + timeout
        while True:
            over = self.process.poll() is not None
            if found := find():
                return found
            assert not over, f"ended before there was {what}:\n{self.output}"
            assert time.monotonic() < end, f"no {what}:\n{self.output}"
            time.sleep(0.02)

    def finish(self, timeout: float = 120.0) -> int:
        """Waits for the end; returns the status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end:\n{self.output}") from None


def _children(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in task.read_text().split()]
    return found


@contextlib.contextmanager
def torchrun(
    folder: Path, *options: str, ranks: int = 2, launcher: tuple[str, ...] = ("--standalone",)
) -> Iterator[Launched]:
    """``torchrun LAUNCHER -m keisei.train OPTIONS``, killed with its ranks if it still runs."""
    output = folder / f"torchrun-{len(list(folder.glob('torchrun-*')))}.txt"
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}"]
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*command, *launcher, "-m", "keisei.train", *options],
            env=plain_environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    launched = Launched(process, output)
    try:
        yield launched
    finally:
        if process.poll() is None:
            for child in launched.ranks().values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            process.kill()
            process.wait()
