"""Starting several ranks of a program on this machine's CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch.distributed as dist

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
