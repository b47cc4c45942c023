"""Checkpoints: a folder of safetensors and JSON, published by one rename.

=============================  ===============================================================
``model.ckpt``                 safetensors; the weights, and in its metadata the manifest. Alone
                               it is enough to export, evaluate and play.
``training-00000.safetensors`` the tensors of the training state, a file per rank
``training-00000.json``        its plain values
``checkpoint.json``            format, step, and the SHA-256 of every other file
=============================  ===============================================================

Nothing here can execute anything when it is loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from keisei.config_schema import AppConfig, ConfigError, config_from_dict
from keisei.core.features import LABEL_SET, PLANE_SET
from keisei.core.network import ResNet, build_network
from keisei.utils.files import publishing, replacing, sha256_of_file

MODEL_FILE = "model.ckpt"
INDEX_FILE = "checkpoint.json"
MODEL_FORMAT = "keisei-model"
CHECKPOINT_FORMAT = "keisei-checkpoint"
FORMAT_VERSION = 1
_METADATA_KEY = "keisei"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the text names the file, what was expected, what came."""


@dataclass(frozen=True)
class TrainingState:
    """What a run needs beside the weights to go on as if it had never stopped."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]


@dataclass(frozen=True)
class LoadedModel:
    """A ``model.ckpt`` that passed its checks."""

    path: Path
    manifest: dict[str, Any]
    config: AppConfig
    weights: dict[str, Tensor]

    def network(self, device: torch.device | str = "cpu") -> ResNet:
        """The network with its weights, on ``device``, in eval mode."""
        network = build_network(self.config.model)
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError(f"{self.path}: the weights do not fit: {error}") from error
        return network.to(device).eval()


def _sum(tensor: Tensor) -> str:
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(raw.numpy().tobytes()).hexdigest()


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def save_model(path: Path, network: torch.nn.Module, config: AppConfig, step: int) -> None:
    """Writes ``model.ckpt`` (or another name), whole or not at all.

    ``config`` must be resolved: its ``model`` section rebuilds the network.
    """
    tensors = _plain(network.state_dict())
    manifest = {
        "format": MODEL_FORMAT,
        "format_version": FORMAT_VERSION,
        "plane_set": PLANE_SET,
        "label_set": LABEL_SET,
        "torch": torch.__version__,
        "step": step,
        "config": config.model_dump(mode="json"),
        "tensors": {
            name: {
                "dtype": str(tensor.dtype).removeprefix("torch."),
                "shape": list(tensor.shape),
                "sha256": _sum(tensor),
            }
            for name, tensor in sorted(tensors.items())
        },
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={_METADATA_KEY: json.dumps(manifest)})


def load_model(path: str | Path) -> LoadedModel:
    """Reads a checkpoint folder's ``model.ckpt``, or such a file alone.

    Raises CheckpointError if the file is missing or broken, of another format, made for other
    planes or labels, or if a tensor's sum is wrong.
    """
    path = Path(path)
    if path.is_dir():
        path = path / MODEL_FILE
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {error}") from error
    if _METADATA_KEY not in metadata:
        raise CheckpointError(f"{path}: no keisei manifest in the file's metadata")
    manifest = json.loads(metadata[_METADATA_KEY])
    _expect(path, manifest, "format", MODEL_FORMAT)
    _expect(path, manifest, "format_version", FORMAT_VERSION)
    _expect(path, manifest, "plane_set", PLANE_SET)
    _expect(path, manifest, "label_set", LABEL_SET)
    sums = {name: entry["sha256"] for name, entry in manifest["tensors"].items()}
    if sums.keys() != weights.keys():
        odd = sorted(sums.keys() ^ weights.keys())
        raise CheckpointError(f"{path}: tensors in the manifest and in the file differ: {odd}")
    for name, tensor in weights.items():
        if _sum(tensor) != sums[name]:
            raise CheckpointError(f"{path}: {name}: wrong SHA-256; the file is damaged")
    try:
        config = config_from_dict(manifest["config"], str(path))
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    return LoadedModel(path=path, manifest=manifest, config=config, weights=weights)


def _expect(path: Path, manifest: Mapping[str, Any], key: str, value: object) -> None:
    if manifest.get(key) != value:
        raise CheckpointError(f"{path}: {key}: expected {value!r}, got {manifest.get(key)!r}")


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
        save_file(_plain(state.tensors), temporary / f"{stem}.safetensors")
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


def read_index(directory: Path) -> dict[str, Any]:
    """``checkpoint.json`` of a checkpoint folder, unchecked but for its format."""
    path = directory / INDEX_FILE
    try:
        index = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if not isinstance(index, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(index).__name__}")
    _expect(path, index, "format", CHECKPOINT_FORMAT)
    _expect(path, index, "format_version", FORMAT_VERSION)
    return index


def load_checkpoint(directory: Path, rank: int = 0) -> tuple[LoadedModel, TrainingState]:
    """Reads a whole checkpoint after checking the SHA-256 of every file in it.

    Raises CheckpointError if a file is missing, damaged or of another format.
    """
    for name, entry in read_index(directory)["files"].items():
        file = directory / name
        if not file.is_file():
            raise CheckpointError(f"{file}: missing")
        if (got := sha256_of_file(file)) != entry["sha256"]:
            raise CheckpointError(f"{file}: SHA-256: expected {entry['sha256']}, got {got}")
    stem = f"training-{rank:05d}"
    try:
        with safe_open(directory / f"{stem}.safetensors", framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        values = json.loads((directory / f"{stem}.json").read_text())
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{directory}: training state of rank {rank}: {error}") from error
    return load_model(directory), TrainingState(tensors=tensors, values=values)


def checkpoint_name(step: int) -> str:
    """The folder name of a checkpoint; sorting names sorts steps."""
    return f"step-{step:013d}"


def list_checkpoints(folder: Path) -> list[Path]:
    """The published checkpoints in ``folder``, oldest step first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{INDEX_FILE}"))


def find_latest(run_root: Path, run_name: str | None = None) -> Path:
    """The checkpoint written last in one run, or in any run; CheckpointError if there is none."""
    runs = run_root.glob(f"{run_name or '*'}/checkpoints")
    found = [checkpoints[-1] for run in runs if (checkpoints := list_checkpoints(run))]
    if not found:
        raise CheckpointError(f"{run_root / (run_name or '')}: no checkpoint to resume from")
    return max(found, key=lambda path: (path / INDEX_FILE).stat().st_mtime_ns)
