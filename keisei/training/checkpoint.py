"""Checkpoints: a folder of safetensors and JSON, published by one rename.

=============================  ===============================================================
``model.ckpt``                 the network: see ``keisei.core.model_file``
``training-00000.safetensors`` the tensors of the training state, a file per rank
``training-00000.json``        its plain values
``checkpoint.json``            format, step, and the SHA-256 of every other file
=============================  ===============================================================

Nothing here can execute anything when it is loaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from keisei.config_schema import AppConfig
from keisei.core.model_file import (
    INDEX_FILE,
    MODEL_FILE,
    CheckpointError,
    LoadedModel,
    Record,
    check,
    expect,
    list_checkpoints,
    load_model,
    plain_tensors,
    read_json,
    save_model,
)
from keisei.utils.files import publishing, sha256_of_file

CHECKPOINT_FORMAT = "keisei-checkpoint"
FORMAT_VERSION = 1


class FileRecord(Record):
    """What ``checkpoint.json`` says of one file."""

    bytes: int
    sha256: str


class Index(Record):
    """``checkpoint.json``."""

    format: str
    format_version: int
    step: int
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class TrainingState:
    """What a run needs beside the weights to go on as if it had never stopped."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]


def save_checkpoint(
    directory: Path,
    *,
    network: torch.nn.Module,
    config: AppConfig,
    step: int,
    state: TrainingState,
    rank: int = 0,
) -> None:
    """Writes a whole checkpoint under another name and publishes it by one rename."""
    with publishing(directory) as temporary:
        save_model(temporary / MODEL_FILE, network, config, step)
        stem = f"training-{rank:05d}"
        save_file(plain_tensors(state.tensors), temporary / f"{stem}.safetensors")
        (temporary / f"{stem}.json").write_text(json.dumps(state.values, indent=1) + "\n")
        index = {
            "format": CHECKPOINT_FORMAT,
            "format_version": FORMAT_VERSION,
            "step": step,
            "files": {
                file.name: {"bytes": file.stat().st_size, "sha256": sha256_of_file(file)}
                for file in sorted(temporary.iterdir())
            },
        }
        (temporary / INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n")


def read_index(directory: Path) -> Index:
    """``checkpoint.json`` of a checkpoint folder, its format and its keys checked."""
    path = directory / INDEX_FILE
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    index = read_json(path, text)
    expect(path, index, "format", CHECKPOINT_FORMAT)
    expect(path, index, "format_version", FORMAT_VERSION)
    return check(path, index, Index)


def load_checkpoint(directory: Path, rank: int = 0) -> tuple[LoadedModel, TrainingState]:
    """Reads a whole checkpoint after checking the SHA-256 of every file in it.

    Raises CheckpointError if a file is missing, damaged, not listed or of another format.
    """
    index = read_index(directory)
    stem = f"training-{rank:05d}"
    required = {MODEL_FILE, f"{stem}.safetensors", f"{stem}.json"}
    required |= {file.name for file in directory.glob("training-*")}
    if index.files.keys() != required:
        raise CheckpointError(
            f"{directory / INDEX_FILE}: files: expected {sorted(required)}, "
            f"got {sorted(index.files)}"
        )
    for name, entry in index.files.items():
        file = directory / name
        if not file.is_file():
            raise CheckpointError(f"{file}: missing")
        if (got := sha256_of_file(file)) != entry.sha256:
            raise CheckpointError(f"{file}: SHA-256: expected {entry.sha256}, got {got}")
        if (size := file.stat().st_size) != entry.bytes:
            raise CheckpointError(f"{file}: bytes: expected {entry.bytes}, got {size}")
    try:
        with safe_open(directory / f"{stem}.safetensors", framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        values = json.loads((directory / f"{stem}.json").read_text())
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{directory}: training state of rank {rank}: {error}") from error
    model = load_model(directory / MODEL_FILE)
    expect(directory / INDEX_FILE, index.model_dump(), "step", model.manifest["step"])
    return model, TrainingState(tensors=tensors, values=values)


def checkpoint_name(step: int) -> str:
    """The folder name of a checkpoint; sorting names sorts steps."""
    return f"step-{step:013d}"


def find_latest(run_root: Path, run_name: str | None = None) -> Path:
    """The checkpoint written last in one run, or in any run; CheckpointError if there is none."""
    runs = run_root.glob(f"{run_name or '*'}/checkpoints")
    found = [checkpoints[-1] for run in runs if (checkpoints := list_checkpoints(run))]
    if not found:
        raise CheckpointError(f"{run_root / (run_name or '')}: no checkpoint to resume from")
    return max(found, key=lambda path: (path / INDEX_FILE).stat().st_mtime_ns)
