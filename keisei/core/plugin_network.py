"""Networks by plugin: built from the configuration, and tried before anybody trusts them."""

from __future__ import annotations

import copy
import io

import torch
from torch import Tensor, nn

from keisei.config_schema import NETWORKS, ModelConfig
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.features import LABELS
from keisei.envs import ShogiVectorEnv
from keisei.utils.generators import kept_generators
from keisei.utils.plugins import PluginError, make_plugin
from keisei.utils.torchscript import torchscript_is_meant

# Outputs of one position in batches of several sizes: the kernels may differ, no more.
TOLERANCE = 1e-4
_GAMES, _PLIES = 6, 30

Outputs = tuple[Tensor, ...]


def build_plugin_network(config: ModelConfig) -> nn.Module:
    """The network that ``model.type`` names, built with ``model.options`` and tried.

    Raises PluginError.
    """
    network: nn.Module = make_plugin(NETWORKS, config.type, nn.Module, **config.options)
    check_network(network, config.type)
    return network


def check_network(network: nn.Module, name: str) -> None:
    """Tries a network on real positions, on the processor, in float32; PluginError if it is unfit.

    It must offer ActorCriticProtocol. Its outputs must have the shapes and dtypes that asks for,
    be finite, with values in [-1, 1], and be the same for a position in any batch, in train() and
    in eval(), in both memory formats. Every weight must be float32 and be learned. A call may
    change nothing, and TorchScript must be able to trace it. The network itself and all random
    generators stay as they were.
    """
    planes = _positions()
    try:
        with kept_generators():
            _expect(
                isinstance(network, ActorCriticProtocol), "interface", "an ActorCriticProtocol",
                type(network).__qualname__,
            )  # fmt: skip
            tried = copy.deepcopy(network).cpu()
            _check_weights(tried)
            _check_outputs(tried, planes)
            _check_gradients(tried, planes)
            _check_trace(tried, planes)
    except PluginError as error:
        raise PluginError(f"network {name!r}: {error}") from error
    except Exception as error:  # whatever a forward may raise
        raise PluginError(
            f"network {name!r}: a trial on planes float32 {[*planes.shape]} failed: "
            f"{type(error).__name__}: {error}"
        ) from error


def _expect(holds: bool, what: str, expected: str, got: object) -> None:
    if not holds:
        raise PluginError(f"{what}: expected {expected}, got {got}")


def _positions() -> Tensor:
    """Planes of positions as they occur in games, float32 [N, 121, 9, 9]."""
    env = ShogiVectorEnv(_GAMES, "cpu", seed=1)
    env.random_play(_PLIES)
    return env.planes()


def _check_weights(network: nn.Module) -> None:
    weights = dict(network.named_parameters())
    _expect(bool(weights), "weights", "at least one parameter", "none")
    for name, parameter in weights.items():
        _expect(parameter.dtype == torch.float32, name, "float32", parameter.dtype)
        _expect(parameter.requires_grad, name, "a parameter that is learned", "a frozen one")


@torch.no_grad()
def _check_outputs(network: nn.Module, planes: Tensor) -> None:
    before = copy.deepcopy(network.state_dict())
    outputs: list[Outputs] = []
    for mode, learning in (("train()", True), ("eval()", False)):
        network.train(learning)
        together = network(planes)
        _check_kind(together, len(planes))
        alone = [network(row[None]) for row in planes]
        for other, what in (
            (network(planes), "when called again"),
            (network(planes.to(memory_format=torch.channels_last)), "for channels_last planes"),
            (tuple(torch.cat(rows) for rows in zip(*alone, strict=True)), "without batch mates"),
        ):
            _expect_same(together, other, f"{what} in {mode}")
        outputs.append(together)
    _expect_same(outputs[0], outputs[1], "in train() and in eval()")
    for name, tensor in network.state_dict().items():
        _expect(torch.equal(tensor, before[name]), name, "a call to change nothing", "a change")


def _check_gradients(network: nn.Module, planes: Tensor) -> None:
    network.train()
    logits, value = network(planes)
    total = (logits * torch.arange(LABELS)).mean() + value.sum()
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    for name, gradient in zip(names, gradients, strict=True):
        _expect(gradient is not None, name, "a part in logits or value", "none")


@torch.no_grad()
def _check_trace(network: nn.Module, planes: Tensor) -> None:
    network.eval()
    stored = io.BytesIO()
    with torchscript_is_meant():
        traced = torch.jit.trace(network, planes[:3], check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, stored)
        stored.seek(0)
        loaded = torch.jit.load(stored)  # type: ignore[no-untyped-call]
        _expect_same(network(planes), loaded(planes), "from TorchScript at another batch size")


def _check_kind(outputs: object, batch: int) -> None:
    pair = isinstance(outputs, tuple) and len(outputs) == 2
    _expect(pair, "forward", "a tuple (logits, value)", type(outputs).__name__)
    assert isinstance(outputs, tuple)
    for name, tensor, shape in zip(
        ("logits", "value"), outputs, ([batch, LABELS], [batch]), strict=True
    ):
        _expect(isinstance(tensor, Tensor), name, "a tensor", type(tensor).__name__)
        got = f"{str(tensor.dtype).removeprefix('torch.')} {[*tensor.shape]}"
        _expect(got == f"float32 {shape}", name, f"float32 {shape}", got)
        _expect(bool(tensor.isfinite().all()), name, "finite numbers", "others")
    largest = float(outputs[1].abs().max())
    _expect(largest <= 1.0, "value", "numbers in [-1, 1]", f"{largest:g}")


def _expect_same(a: Outputs, b: Outputs, when: str) -> None:
    for x, y in zip(a, b, strict=True):
        _expect(x.shape == y.shape, f"outputs {when}", str([*x.shape]), [*y.shape])
    difference = max(float((x - y).abs().max()) for x, y in zip(a, b, strict=True))
    _expect(
        difference <= TOLERANCE, f"outputs {when}", "the same", f"a difference of {difference:g}"
    )
