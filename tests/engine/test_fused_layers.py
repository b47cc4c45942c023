"""What the engine computes as one operation says what the chain of operations said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from engine.driver import Engine
from engine.policies import (
    MANIFEST,
    MODEL_MANIFEST,
    TOLERANCE,
    TORCHSCRIPT_IS_MEANT,
    evaluate_in_python,
    evaluate_natively,
    export_random,
    random_positions,
    save,
)
from torch import Tensor, nn
from torch.nn import functional

from keisei.core import network as networks
from keisei.core.features import FEATURE_PLANES
from keisei.core.network import ChannelNorm, ResidualBlock, ResNet, SqueezeExcitation
from keisei.export import export_network

Start = Callable[..., Engine]

pytestmark = TORCHSCRIPT_IS_MEANT

# Depth, width, ratio of squeeze-and-excitation. Sums go by sixteens, the GPU's loads by eights and
# fours, its rows by warps: widths that are multiples of all, of some, of none, and of many.
SHAPES = [(2, 32, 4), (1, 24, 8), (3, 20, 0), (1, 9, 4), (1, 136, 4), (1, 320, 16)]
# Within so many parts of the logits' spread.
PRECISIONS = {
    "cpu": [("fp32", 1e-3), ("bf16", 0.2)],
    "cuda:0": [("fp32", 1e-3), ("bf16", 0.2), ("fp16", 0.1)],
}
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
DEVICES = ["cpu", pytest.param("cuda:0", marks=[pytest.mark.gpu, NEEDS_GPU])]


def fused(start: Start, *arguments: str) -> int:
    """How many layers the engine says it has fused."""
    engine = start(*arguments)
    (line,) = [line for line in engine.ready() if line.startswith("info string model ")]
    engine.quit()
    found = re.search(r", (\d+) layers fused$", line)
    return int(found[1]) if found else 0


@pytest.mark.parametrize(("depth", "width", "se_ratio"), SHAPES)
@pytest.mark.parametrize("device", DEVICES)
def test_all_layers_are_fused_and_say_the_same(
    start: Start, tmp_path: Path, depth: int, width: int, se_ratio: int, device: str
) -> None:
    policy = export_random(tmp_path / "p.pt", depth=depth, width=width, se_ratio=se_ratio)
    # Two norms a block, the tower's and those of the heads; the end of each block with gates.
    layers = 2 * depth + 3 + (depth if se_ratio else 0)
    assert fused(start, "--model", str(policy), "--device", device) == layers
    positions = random_positions(200)  # on a GPU the first 64 are recorded, the next replayed
    logits, value = evaluate_in_python(policy, positions)
    for precision, tolerance in PRECISIONS[device]:
        arguments = ("--device", device, "--precision", precision)
        rows = evaluate_natively(policy, positions, *arguments)
        assert np.abs(rows[:, 1:] - logits).max() / logits.std() < tolerance, precision
        assert np.abs(rows[:, 0] - value).max() < tolerance, precision


class OtherNorm(ChannelNorm):
    """The same chain with other numbers in it."""

    dims: tuple[int, ...] = (1,)
    epsilon = 1e-5

    def forward(self, x: Tensor) -> Tensor:
        mean = x.square().mean(dim=self.dims, keepdim=True, dtype=torch.float32)
        scale = torch.rsqrt(mean + self.epsilon).type_as(x)
        weight = self.weight.type_as(x).view(1, -1, 1, 1)
        bias = self.bias.type_as(x).view(1, -1, 1, 1)
        return torch.addcmul(bias, x * scale, weight)


class OtherEpsilon(OtherNorm):
    """Adds another number to the mean."""

    epsilon = 1e-2


class OverFiles(OtherNorm):
    """Its mean goes over squares too."""

    dims = (1, 2)


class OneScale(ChannelNorm):
    """The same chain, with one scale for all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.weight = torch.nn.Parameter(torch.ones(1))


