"""Policies with random weights for the engine, and what they say in both programs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine.driver import run
from numpy.typing import NDArray
from torch import nn

import keisei
from keisei.core.features import FEATURE_PLANES, LABEL_SET, LABELS, PLANE_SET
from keisei.core.network import ResNet
from keisei.export import export_network

# TorchScript is what the engine loads; torch says at every use that it is deprecated.
TORCHSCRIPT_IS_MEANT = [
    pytest.mark.filterwarnings(rf"ignore:`torch\.jit\.\w+` is deprecated:{category}")
    for category in ("DeprecationWarning", "FutureWarning")
]
# float32 on the CPU, the same kernels in both programs but other batch sizes.
TOLERANCE = 1e-4
MANIFEST = {
    "format": "keisei-policy",
    "format_version": 1,
    "plane_set": PLANE_SET,
    "label_set": LABEL_SET,
}
MODEL_MANIFEST = {**MANIFEST, "step": 0, "config": {}}


def save(module: nn.Module, path: Path, manifest: str | None) -> Path:
    """A TorchScript file as any program may have written it."""
    with torch.no_grad():
        traced = torch.jit.trace(module, torch.zeros(2, FEATURE_PLANES, 9, 9))
    extra = {} if manifest is None else {"manifest.json": manifest}
    torch.jit.save(traced, str(path), _extra_files=extra)
    return path


def export_random(path: Path, *, depth: int, width: int, se_ratio: int) -> Path:
    """A network of the real kind with random weights, exported to ``path``."""
    torch.manual_seed(1)
    network = ResNet(depth=depth, width=width, se_ratio=se_ratio)
    with torch.no_grad():  # some heads start at zero: then nothing could be told apart
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    export_network(network, MODEL_MANIFEST, path)
    return path


def random_positions(count: int) -> list[str]:
    """SFENs from random games, all stages, both sides to move."""
    rng = random.Random(3)
    out: list[str] = []
    while len(out) < count:
        position = keisei.Position()
        for _ in range(200):
            moves = position.legal_moves()
            if not moves:
                break
            position.push(rng.choice(moves))
            if rng.random() < 0.2:
                out.append(position.sfen())
    return out[:count]


def evaluate_in_python(policy: Path, sfens: list[str]) -> tuple[NDArray[Any], NDArray[Any]]:
    planes = np.stack([keisei.Position.from_sfen(sfen).planes() for sfen in sfens])
    module = torch.jit.load(str(policy))
    with torch.inference_mode():
        logits, value = module(torch.from_numpy(planes))
    return logits.numpy(), value.numpy()


def evaluate_natively(policy: Path, sfens: list[str], *arguments: str) -> NDArray[Any]:
    """One row each: the value, then the logits."""
    result = run(
        "--model", str(policy), "--device", "cpu", "--evaluate", *arguments,
        text="\n".join(sfens) + "\n",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") == len(sfens)
    return np.fromstring(result.stdout, dtype=np.float32, sep=" ").reshape(len(sfens), 1 + LABELS)
