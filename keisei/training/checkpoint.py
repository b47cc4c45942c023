"""Checkpoints: a folder of safetensors and JSON, published by one rename.

=============================  ===============================================================
``model.ckpt``                 the network: see ``keisei.core.model_file``
``training-00000.safetensors`` the tensors of the training state, a file per rank
``training-00000.json``        its plain values
``past-self-*.safetensors``    past selves, if there are any: see ``past_self_files``
``checkpoint.json``            format, step, ranks, and the SHA-256 of every other file
``evaluation.json``            how strong it proved, if it was evaluated; written later
=============================  ===============================================================

What all ranks have in common lies in the first rank's files, what is a rank's own in its own.
Nothing here can execute anything when it is loaded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

import torch
from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt
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
    load_model,
    plain_tensors,
    read_json,
    save_model,
    unreadable,
)
from keisei.training.past_self_files import (
    PATTERN,
    PastSelf,
    Written,
    read_past_self,
    write_past_self,
)
from keisei.utils.files import clear, publish, replacing, sha256_of_file, unpublished

CHECKPOINT_FORMAT = "keisei-checkpoint"
FORMAT_VERSION = 2
EVALUATION_FILE = "evaluation.json"
OWN = ("env.", "random.")
"""Names that begin so are of tensors that each rank has its own of; all others are equal on all
ranks, and only the first one writes them."""


class FileRecord(Record):
    """What ``checkpoint.json`` says of one file."""

    bytes: int
    sha256: str


class Index(Record):
    """``checkpoint.json``."""

    format: str
    format_version: int
    step: NonNegativeInt
    world_size: PositiveInt
    files: dict[str, FileRecord]


class Evaluation(Record):
    """``evaluation.json``: the score that ``keep_best`` goes by, more is better."""

    score: FiniteFloat
    details: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class TrainingState:
    """What a run needs beside the weights to go on as if it had never stopped."""

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]
    past_selves: tuple[PastSelf, ...] = ()
    """oldest first; on the host, and never changed"""


@dataclass(frozen=True)
class Snapshot:
    """A run between two iterations: all that a checkpoint holds, on whatever device it is."""

    network: Mapping[str, Tensor]
    """the state dict that becomes ``model.ckpt``"""
    step: int
    state: TrainingState
    ready: torch.cuda.Event | None = None
    """behind what was enqueued to make it, if it is a copy on a CUDA device"""


def hold(snapshot: Snapshot) -> Snapshot:
    """A copy on the same devices: what training changes from now on does not reach it."""
    tensors = {name: t.detach().clone() for name, t in snapshot.state.tensors.items()}
    network = {name: t.detach().clone() for name, t in snapshot.network.items()}
    ready = None
    for tensor in network.values():
        if tensor.is_cuda:
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record(torch.cuda.current_stream(tensor.device))
            break
    return Snapshot(
        network=network,
        step=snapshot.step,
        state=replace(snapshot.state, tensors=tensors, values=dict(snapshot.state.values)),
        ready=ready,
    )


def on_host(held: Snapshot) -> Snapshot:
    """What ``hold`` copied, on the host, whatever else the device has to do."""
    ready = held.ready
    if ready is None:
        return held
    stream = torch.cuda.Stream(ready.device)  # type: ignore[no-untyped-call]
    stream.wait_event(ready)
    with torch.cuda.stream(stream):
        return Snapshot(
            network={name: tensor.cpu() for name, tensor in held.network.items()},
            step=held.step,
            state=replace(
                held.state,
                tensors={name: tensor.cpu() for name, tensor in held.state.tensors.items()},
            ),
        )


def _files_of(rank: int) -> tuple[str, str]:
    return f"training-{rank:05d}.safetensors", f"training-{rank:05d}.json"


def check_finite(snapshot: Snapshot) -> None:
    """Raises CheckpointError if a number in it is NaN or infinite: that is no state to go on from.

    Waits for the device if the tensors are on one.
    """
    for group, tensors in (("model", snapshot.network), ("training state", snapshot.state.tensors)):
        for name, tensor in tensors.items():
            if not tensor.is_floating_point() or bool(tensor.isfinite().all()):
                continue
            bad = int((~tensor.isfinite()).sum())
            raise CheckpointError(
                f"{group}: {name}: expected finite numbers, got {bad} of {tensor.numel()} that are "
                "not; nothing was saved"
            )


def write_rank_files(
    folder: Path,
    snapshot: Snapshot,
    config: AppConfig,
    rank: int,
    written: Mapping[PastSelf, Written] = MappingProxyType({}),
) -> dict[str, FileRecord]:
    """Writes one rank's part of a checkpoint into ``folder``; returns what the index says of it.

    ``written`` are files of past selves that need not be written again.
    """
    tensors, values = snapshot.state.tensors, snapshot.state.values
    names = list(_files_of(rank))
    if rank == 0:
        save_model(folder / MODEL_FILE, snapshot.network, config, snapshot.step)
        names.append(MODEL_FILE)
        for one in snapshot.state.past_selves:
            names.append(write_past_self(folder, one, written).name)
    else:
        tensors = {name: t for name, t in tensors.items() if name.startswith(OWN)}
        values = {}
    with replacing(folder / names[0]) as temporary:
        save_file(plain_tensors(tensors), temporary)
    with replacing(folder / names[1]) as temporary:
        temporary.write_text(json.dumps(dict(values), indent=1, allow_nan=False) + "\n")
    return {name: _record(folder / name) for name in names}


def _record(path: Path) -> FileRecord:
    return FileRecord(bytes=path.stat().st_size, sha256=sha256_of_file(path))


def write_index(folder: Path, step: int, files: Iterable[Mapping[str, FileRecord]]) -> None:
    """Writes ``checkpoint.json``; ``files`` is what each rank wrote."""
    by_rank = list(files)
    index = Index(
        format=CHECKPOINT_FORMAT,
        format_version=FORMAT_VERSION,
        step=step,
        world_size=len(by_rank),
        files={name: records[name] for records in by_rank for name in sorted(records)},
    )
    with replacing(folder / INDEX_FILE) as temporary:
        temporary.write_text(index.model_dump_json(indent=1) + "\n")


def save_checkpoint(
    directory: Path,
    *,
    network: torch.nn.Module | Mapping[str, Tensor],
    config: AppConfig,
    step: int,
    state: TrainingState,
) -> None:
    """Writes a whole checkpoint of one rank under another name and publishes it by one rename.

    ``network`` is one or its state dict. Raises CheckpointError if a number in it is not finite,
    OSError or SafetensorError if it cannot be written; what was published before is then as it was.
    """
    tensors = network.state_dict() if isinstance(network, torch.nn.Module) else network
    snapshot = Snapshot(tensors, step, state)
    check_finite(snapshot)
    temporary = unpublished(directory)
    try:
        clear(temporary)
        files = write_rank_files(temporary, snapshot, config, rank=0)
        write_index(temporary, snapshot.step, [files])
        publish(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_index(directory: Path) -> Index:
    """``checkpoint.json`` of a checkpoint folder, its format and its keys checked."""
    path = directory / INDEX_FILE
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise unreadable(f"{path}: cannot be read", error) from error
    index = read_json(path, text)
    expect(path, index, "format", CHECKPOINT_FORMAT)
    expect(path, index, "format_version", FORMAT_VERSION)
    return check(path, index, Index)


def verify(directory: Path) -> Index:
    """Checks that every file is there as it was written, which reads all of them.

    Raises CheckpointError, which names the first that is not.
    """
    index = read_index(directory)
    required = {MODEL_FILE}.union(*map(_files_of, range(index.world_size)))
    required |= {file.name for file in directory.glob("training-*")}
    # How many of these there must be, the training state says: see ``_past_selves``.
    required |= {name for name in index.files if PurePath(name).match(PATTERN)}
    required |= {file.name for file in directory.glob(PATTERN)}
    if index.files.keys() != required:
        raise CheckpointError(
            f"{directory / INDEX_FILE}: files: expected {sorted(required)}, "
            f"got {sorted(index.files)}"
        )
    for name, entry in index.files.items():
        file = directory / name
        try:
            if not file.is_file():
                raise CheckpointError(f"{file}: missing")
            got = _record(file)
        except OSError as error:
            raise unreadable(f"{file}: cannot be read", error) from error
        if got.bytes != entry.bytes:
            raise CheckpointError(f"{file}: bytes: expected {entry.bytes}, got {got.bytes}")
        if got.sha256 != entry.sha256:
            raise CheckpointError(f"{file}: SHA-256: expected {entry.sha256}, got {got.sha256}")
    return index


def _read_rank_files(directory: Path, rank: int) -> TrainingState:
    tensors_file, values_file = (directory / name for name in _files_of(rank))
    try:
        with safe_open(tensors_file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        values = read_json(values_file, values_file.read_text())
    except (OSError, ValueError, SafetensorError) as error:
        raise unreadable(f"{directory}: training state of rank {rank}", error) from error
    return TrainingState(tensors, values, _past_selves(directory, values))


def _past_selves(directory: Path, values: Mapping[str, Any]) -> tuple[PastSelf, ...]:
    """Those that the plain values of the training state name."""
    told = values.get("past_selves", {}).get("members", [])
    return tuple(read_past_self(directory, int(one["step"])) for one in told)


def load_training_states(directory: Path) -> list[TrainingState]:
    """The training state of every rank that saved, each with what all of them have in common.

    Checks no sums: see ``verify``.
    """
    files = [_read_rank_files(directory, rank) for rank in range(read_index(directory).world_size)]
    first = files[0]
    common = {name: t for name, t in first.tensors.items() if not name.startswith(OWN)}
    return [first] + [replace(first, tensors=common | dict(own.tensors)) for own in files[1:]]


def load_checkpoint(directory: Path, rank: int = 0) -> tuple[LoadedModel, TrainingState]:
    """Reads a whole checkpoint, as one rank of those that saved it, after checking every sum in it.

    Raises CheckpointError if a file is missing, damaged, not listed or of another format, or if no
    such rank saved.
    """
    index = verify(directory)
    if rank >= index.world_size:
        raise CheckpointError(
            f"{directory / INDEX_FILE}: world_size: expected more than {rank}, "
            f"got {index.world_size}"
        )
    model = load_model(directory / MODEL_FILE)
    expect(directory / INDEX_FILE, index.model_dump(), "step", model.manifest["step"])
    state = _read_rank_files(directory, rank)
    if rank:
        first = _read_rank_files(directory, 0)
        common = {name: t for name, t in first.tensors.items() if not name.startswith(OWN)}
        state = replace(first, tensors=common | dict(state.tensors))
    return model, state


def checkpoint_name(step: int) -> str:
    """The folder name of a checkpoint; sorting names sorts steps."""
    return f"step-{step:013d}"


def record_evaluation(directory: Path, evaluation: Evaluation) -> None:
    """Notes in a published checkpoint how strong it proved, whole or not at all."""
    with replacing(directory / EVALUATION_FILE) as temporary:
        temporary.write_text(evaluation.model_dump_json(indent=1) + "\n")


def read_evaluation(directory: Path) -> Evaluation | None:
    """What ``record_evaluation`` noted, None if nothing; CheckpointError if it is damaged."""
    path = directory / EVALUATION_FILE
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    return check(path, read_json(path, text), Evaluation)
