"""The residual network with everything between its convolutions fused, for CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor
from torch.nn import functional

from keisei.core import fused_kernels as kernels
from keisei.core.features import FEATURE_PLANES, SQUARES
from keisei.core.network import ResNet
from keisei.ops import PADDED_PLANES


@dataclass(frozen=True)
class Tile:
    """How a kernel divides its work; chosen by measurement."""

    elements: int
    """of the rows that a step works on"""
    warps: int
    """of a program"""
    programs: int = 0
    """where programs stride over their work"""
    elements_of_sum: int = 0
    """of the rows that a step only sums, or only scales"""
    stages: int = 1
    """steps whose loads are under way at once"""
    registers: int | None = None
    """most registers of a thread"""

    def rows(self, channels: int) -> int:
        """Rows of a step."""
        return max(1, self.elements // _block(channels))

    def rows_of_sum(self, channels: int) -> int:
        """Rows of a step that only sums, or only scales."""
        return max(1, self.elements_of_sum // _block(channels))


# By kernel and by whether the network is at least 256 wide.
TILES = {
    ("norm_relu_forward", False): Tile(4096, 8),
    ("norm_relu_forward", True): Tile(4096, 8),
    ("norm_relu_backward", False): Tile(2048, 8, programs=132 * 4),
    ("norm_relu_backward", True): Tile(2048, 8, programs=132 * 4),
    ("join_forward", False): Tile(4096, 4, elements_of_sum=8192),
    ("join_forward", True): Tile(4096, 8, elements_of_sum=8192),
    ("join_backward", False): Tile(512, 2, programs=132 * 8, stages=3, registers=128),
    ("join_backward", True): Tile(512, 2, programs=132 * 8, stages=3, registers=128),
    ("policy_forward", False): Tile(8192, 4),
    ("policy_forward", True): Tile(16384, 8),
    ("policy_backward", False): Tile(4096, 4, programs=132 * 2),
    ("policy_backward", True): Tile(8192, 8, programs=132),
    ("join_backward_rest", False): Tile(4096, 8),
    ("join_backward_rest", True): Tile(4096, 8),
}


def _block(channels: int) -> int:
    return max(16, int(triton.next_power_of_2(channels)))


def _dense(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _total(sums: Tensor) -> Tensor:
    """The sum over the programs that wrote float32 [P, ...]."""
    out = sums.new_empty(sums.shape[1:])
    width = out.numel()
    kernels.sum_parts[(triton.cdiv(width, 32),)](
        sums, out, sums.shape[0], width, 32, 256, num_warps=8
    )
    return out


class NormRelu(torch.autograd.Function):
    """x -> (x, relu(norm(x + shift))); the gradients of both meet inside the kernel."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, shift: Tensor | None, weight: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """For x [N, C, 9, 9] channels-last; shift, weight, bias [C]."""
        channels = x.shape[1]
        tile = TILES["norm_relu_forward", channels >= 256]
        rows, step = x.numel() // channels, tile.rows(channels)
        z = torch.empty_like(x)
        kernels.norm_relu_forward[(triton.cdiv(rows, step),)](
            x,
            x if shift is None else shift,
            weight,
            bias,
            z,
            rows,
            shift is not None,
            channels,
            _block(channels),
            step,
            num_warps=tile.warps,
            maxnreg=tile.registers,
        )
        ctx.save_for_backward(x, shift, weight, bias)
        ctx.set_materialize_grads(False)
        return x.view_as(x), z

    @staticmethod
    def backward(ctx: Any, skip: Tensor | None, dz: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the inputs from those of both outputs."""
        x, shift, weight, bias = ctx.saved_tensors
        channels = x.shape[1]
        tile = TILES["norm_relu_backward", channels >= 256]
        rows, step = x.numel() // channels, tile.rows(channels)
        programs = min(tile.programs, triton.cdiv(rows, step))
        dx = torch.empty_like(x)
        dz = _dense(dz)
        sums = x.new_empty((programs, 3, channels), dtype=torch.float32)
        kernels.norm_relu_backward[(programs,)](
            dz,
            dz if skip is None else _dense(skip),
            x,
            x if shift is None else shift,
            weight,
            bias,
            dx,
            sums,
            rows,
            skip is not None,
            shift is not None,
            channels,
            _block(channels),
            step,
            num_warps=tile.warps,
            maxnreg=tile.registers,
        )
        dweight, dbias, dshift = _total(sums).unbind()
        by_shift = None if shift is None else dshift.to(shift.dtype)
        return dx, by_shift, dweight.to(weight.dtype), dbias.to(bias.dtype)


