"""``run.json``: what a run was started with, so that it can be told apart and done again.

One entry for each start: the first, and every resumption. No environment variable is stored, and no
address of a git remote, which may hold a password; the values of variables that hold secrets are
blanked wherever they stand.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import keisei
from keisei.config_schema import AppConfig
from keisei.utils.files import replacing
from keisei.utils.masking import MASK, secrets_of

RUN_FILE = "run.json"
FORMAT_VERSION = 1
_DRIVER_FILES = ("/sys/module/nvidia/version", "/proc/driver/nvidia/version")
_GIT_SECONDS = 10

_log = logging.getLogger(__name__)


def run_record(
    config: AppConfig,
    *,
    device: torch.device,
    ranks: int = 1,
    command: Sequence[str] | None = None,
    resumed_from: Path | None = None,
) -> dict[str, Any]:
    """One start of a run, as plain values.

    ``config`` is the resolved configuration, ``device`` that of the first of ``ranks`` processes;
    ``command`` is this process's own where none is given.
    """
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": list(sys.orig_argv if command is None else command),
        "working_directory": str(Path.cwd()),
        "resumed_from": None if resumed_from is None else str(resumed_from),
        "seed": config.training.seed,
        "ranks": ranks,
        "versions": versions(device),
        "device": describe_device(device),
        "git": {
            "working_directory": git_state(Path.cwd()),
            "keisei": git_state(Path(keisei.__file__).parent, of_file="__init__.py"),
        },
        "config": config.model_dump(mode="json"),
    }


def write_run_record(
    run_dir: Path, record: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Path:
    """Adds an entry to the run's ``run.json`` and returns its path.

    Values of secret variables of ``environment`` (``os.environ`` where none is given) are blanked.
    A file that cannot be read is set aside as ``run.damaged.json``.
    """
    path = run_dir / RUN_FILE
    starts: list[Any] = []
    if path.exists():
        try:
            starts = json.loads(path.read_text(encoding="utf-8"))["starts"]
            if not isinstance(starts, list):
                raise TypeError(f"starts: expected a list, got {type(starts).__name__}")
        except (ValueError, KeyError, TypeError) as error:
            damaged = path.with_name("run.damaged.json")
            _log.warning("%s: not a run's record (%r); now %s", path, error, damaged.name)
            path.replace(damaged)
            starts = []
    entry = _blank(record, secrets_of(os.environ if environment is None else environment))
    with replacing(path) as temporary:
        text = json.dumps({"format_version": FORMAT_VERSION, "starts": [*starts, entry]}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def _blank(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
        return value
    if isinstance(value, Mapping):
        return {key: _blank(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_blank(item, secrets) for item in value]
    return value


def versions(device: torch.device) -> dict[str, str | None]:
    """Versions of what computes: keisei, Python, torch, CUDA, the driver, and others; or null."""
    cuda = device.type == "cuda"
    cudnn = torch.backends.cudnn.version() if cuda else None  # type: ignore[no-untyped-call]
    return {
        "keisei": keisei.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
        "driver": driver_version() if cuda else None,
        **{name: _installed(name) for name in ("numpy", "triton", "pydantic", "safetensors")},
        "system": platform.platform(),
    }


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def driver_version(files: Sequence[str] = _DRIVER_FILES) -> str | None:
    """The version of NVIDIA's driver, as the kernel or else ``nvidia-smi`` says it."""
    for name in files:
        try:
            text = Path(name).read_text(encoding="utf-8")
        except OSError:
            continue
        found = re.search(r"\b\d{3,}\.\d+(?:\.\d+)?\b", text)
        if found:
            return found[0]
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.split()
    return lines[0] if lines else None


def describe_device(device: torch.device) -> dict[str, Any]:
    """The device's name, and what one would ask of it next."""
    if device.type == "cuda":
        of = torch.cuda.get_device_properties(device)
        return {
            "name": of.name,
            "capability": f"{of.major}.{of.minor}",
            "memory_bytes": of.total_memory,
            "processors": of.multi_processor_count,
        }
    return {"name": _processor_name(), "processors": os.cpu_count()}


def _processor_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def git_state(folder: Path, of_file: str | None = None) -> dict[str, Any] | None:
    """Commit of the checkout that ``folder`` lies in, and whether tracked files were changed.

    None where there is no checkout, or where it does not track ``of_file`` (a path below
    ``folder``): a package installed inside somebody's checkout is not part of it. Where git cannot
    say, ``error`` holds what it said instead.
    """
    folder = folder.resolve()
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return None
    try:
        if of_file is not None and _git(folder, "ls-files", "--", of_file) == "":
            return None
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    except subprocess.CalledProcessError as error:
        lines = str(error.stderr).strip().splitlines()
        return {"error": lines[0] if lines else f"git ended with status {error.returncode}"}
    return {"commit": commit, "dirty": changed != ""}


def _git(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    # It looks only: no lock is taken, and no program that a checkout names is started.
    done = subprocess.run(
        ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", *arguments],
        cwd=folder,
        env=environment | {"LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=_GIT_SECONDS,
        check=True,
    )
    return done.stdout.strip()
