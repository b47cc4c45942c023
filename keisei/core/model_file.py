"""``model.ckpt``: a network in one safetensors file, with a manifest in its metadata.

The manifest has the format and its version, the plane set and the label set, torch's version, the
step, the configuration, and dtype, shape and SHA-256 of every tensor. Alone, copied anywhere, the
file is enough to export, evaluate and play. Loading it executes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from keisei.config_schema import AppConfig, ConfigError, config_from_dict
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.features import LABEL_SET, PLANE_SET
from keisei.core.network import build_network
from keisei.utils.files import replacing

MODEL_FILE = "model.ckpt"
INDEX_FILE = "checkpoint.json"
CHECKPOINT_FOLDER = "checkpoints"
MODEL_FORMAT = "keisei-model"
MODEL_FORMAT_VERSION = 1
_METADATA_KEY = "keisei"
_OF_A_VERSION = ("format_version", "plane_set", "label_set")


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the text names the file, what was expected, what came."""


class UnusableHereError(CheckpointError):
    """One that may be whole: it cannot be read now, or another version of keisei wrote it."""


def unreadable(text: str, error: Exception) -> CheckpointError:
    """The error for a file that ``error`` kept from being read: a missing one is damage."""
    here = isinstance(error, OSError) and not isinstance(
        error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)
    )
    return (UnusableHereError if here else CheckpointError)(f"{text}: {error}")


class Record(BaseModel):
    """Part of a JSON file that keisei wrote: exactly these keys, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


_R = TypeVar("_R", bound=Record)


class TensorRecord(Record):
    """What the manifest says of one tensor."""

    dtype: str
    shape: list[int]
    sha256: str


class Manifest(Record):
    """The manifest of a ``model.ckpt``."""

    format: str
    format_version: int
    plane_set: dict[str, Any]
    label_set: dict[str, Any]
    torch: str
    step: NonNegativeInt
    config: dict[str, Any]
    tensors: dict[str, TensorRecord]
    sha256: str | None = None
    """of the manifest without it; files of before have none"""


@dataclass(frozen=True)
class LoadedModel:
    """A ``model.ckpt`` that passed its checks."""

    path: Path
    manifest: dict[str, Any]
    config: AppConfig
    weights: dict[str, Tensor]

    def network(self, device: torch.device | str = "cpu") -> nn.Module:
        """The network with its weights, on ``device``, in eval mode."""
        try:
            network = build_network(self.config.model)
        except ValueError as error:
            raise CheckpointError(f"{self.path}: {error}") from error
        self.fill(network)
        return network.to(device).eval()

    def fill(self, network: ActorCriticProtocol) -> None:
        """Copies the weights into ``network``; CheckpointError if they do not fit."""
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError(f"{self.path}: the weights do not fit: {error}") from error


def _sum(tensor: Tensor) -> str:
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(raw.numpy().data).hexdigest()


def _describe(tensor: Tensor) -> dict[str, Any]:
    return {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "sha256": _sum(tensor),
    }


def manifest_sum(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest, as JSON in the order it has, without its own sum."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest).encode()).hexdigest()


def plain_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors takes them: on the CPU, contiguous, no two in the same memory."""
    plain, taken = {}, set()
    for name, tensor in tensors.items():
        plain[name] = tensor.detach().cpu().contiguous()
        place = plain[name].untyped_storage().data_ptr()
        if place in taken:  # weights that a network uses twice
            plain[name] = plain[name].clone()
        taken.add(place)
    return plain


def save_model(
    path: Path,
    network: nn.Module | Mapping[str, Tensor],
    config: AppConfig,
    step: int,
) -> None:
    """Writes ``model.ckpt`` (or another name) of a network or its state dict, whole or not at all.

    ``config`` must be resolved: its ``model`` section rebuilds the network.
    """
    tensors = plain_tensors(network.state_dict() if isinstance(network, nn.Module) else network)
    manifest = {
        "format": MODEL_FORMAT,
        "format_version": MODEL_FORMAT_VERSION,
        "plane_set": PLANE_SET,
        "label_set": LABEL_SET,
        "torch": torch.__version__,
        "step": step,
        "config": config.model_dump(mode="json"),
        "tensors": {name: _describe(tensor) for name, tensor in sorted(tensors.items())},
    }
    manifest["sha256"] = manifest_sum(manifest)
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={_METADATA_KEY: json.dumps(manifest)})