class Join(torch.autograd.Function):
    """(x, y) -> (sum = x + shift + se(y), relu(norm(sum))).

    Without weights for it, se is the identity. ``shift`` gets no gradient: that of x has it all.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        shift: Tensor | None,
        y: Tensor,
        weight: Tensor,
        bias: Tensor,
        squeeze: Tensor | None,
        squeeze_bias: Tensor | None,
        excite: Tensor | None,
        excite_bias: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """For x and y [N, C, 9, 9] channels-last; shift, weight, bias [C]."""
        batch, channels = x.shape[:2]
        tile = TILES["join_forward", channels >= 256]
        hidden_units = 1 if squeeze is None else squeeze.shape[0]
        out, z = torch.empty_like(x), torch.empty_like(x)
        save = any(ctx.needs_input_grad)
        pooled = hidden = gate = None
        if squeeze is not None and save:
            pooled = x.new_empty((batch, channels))
            hidden = x.new_empty((batch, hidden_units))
            gate = x.new_empty((batch, channels))
        none = x  # stands for tensors that the kernel does not touch
        kernels.join_forward[(batch,)](
            x,
            none if shift is None else shift,
            y,
            weight,
            bias,
            none if squeeze is None else squeeze,
            none if squeeze_bias is None else squeeze_bias,
            none if excite is None else excite,
            none if excite_bias is None else excite_bias,
            out,
            z,
            none if pooled is None else pooled,
            none if hidden is None else hidden,
            none if gate is None else gate,
            shift is not None,
            squeeze is not None,
            save,
            channels,
            _block(channels),
            hidden_units,
            _block(hidden_units),
            tile.rows_of_sum(channels),
            tile.rows(channels),
            tile.stages,
            num_warps=tile.warps,
            maxnreg=tile.registers,
        )
        if squeeze is None:
            ctx.save_for_backward(out, weight, bias)
        else:
            ctx.save_for_backward(out, weight, bias, y, squeeze, excite, pooled, hidden, gate)
        ctx.set_materialize_grads(False)
        return out, z

    @staticmethod
    def backward(ctx: Any, skip: Tensor | None, dz: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the inputs from those of both outputs."""
        out, weight, bias, *rest = ctx.saved_tensors
        saved: tuple[Any, ...] = tuple(rest) or (None,) * 6
        y, squeeze, excite, pooled, hidden, gate = saved
        batch, channels = out.shape[:2]
        tile = TILES["join_backward", channels >= 256]
        programs = min(tile.programs, batch)
        dx = torch.empty_like(out)
        dz = _dense(dz)
        sums = out.new_empty((programs, 4, channels), dtype=torch.float32)
        dexcited = out.new_empty((batch, 2 * channels))
        kernels.join_backward[(programs,)](
            dz,
            dz if skip is None else _dense(skip),
            out,
            out if y is None else y,
            weight,
            bias,
            out if gate is None else gate,
            dx,
            sums,
            dexcited,
            batch,
            skip is not None,
            squeeze is not None,
            channels,
            _block(channels),
            tile.rows(channels),
            tile.stages,
            num_warps=tile.warps,
            maxnreg=tile.registers,
        )
        totals = _total(sums)
        by_norm = totals[0].to(weight.dtype), totals[1].to(bias.dtype)
        if squeeze is None:
            return dx, None, dx, *by_norm, None, None, None, None
        dhidden = torch.ops.aten.threshold_backward(dexcited @ excite, hidden, 0)
        dpooled = dhidden @ squeeze
        dy = torch.empty_like(out)
        tile = TILES["join_backward_rest", channels >= 256]
        kernels.join_backward_rest[(batch,)](
            dx,
            gate,
            dpooled,
            dy,
            channels,
            _block(channels),
            tile.rows(channels),
            num_warps=tile.warps,
            maxnreg=tile.registers,
        )
        return (
            dx,
            None,
            dy,
            *by_norm,
            dhidden.t() @ pooled,
            dhidden.sum(dim=0),
            dexcited.t() @ hidden,
            totals[2:].flatten().to(excite.dtype),
        )