class Doubled(ChannelNorm):
    """The same chain, of numbers that no kernel knows."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double())


class Placed(ResidualBlock):
    """The same sum, to which every board brings the same first part."""

    def __init__(self, channels: int, se_ratio: int) -> None:
        super().__init__(channels, se_ratio)
        self.place = torch.nn.Parameter(torch.randn(1, channels, 9, 9))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(functional.relu(self.norm1(x)))
        y = self.conv2(functional.relu(self.norm2(y)))
        return self.place + self.se(y)


class Transposed(SqueezeExcitation):
    """Shift and gate, in this order."""

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3))
        shift, gate = self.excite(functional.relu(self.squeeze(pooled))).chunk(2, dim=1)
        return torch.addcmul(shift[:, :, None, None], x, torch.sigmoid(gate)[:, :, None, None])


NORMS, GATES = 2 * 2 + 3, 2
"""of a network of two blocks"""


@pytest.mark.parametrize(
    ("name", "other", "layers"),
    [
        ("ChannelNorm", OtherNorm, NORMS + GATES),  # the same numbers, after all
        ("ChannelNorm", OtherEpsilon, GATES),
        ("ChannelNorm", OverFiles, GATES),
        ("SqueezeExcitation", Transposed, NORMS),
        # The chains are there, and what they say follows from the shapes and types they meet.
        ("ChannelNorm", OneScale, NORMS + GATES),
        ("ResidualBlock", Placed, NORMS + GATES),
    ],
)
@pytest.mark.parametrize("device", DEVICES)
def test_networks_that_are_nearly_like_it(
    start: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    other: type[nn.Module],
    layers: int,
    device: str,
) -> None:
    monkeypatch.setattr(networks, name, other)
    policy = export_random(tmp_path / "p.pt", depth=2, width=16, se_ratio=4)
    assert fused(start, "--model", str(policy), "--device", device) == layers
    positions = random_positions(20)
    logits, _ = evaluate_in_python(policy, positions)
    rows = evaluate_natively(policy, positions, "--device", device)
    assert np.abs(rows[:, 1:] - logits).max() / logits.std() < 1e-2


def test_numbers_that_no_kernel_knows(start: Start, tmp_path: Path) -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(FEATURE_PLANES, 16, 1)
            self.norm = Doubled(16)
            self.out = nn.Conv2d(16, 27, 1)

        def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
            x = functional.relu(self.norm(self.stem(planes))).type_as(planes)
            logits = self.out(x).reshape(-1, 2187)
            return logits, torch.tanh(logits[:, 0].float())

    torch.manual_seed(0)
    path = save(Wide(), tmp_path / "wide.pt", json.dumps(MANIFEST))
    assert fused(start, "--model", str(path), "--device", "cpu") == 1
    positions = random_positions(20)
    logits, _ = evaluate_in_python(path, positions)
    rows = evaluate_natively(path, positions)
    assert np.abs(rows[:, 1:] - logits).max() <= TOLERANCE


def test_half_precision_on_the_cpu_is_left_as_it_is(start: Start, tmp_path: Path) -> None:
    policy = export_random(tmp_path / "p.pt", depth=1, width=16, se_ratio=4)
    arguments = ("--model", str(policy), "--device", "cpu", "--precision", "fp16")
    assert fused(start, *arguments) == 0


def test_what_is_no_number_is_not_hidden(start: Start, tmp_path: Path) -> None:
    """A rectifier that takes the larger of zero and no number would be a sound-looking network."""
    torch.manual_seed(0)
    network = ResNet(depth=1, width=16, se_ratio=4)
    path = tmp_path / "p.pt"
    export_network(network, MODEL_MANIFEST, path)
    module = torch.jit.load(str(path))
    with torch.no_grad():
        dict(module.named_parameters())["tower.0.norm1.bias"].fill_(float("nan"))
    manifest = {"manifest.json": ""}
    torch.jit.load(str(path), _extra_files=manifest)
    torch.jit.save(module, str(path), _extra_files=manifest)
    engine = start("--model", str(path), "--device", "cpu")
    engine.send("isready")
    lines = engine.rest()
    assert re.search(r"Error! .*: expected finite numbers, got -?nan", lines[-1]), lines
