"""A run that torchrun starts again finds itself.

``torchrun --max-restarts`` starts all ranks anew, with the same command line, when one has died. A
run therefore notes in its folder which launch it belongs to; a process of the same launch goes on
with that run and never begins another one.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keisei.core.ranks import Ranks
from keisei.utils.files import replacing

LAUNCH_FILE = "launch.json"
_LAUNCHERS = ("torchrun", "torch.distributed")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Launch:
    """One invocation of torchrun, on all its machines."""

    agents: frozenset[str]
    """its processes, one a machine, each by a name that no other process ever has"""
    restarts: int
    """how often it has started the ranks anew, as far as its agents counted"""


def own_agent(environment: Mapping[str, str] = os.environ) -> str | None:
    """The torchrun process that started this one; None if none did."""
    if "TORCHELASTIC_RUN_ID" not in environment:
        return None
    process = os.getppid()
    # There may be a script in between, which is another process after each restart.
    for ancestor in _ancestors(process):
        if any(name in _command(ancestor) for name in _LAUNCHERS):
            process = ancestor
            break
    return f"{socket.gethostname()} {_boot()} {process} {_start_time(process)}"


def find_launch(ranks: Ranks, environment: Mapping[str, str] = os.environ) -> Launch | None:
    """The launch that all ranks belong to, the same on each; None without torchrun."""
    restarts = int(environment.get("TORCHELASTIC_RESTART_COUNT", "0"))
    gathered = ranks.gather_objects((own_agent(environment), restarts))
    pairs: list[tuple[str | None, int]] = ranks.share(gathered)
    agents = frozenset(agent for agent, _ in pairs if agent is not None)
    # An agent counts what died on its own machine only.
    return Launch(agents, max(count for _, count in pairs)) if agents else None


def record_launch(run_dir: Path, launch: Launch) -> None:
    """Notes in a run's folder which launch trains it now."""
    with replacing(run_dir / LAUNCH_FILE) as temporary:
        temporary.write_text(json.dumps({"agents": sorted(launch.agents)}) + "\n")


def find_own_run(run_root: Path, launch: Launch) -> Path | None:
    """The folder of the run that ``launch`` was training before it started the ranks anew.

    None if it had not begun one. Raises OSError or ValueError if a note cannot be read.
    """
    found = [
        path
        for path in run_root.glob(f"*/{LAUNCH_FILE}")
        if launch.agents.intersection(json.loads(path.read_text())["agents"])
    ]
    if not found:
        return None
    return max(found, key=lambda path: path.stat().st_mtime_ns).parent


def _ancestors(process: int) -> list[int]:
    """``process`` and those above it, nearest first."""
    found = []
    while process > 1:
        found.append(process)
        fields = _status(process)
        process = int(fields[1]) if fields else 0
    return found


def _status(process: int) -> list[str]:
    """Fields of /proc/PID/stat after the name, which may hold anything; [] where there is none."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _start_time(process: int) -> str:
    fields = _status(process)
    return fields[19] if len(fields) > 19 else ""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