class Policy(torch.autograd.Function):
    """x -> the 1x1 convolution of relu(norm(x)), in label order."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, out: Tensor, out_bias: Tensor
    ) -> Tensor:
        """For x [N, C, 9, 9] channels-last, out [P, C, 1, 1]: [N, P * 81]."""
        batch, channels = x.shape[:2]
        tile = TILES["policy_forward", channels >= 256]
        rows, step = batch * SQUARES, max(16, tile.rows(channels))
        planes = out.shape[0]
        logits = x.new_empty((batch, planes * SQUARES))
        kernels.policy_forward[(triton.cdiv(rows, step),)](
            x,
            weight,
            bias,
            out,
            out_bias,
            logits,
            rows,
            channels,
            _block(channels),
            planes,
            _block(planes),
            step,
            num_warps=tile.warps,
            maxnreg=tile.registers,
        )
        ctx.save_for_backward(x, weight, bias, out, out_bias)
        return logits

    @staticmethod
    def backward(ctx: Any, dlogits: Tensor) -> tuple[Tensor, ...]:
        """The gradients of the inputs."""
        x, weight, bias, out, out_bias = ctx.saved_tensors
        batch, channels = x.shape[:2]
        tile = TILES["policy_backward", channels >= 256]
        rows, step = batch * SQUARES, max(16, tile.rows(channels))
        programs = min(tile.programs, triton.cdiv(rows, step))
        planes = out.shape[0]
        dx = torch.empty_like(x)
        parts = planes * channels, channels, channels, planes
        sums = x.new_empty((programs, sum(parts)), dtype=torch.float32)
        kernels.policy_backward[(programs,)](
            dlogits.contiguous(),
            x,
            weight,
            bias,
            out,
            dx,
            sums,
            rows,
            channels,
            _block(channels),
            planes,
            _block(planes),
            step,
            num_warps=tile.warps,
            maxnreg=tile.registers,
        )
        dout, dweight, dbias, dout_bias = torch.split(_total(sums), list(parts))
        return (
            dx,
            dweight.to(weight.dtype),
            dbias.to(bias.dtype),
            dout.view(out.shape).to(out.dtype),
            dout_bias.to(out_bias.dtype),
        )


def try_kernel(device: torch.device) -> None:
    """Compiles and runs one kernel; raises whatever it takes to know that none would work."""
    x = torch.ones(1, 16, 9, 9, device=device)
    weight, bias = torch.ones(16, device=device), torch.zeros(16, device=device)
    with torch.no_grad():
        norm_relu: Any = NormRelu.apply
        _, z = norm_relu(_dense(x), None, weight, bias)
    if not bool((z > 0.9).all()):
        raise RuntimeError(f"a kernel gave {z.flatten()[0].item()}, expected nearly 1")


class FusedResNet:
    """A ``ResNet`` in ``dtype`` on CUDA: a ``WorkingNetwork``.

    It has its own copies of the weights, cast once a ``refresh`` instead of once a use; those of
    the norms stay in float32. The stem's weights are padded as its planes are.
    """

    padded = True

    def __init__(self, network: ResNet, dtype: torch.dtype) -> None:
        self._parameters: list[Tensor] = [p for _, p in network.named_parameters()]
        self._depth = len(network.tower)
        self._weights: dict[str, Tensor] = {}
        for name, parameter in network.named_parameters():
            kind = torch.float32 if "norm" in name else dtype
            self._weights[name] = torch.empty_like(parameter, dtype=kind)
        stem = torch.zeros(
            (network.stem.out_channels, PADDED_PLANES, 3, 3),
            dtype=dtype,
            device=network.stem.weight.device,
        )
        self._weights["stem.weight"] = stem.contiguous(memory_format=torch.channels_last)
        self._leaves = [weight.requires_grad_() for weight in self._weights.values()]
        # The parts of them that are weights.
        self._used = [self._unpadded(name, weight) for name, weight in self._weights.items()]
        # Lists that torch copies in one launch each: of one dtype and, but for the stem, dense.
        names = list(enumerate(self._weights))
        stem_index = [i for i, name in names if name == "stem.weight"]
        norms = [i for i, name in names if "norm" in name]
        others = [i for i, _ in names if i not in norms and i not in stem_index]
        self._groups = [norms, others, stem_index]
        self.refresh()

    @staticmethod
    def _unpadded(name: str, tensor: Tensor) -> Tensor:
        return tensor.detach()[:, :FEATURE_PLANES] if name == "stem.weight" else tensor.detach()

    @torch.no_grad()
    def refresh(self) -> None:
        """See ``WorkingNetwork``."""
        self._copy(self._used, self._parameters)

    def _copy(self, targets: list[Tensor], sources: list[Tensor]) -> None:
        for group in self._groups:
            torch._foreach_copy_([targets[i] for i in group], [sources[i] for i in group])

    def gradients(
        self, outputs: Sequence[Tensor], by: Sequence[Tensor] | None = None
    ) -> list[Tensor | None]:
        """See ``WorkingNetwork``."""
        found = torch.autograd.grad(outputs, self._leaves, by)
        used = [self._unpadded(*pair) for pair in zip(self._weights, found, strict=True)]
        out = [torch.empty_like(parameter) for parameter in self._parameters]
        self._copy(out, used)
        return list(out)

    def __call__(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """See ``WorkingNetwork``; planes [N, 128, 9, 9] channels-last."""
        w = self._weights
        norm_relu: Any = NormRelu.apply
        join: Any = Join.apply
        policy: Any = Policy.apply
        # The stem's bias is added where the stem's output is read: once for each reader.
        shift: Tensor | None = w["stem.bias"]
        x = functional.conv2d(planes, w["stem.weight"], padding=1)
        x, z = norm_relu(x, shift, w["tower.0.norm1.weight"], w["tower.0.norm1.bias"])
        for index in range(self._depth):
            at = f"tower.{index}."
            y = functional.conv2d(z, w[at + "conv1.weight"], padding=1)
            _, z = norm_relu(y, None, w[at + "norm2.weight"], w[at + "norm2.bias"])
            y = functional.conv2d(z, w[at + "conv2.weight"], padding=1)
            norm = "norm." if index + 1 == self._depth else f"tower.{index + 1}.norm1."
            excitation = (
                w.get(at + "se.squeeze.weight"),
                w.get(at + "se.squeeze.bias"),
                w.get(at + "se.excite.weight"),
                w.get(at + "se.excite.bias"),
            )
            x, z = join(x, shift, y, w[norm + "weight"], w[norm + "bias"], *excitation)
            shift = None
        y = functional.conv2d(z, w["policy_conv.weight"], padding=1)
        logits = policy(
            y,
            w["policy_norm.weight"],
            w["policy_norm.bias"],
            w["policy_out.weight"],
            w["policy_out.bias"],
        )
        value = functional.conv2d(z, w["value_conv.weight"])
        _, value = norm_relu(value, None, w["value_norm.weight"], w["value_norm.bias"])
        value = value.flatten(1)
        value = functional.linear(value, w["value_hidden.weight"], w["value_hidden.bias"])
        value = functional.relu(value)
        value = functional.linear(value, w["value_out.weight"], w["value_out.bias"])
        return logits, torch.tanh(value.float()).reshape(-1)
