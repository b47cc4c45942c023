"""The fused network computes what the plain one computes, and the same gradients."""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys

import pytest
import torch

from keisei.core.network import ResNet
from keisei.core.working_network import PlainNetwork, WorkingNetwork


def network(width: int, se_ratio: int, device: str) -> ResNet:
    """Two blocks whose weights are all far from where training begins."""
    torch.manual_seed(width + se_ratio)
    made = ResNet(depth=2, width=width, se_ratio=se_ratio)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.ndim == 1 or "excite" in name or "_out" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    made.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return made


def relative(got: torch.Tensor, expected: torch.Tensor) -> float:
    got, expected = got.detach().double(), expected.detach().double()
    return float((got - expected).norm() / expected.norm())


def errors(
    width: int, se_ratio: int, device: str, dtype: torch.dtype, plainly: bool = False
) -> dict[str, float]:
    """The distance of the fused network in ``dtype`` from the plain one in float64.

    ``plainly``: that of the plain one in ``dtype`` instead.
    """
    from keisei.core.fused import FusedResNet

    plain = network(width, se_ratio, device)
    fused: WorkingNetwork = FusedResNet(plain, dtype)
    if plainly:
        fused = PlainNetwork(plain, torch.device(device), dtype)
    generator = torch.Generator().manual_seed(0)
    planes = (torch.rand(5, 121, 9, 9, generator=generator) < 0.2).to(device, dtype)
    planes = planes.contiguous(memory_format=torch.channels_last)
    padded = torch.nn.functional.pad(planes, (0, 0, 0, 0, 0, 7))
    by_logits = torch.randn(5, 2187, generator=generator).to(device)
    by_value = torch.randn(5, generator=generator).to(device)
    padded = padded.contiguous(memory_format=torch.channels_last)
    logits, value = fused(padded if fused.padded else planes)
    assert logits.dtype == dtype and value.dtype == torch.float32
    gradients = fused.gradients([(logits * by_logits).sum(), (value * by_value).sum()])
    for parameter, gradient in zip(plain.parameters(), gradients, strict=True):
        assert gradient is not None and gradient.dtype == parameter.dtype
        if not plainly:
            assert gradient.stride() == parameter.stride(), (
                "the fused optimiser wants these strides"
            )
    plain.double()
    exact_logits, exact_value = plain(planes.double())
    ((exact_logits * by_logits).sum() + (exact_value * by_value).sum()).backward()
    out = {"logits": relative(logits, exact_logits), "value": relative(value, exact_value)}
    for (name, parameter), gradient in zip(plain.named_parameters(), gradients, strict=True):
        assert gradient is not None and parameter.grad is not None
        out[name] = relative(gradient, parameter.grad)
    return out


def silent(device: str, dtype: torch.dtype) -> list[str]:
    """The weights that may be no number without an output being none."""
    from keisei.core.fused import FusedResNet

    plain = network(16, 4, device)
    planes = torch.rand(3, 128, 9, 9, generator=torch.Generator().manual_seed(0)) < 0.2
    planes = planes.to(device, dtype).contiguous(memory_format=torch.channels_last)
    found = []
    for name, parameter in plain.named_parameters():
        first = (0,) * parameter.ndim
        with torch.no_grad():
            kept = parameter[first].clone()
            parameter[first] = torch.nan
            logits, value = FusedResNet(plain, dtype)(planes)
            parameter[first] = kept
        if not logits.isnan().any() and not value.isnan().any():
            found.append(name)
    return found


CASES = [(8, 4), (16, 4), (16, 0), (24, 4)]  # 24: no power of two


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton")
def test_in_tritons_interpreter() -> None:
    """In a process of its own, since Triton reads the switch when it is imported."""
    code = (
        "import torch; from test_fused import CASES, errors, silent\n"
        "for case in CASES:\n"
        "    found = errors(*case, 'cpu', torch.float32)\n"
        "    bad = {name: error for name, error in found.items() if not error < 1e-5}\n"
        "    assert not bad, (case, bad)\n"
        "assert not silent('cpu', torch.float32), silent('cpu', torch.float32)\n"
    )
    environment = os.environ | {
        "TRITON_INTERPRET": "1",
        "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),  # noqa: PTH120
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.gpu
@pytest.mark.parametrize(("width", "se_ratio"), [*CASES, (128, 4), (256, 4), (256, 0)])
def test_on_a_gpu(width: int, se_ratio: int) -> None:
    torch.backends.cudnn.allow_tf32 = False
    try:
        exact = errors(width, se_ratio, "cuda", torch.float32)
    finally:
        torch.backends.cudnn.allow_tf32 = True
    assert {name: error for name, error in exact.items() if not error < 1e-4} == {}
    # In bfloat16 it rounds less often than the plain one does under autocast. One tensor of few
    # weights, whose gradient is a sum that nearly cancels, may come off worse by chance: so all
    # together are compared, and each for itself against gross errors alone.
    rough = errors(width, se_ratio, "cuda", torch.bfloat16)
    plain = errors(width, se_ratio, "cuda", torch.bfloat16, plainly=True)
    assert statistics.median(rough.values()) < 2 * statistics.median(plain.values())
    assert {name: error for name, error in rough.items() if not error < 0.5} == {}


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_is_no_number_shows(dtype: torch.dtype) -> None:
    """A rectifier must not make 0 of it: the learner looks for it in what comes out."""
    assert silent("cuda", dtype) == []


@pytest.mark.gpu
def test_weights_are_taken_over_only_when_asked() -> None:
    from keisei.core.fused import FusedResNet

    plain = network(16, 4, "cuda")
    fused = FusedResNet(plain, torch.float32)
    planes = torch.ones(2, 128, 9, 9, device="cuda").contiguous(memory_format=torch.channels_last)
    before = fused(planes)[0].detach()
    with torch.no_grad():
        plain.policy_out.bias.add_(1.0)
    assert torch.equal(fused(planes)[0], before)
    fused.refresh()
    torch.testing.assert_close(fused(planes)[0].detach(), before + 1.0, rtol=0, atol=1e-5)
