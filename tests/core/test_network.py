"""The network's shape, its label order, and that a position's output is its own."""

from __future__ import annotations

import pytest
import torch

from keisei import Position
from keisei.config_schema import ModelConfig
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.features import FEATURE_PLANES, LABEL_PLANES, LABELS, SQUARES
from keisei.core.network import ResNet, build_network


def small(**changes: int) -> ResNet:
    torch.manual_seed(1)
    return build_network(
        ModelConfig(**{"tower_depth": 2, "tower_width": 16, "se_ratio": 4} | changes)
    )


def planes(batch: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(batch, FEATURE_PLANES, 9, 9, generator=generator) < 0.2).float()


@pytest.mark.parametrize("se_ratio", [0, 4])
@pytest.mark.parametrize("depth", [1, 3])
def test_shapes_ranges_and_protocol(depth: int, se_ratio: int) -> None:
    network = small(tower_depth=depth, se_ratio=se_ratio)
    assert isinstance(network, ActorCriticProtocol)
    assert len(network.tower) == depth
    assert any("excite" in name for name, _ in network.named_parameters()) == bool(se_ratio)
    logits, value = network(planes(5))
    assert logits.shape == (5, LABELS) and value.shape == (5,)
    assert logits.dtype == value.dtype == torch.float32
    assert bool((value.abs() <= 1).all())


def test_an_open_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="expected numbers, got 'auto'"):
        build_network(ModelConfig())


def test_a_fresh_network_prefers_nothing() -> None:
    logits, value = small(tower_depth=6)(planes(64))
    assert float(logits.detach().std()) < 0.5
    assert float(value.detach().abs().max()) < 0.5


def test_a_position_knows_neither_its_batch_nor_the_mode() -> None:
    network = small()
    x = planes(6)
    together = network(x)
    network.eval()
    alone = network(x[2:3])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[2:3], other, rtol=0, atol=1e-6)


def test_every_weight_is_learned() -> None:
    network = small()
    logits, value = network(planes(4))
    # The excitation starts at zero, so its squeeze sees a gradient only once that has moved.
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("excite.weight"):
                parameter.fill_(0.01)
    logits, value = network(planes(4))
    (logits.square().sum() + value.square().sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0, name


def test_logits_lie_in_label_order() -> None:
    """Label = plane * 81 + square: a weight of one output plane moves that plane's labels alone,
    and what stands on a square moves its own label most."""
    network = small()
    with torch.no_grad():
        before, _ = network(planes(1))
        network.policy_out.bias[23] += 1.0
        after, _ = network(planes(1))
    moved = (after - before)[0].view(LABEL_PLANES, SQUARES)
    torch.testing.assert_close(moved[23], torch.ones(SQUARES), rtol=0, atol=1e-5)
    assert float(moved[:23].abs().max()) == float(moved[24:].abs().max()) == 0.0

    # A 1x1 path through the whole network: logits of square (file, rank) see input there.
    conv = torch.nn.Conv2d(FEATURE_PLANES, LABEL_PLANES, 1)
    x = torch.zeros(1, FEATURE_PLANES, 9, 9)
    x[0, 0, 6, 2] = 1.0  # file 7, rank 3
    with torch.no_grad():
        flat = (conv(x) - conv(torch.zeros_like(x))).reshape(-1, LABELS)[0]
    touched = set((flat != 0).nonzero().flatten().tolist())
    assert touched == {plane * SQUARES + 6 * 9 + 2 for plane in range(LABEL_PLANES)}


def test_planes_axes_are_those_of_the_labels() -> None:
    """7g7f goes UP to file 7, rank 6: its label's square is where that pawn's plane will be set."""
    position = Position()
    label = position.label("7g7f")
    assert label == 0 * SQUARES + 6 * 9 + 5
    before = position.planes()
    # The pawn stands on [file 6][rank 6] of some plane and its neighbour square ahead is empty.
    pawns = [c for c in range(28) if before[c, 6, 6] == 1 and before[c, 6, 5] == 0]
    assert pawns