def list_checkpoints(folder: Path) -> list[Path]:
    """The published checkpoints in ``folder``, oldest step first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{INDEX_FILE}"))


def load_model(path: str | Path) -> LoadedModel:
    """Reads such a file, that of a checkpoint folder, or that of a run's newest checkpoint.

    Raises CheckpointError if the file is missing or broken, of another format, made for other
    planes or labels, or if a tensor's sum is wrong.
    """
    path = Path(path)
    if path.is_dir():
        checkpoints = list_checkpoints(path / CHECKPOINT_FOLDER)
        folder, path = path, (checkpoints[-1] if checkpoints else path) / MODEL_FILE
        if not checkpoints and not path.exists():
            raise CheckpointError(
                f"{folder}: expected a run or a checkpoint, got a folder without {MODEL_FILE} and "
                "without checkpoints"
            )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: expected a checkpoint, got no such file") from error
    except (OSError, SafetensorError) as error:
        raise unreadable(f"{path}: cannot be read as safetensors", error) from error
    if _METADATA_KEY not in metadata:
        raise CheckpointError(f"{path}: no keisei manifest in the file's metadata")
    manifest = read_json(path, metadata[_METADATA_KEY])
    expect(path, manifest, "format", MODEL_FORMAT)
    expect(path, manifest, "format_version", MODEL_FORMAT_VERSION)
    expect(path, manifest, "plane_set", PLANE_SET)
    expect(path, manifest, "label_set", LABEL_SET)
    tensors = check(path, manifest, Manifest).tensors
    if "sha256" in manifest:
        got = manifest_sum(manifest)
        if got != manifest["sha256"]:
            raise CheckpointError(
                f"{path}: the manifest: sha256: expected {manifest['sha256']}, got {got}; the file "
                "is damaged"
            )
    if tensors.keys() != weights.keys():
        odd = sorted(tensors.keys() ^ weights.keys())
        raise CheckpointError(f"{path}: tensors in the manifest and in the file differ: {odd}")
    for name, tensor in weights.items():
        expected, described = tensors[name].model_dump(), _describe(tensor)
        for key in expected:
            if described[key] != expected[key]:
                raise CheckpointError(
                    f"{path}: {name}: {key}: expected {expected[key]}, got {described[key]}; "
                    "the file is damaged"
                )
    try:
        config = config_from_dict(manifest["config"], str(path))
    except ConfigError as error:
        raise UnusableHereError(str(error)) from error
    return LoadedModel(path=path, manifest=manifest, config=config, weights=weights)


def read_json(path: Path, text: str) -> dict[str, Any]:
    """The JSON object in ``text``; CheckpointError, which names ``path``, if there is none."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected JSON, got {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(values).__name__}")
    return values


def check(path: Path, values: Mapping[str, Any], kind: type[_R]) -> _R:
    """The values as ``kind``; CheckpointError names the first key that is not as it must be."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise CheckpointError(f"{path}: {key}: expected a value, got none") from error
        text = first["msg"].removeprefix("Input should be ")
        raise CheckpointError(f"{path}: {key}: expected {text}, got {first['input']!r}") from error


def expect(path: Path, manifest: Mapping[str, Any], key: str, value: object) -> None:
    """Raises CheckpointError unless ``manifest[key]`` is ``value``.

    Where another version of keisei would have written another value, UnusableHereError.
    """
    if manifest.get(key) != value:
        kind = UnusableHereError if key in _OF_A_VERSION and key in manifest else CheckpointError
        raise kind(f"{path}: {key}: expected {value!r}, got {manifest.get(key)!r}")
