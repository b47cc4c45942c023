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

from keisei.config_schema import AppConfig, ConfigError
from keisei.core.model_file import CHECKPOINT_FOLDER
from keisei.core.ranks import SINGLE, Ranks
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
    first: str
    """the process of the first rank, named in the same way"""


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
    return _name(process)


def find_launch(ranks: Ranks, environment: Mapping[str, str] = os.environ) -> Launch | None:
    """The launch that all ranks belong to, the same on each; None without torchrun."""
    restarts = int(environment.get("TORCHELASTIC_RESTART_COUNT", "0"))
    gathered = ranks.gather_objects((own_agent(environment), restarts, _name(os.getpid())))
    everyone: list[tuple[str | None, int, str]] = ranks.share(gathered)
    agents = frozenset(agent for agent, _, _ in everyone if agent is not None)
    # An agent counts what died on its own machine only.
    restarts = max(count for _, count, _ in everyone)
    return Launch(agents, restarts, everyone[0][2]) if agents else None


def record_launch(run_dir: Path, launch: Launch, *, complete: bool) -> None:
    """Notes in a run's folder which launch trains it now, or has trained it to its end."""
    note = {"agents": sorted(launch.agents), "first": launch.first, "complete": complete}
    with replacing(run_dir / LAUNCH_FILE) as temporary:
        temporary.write_text(json.dumps(note, indent=1) + "\n")


def find_own_run(run_root: Path, launch: Launch) -> Path | None:
    """The folder of the run that ``launch`` was training before it started the ranks anew.

    None if it had not begun one. Runs that this very process trains, or that were complete before
    anything was restarted, belong to a program that trains several. Raises OSError or ValueError if
    a note cannot be read.
    """
    found = []
    for path in run_root.glob(f"*/{LAUNCH_FILE}"):
        note = json.loads(path.read_text())
        own = launch.agents.intersection(note["agents"]) and note["first"] != launch.first
        if own and (launch.restarts or not note["complete"]):
            found.append(path)
    return max(found, key=lambda path: path.stat().st_mtime_ns).parent if found else None


def what_to_resume(
    resume: str | None, config: AppConfig, ranks: Ranks = SINGLE
) -> tuple[str | None, str | None]:
    """What is resumed: ``resume`` as given, unless torchrun restarted the ranks.

    Then the run goes on from its own newest checkpoint. If it has none yet it begins again as it
    did before, and the second value is the name of its folder, to be used again. The same on every
    rank. Raises ConfigError if the folders of the runs cannot be read.
    """
    launch = find_launch(ranks)
    if launch is None:
        return resume, None
    run, error = None, None
    if ranks.is_main:
        try:
            run = find_own_run(Path(config.logging.run_root), launch)
        except (OSError, ValueError, KeyError, TypeError) as caught:
            error = f"logging.run_root: the run to go on with was not found: {caught}"
    run, error = ranks.share((run, error))
    if error is not None:
        raise ConfigError(error)
    say = _log.warning if ranks.is_main else _log.debug
    if run is None:
        if launch.restarts:
            say("restart %d: no run had begun: it begins now", launch.restarts)
        return resume, None
    if any((run / CHECKPOINT_FOLDER).glob("step-*")):
        say("restart %d: the run in %s goes on", launch.restarts, run)
        return str(run), None
    say("restart %d: the run in %s has no checkpoint yet: it begins again", launch.restarts, run)
    return resume, run.name


def _name(process: int) -> str:
    return f"{socket.gethostname()} {_boot()} {process} {_start_time(process)}"


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
