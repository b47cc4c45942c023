"""The file formats that a network is exported to: how each is written, and run again to be checked.

================  ==============================================================================
``torchscript``   what ``keisei_play`` and any libtorch load
``dlshogi-onnx``  what dlshogi and FukauraOu load: ``input1`` float32 [N, 62, 9, 9] (pieces and
                  attacks) and ``input2`` [N, 57, 9, 9] (hands and check), in the order of
                  ``cshogi.dlshogi.make_input_features``; ``output_policy`` [N, 2187], logits, and
                  ``output_value`` [N, 1], the mover's winning rate in 0..1. keisei's two planes of
                  occurrence are no input: they are held at zero
``pt2``           a ``torch.export`` program, for ``torch.export.load`` and AOTInductor
================  ==============================================================================

Each carries the manifest: as the extra file ``manifest.json``, in ONNX as the metadata ``keisei``.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from keisei.core.features import FEATURE_PLANES
from keisei.utils.torchscript import torchscript_is_meant

MANIFEST_FILE = "manifest.json"
DLSHOGI_PLANES = (62, 57)
"""planes of dlshogi's two inputs"""
OCCURRENCE_PLANES = FEATURE_PLANES - sum(DLSHOGI_PLANES)
# FukauraOu's oldest onnxruntime that is in use reads this one.
_ONNX_OPSET = 18
_ONNX_KEY = "keisei"

Run = Callable[[Tensor], tuple[Tensor, Tensor]]
"""planes [N, 121, 9, 9] -> logits [N, 2187], value [N]"""


class MissingPackageError(RuntimeError):
    """A format needs a package that is not there."""


@dataclass(frozen=True)
class Format:
    """A way to write networks."""

    write: Callable[[nn.Module, str, Path], None]
    """network (float32, on the CPU, in eval()), manifest (JSON), file"""
    read: Callable[[Path], tuple[Run, str]]
    """file -> what it computes, its manifest"""
    tolerance: float
    """greatest difference of an output from the network's that its kernels may make"""
    sees_occurrence: bool = True
    """whether the planes of occurrence are part of the input"""


def example_planes(batch: int, *, sees_occurrence: bool = True) -> Tensor:
    """Planes as good as any, float32 [batch, 121, 9, 9], the same each time."""
    generator = torch.Generator().manual_seed(batch)
    planes = (torch.rand(batch, FEATURE_PLANES, 9, 9, generator=generator) < 0.2).float()
    if not sees_occurrence:
        planes[:, -OCCURRENCE_PLANES:] = 0.0
    return planes


def _write_torchscript(network: nn.Module, manifest: str, path: Path) -> None:
    with torchscript_is_meant(), _without_tf32():
        traced = torch.jit.trace(network, example_planes(3), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, str(path), _extra_files={MANIFEST_FILE: manifest})


@contextlib.contextmanager
def _without_tf32() -> Iterator[None]:
    """A trace keeps whether its convolutions may round factors to TF32 on a GPU: they may not."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


def _read_torchscript(path: Path) -> tuple[Run, str]:
    extra = {MANIFEST_FILE: ""}
    with torchscript_is_meant():
        module = torch.jit.load(str(path), _extra_files=extra)  # type: ignore[no-untyped-call]
    return module, extra[MANIFEST_FILE]


def _batch() -> torch.export.Dim:
    return torch.export.Dim("batch", min=1)


def _write_pt2(network: nn.Module, manifest: str, path: Path) -> None:
    with _quiet():
        program = torch.export.export(
            network, (example_planes(3),), dynamic_shapes=({0: _batch()},)
        )
        with path.open("wb") as file:
            torch.export.save(program, file, extra_files={MANIFEST_FILE: manifest})


def _read_pt2(path: Path) -> tuple[Run, str]:
    extra = {MANIFEST_FILE: ""}
    with _quiet(), path.open("rb") as file:
        program = torch.export.load(file, extra_files=extra)
    text: str | bytes = extra[MANIFEST_FILE]
    return program.module(), text.decode() if isinstance(text, bytes) else text


def _inputs(planes: Tensor) -> tuple[Tensor, Tensor]:
    """The inputs of dlshogi, of planes [N, 121, 9, 9]."""
    first, second = DLSHOGI_PLANES
    return planes[:, :first].contiguous(), planes[:, first : first + second].contiguous()


class _ForDlshogi(nn.Module):
    """A network behind dlshogi's inputs and outputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input1: Tensor, input2: Tensor) -> tuple[Tensor, Tensor]:
        unseen = input1.new_zeros((input1.shape[0], OCCURRENCE_PLANES, 9, 9))
        logits, value = self.network(torch.cat((input1, input2, unseen), dim=1))
        return logits, ((value + 1.0) / 2.0).unsqueeze(1)


def _write_onnx(network: nn.Module, manifest: str, path: Path) -> None:
    inputs = _inputs(example_planes(3))
    onnx, *_ = [_package(name) for name in ("onnx", "onnxscript", "onnxruntime")]
    with _quiet():
        program = torch.onnx.export(
            _ForDlshogi(network).eval(),
            inputs,
            dynamo=True,
            opset_version=_ONNX_OPSET,
            input_names=["input1", "input2"],
            output_names=["output_policy", "output_value"],
            dynamic_shapes=({0: (batch := _batch())}, {0: batch}),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {_ONNX_KEY: manifest})
    onnx.save(model, path)


def _read_onnx(path: Path) -> tuple[Run, str]:
    onnxruntime = _package("onnxruntime")
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def run(planes: Tensor) -> tuple[Tensor, Tensor]:
        one, two = _inputs(planes)
        feed = {"input1": one.numpy(), "input2": two.numpy()}
        logits, rate = session.run(["output_policy", "output_value"], feed)
        return torch.from_numpy(logits), 2.0 * torch.from_numpy(rate)[:, 0] - 1.0

    return run, session.get_modelmeta().custom_metadata_map.get(_ONNX_KEY, "")


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"dlshogi-onnx: expected the package {name} (pip install 'keisei[onnx]'): {error}"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch.export and torch.onnx say of their own insides while they work."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


FORMATS: dict[str, Format] = {
    # Outputs of the file and of the network it came from: both run the same float32 kernels.
    "torchscript": Format(_write_torchscript, _read_torchscript, tolerance=1e-5),
    "dlshogi-onnx": Format(_write_onnx, _read_onnx, tolerance=2e-4, sees_occurrence=False),
    "pt2": Format(_write_pt2, _read_pt2, tolerance=1e-5),
}
