"""The averaged weights: what they are, when they move, and that they are kept."""

from __future__ import annotations

import pytest
import torch
from agents import assert_same_bits, bits, decide_on_the_device, make_agent
from torch import nn

from keisei.core.ema import WeightAverage
from keisei.core.ppo_agent import PPOAgent
from keisei.training.rollout import collect

DEVICES = ("cpu", pytest.param("cuda", marks=pytest.mark.gpu))


def parameters(device: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    convolution = nn.Conv2d(5, 6, 3).to(device, memory_format=torch.channels_last)
    return dict(convolution.named_parameters())


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("device", DEVICES)
def test_it_is_the_exponential_average(device: str, told: bool) -> None:
    weights = parameters(device)
    average = WeightAverage(weights, 0.9)
    skip = torch.zeros((), device=device) if told else None
    expected = {name: p.detach().double() for name, p in weights.items()}
    for step in range(20):
        with torch.no_grad():
            for p in weights.values():
                p.add_(
                    torch.randn(p.shape, generator=torch.Generator().manual_seed(step)).to(device)
                )
        average.update(skip)
        for name, p in weights.items():
            expected[name] = 0.9 * expected[name] + (1 - 0.9) * p.detach().double()
    for name, tensor in average.tensors.items():
        assert tensor.stride() == weights[name].stride()
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_that_is_not_taken_leaves_it_whatever_the_weights_are(device: str) -> None:
    weights = parameters(device)
    average = WeightAverage(weights, 0.5)
    before = {name: x.clone() for name, x in average.tensors.items()}
    with torch.no_grad():
        for p in weights.values():
            p.fill_(torch.nan)
    average.update(torch.ones((), device=device))
    for name, tensor in average.tensors.items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.gpu
def test_recorded_it_follows_the_device() -> None:
    weights = parameters("cuda")
    average = WeightAverage(weights, 0.5)
    skip = torch.zeros((), device="cuda")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        average.update(skip)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        average.update(skip)
    name, weight = next(iter(weights.items()))
    before = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1.0)
    graph.replay()
    torch.testing.assert_close(average.tensors[name], before + 0.5)
    skip.fill_(1.0)
    with torch.no_grad():
        weight.fill_(torch.inf)
    graph.replay()
    torch.testing.assert_close(average.tensors[name], before + 0.5)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1])
def test_a_decay_that_is_none(decay: float) -> None:
    with pytest.raises(ValueError, match="ema_decay: expected a number between 0 and 1"):
        WeightAverage(parameters("cpu"), decay)


@pytest.mark.parametrize("way", ["cpu", "device", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_the_learner_moves_it_after_each_step_taken(way: str) -> None:
    device = "cuda:0" if way == "cuda" else "cpu"
    agent, env, buffer = make_agent(device, ema_decay=0.8, target_kl=5e-3, ppo_epochs=4)
    agent.set_learning_rate(3e-3)
    if way == "device":
        decide_on_the_device(agent)
    taken: list[dict[str, torch.Tensor]] = []
    take_step = agent.take_step

    def noted(norm: torch.Tensor, skip: torch.Tensor) -> None:
        take_step(norm, skip)
        if not skip:
            taken.append({n: p.detach().clone() for n, p in agent.model.named_parameters()})

    if way == "cuda":
        agent._step._possible = False  # a recorded step has no Python in it
    agent.take_step = noted  # type: ignore[method-assign, assignment]
    expected = {n: p.detach().double() for n, p in agent.model.named_parameters()}
    collect(env, agent, buffer)
    metrics = agent.learn(buffer, torch.Generator(device).manual_seed(0))
    assert metrics["kl_stop"] == 1.0 and metrics["gradient_steps"] == len(taken) > 2
    for weights in taken:
        expected = {n: 0.8 * expected[n] + (1 - 0.8) * w.double() for n, w in weights.items()}
    averaged = agent.averaged_state_dict()
    assert averaged.keys() == agent.model.state_dict().keys()
    for name, tensor in averaged.items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)
    assert any(not torch.equal(averaged[n], w) for n, w in agent.model.state_dict().items())


def test_there_is_none_without_a_decay() -> None:
    agent, _, _ = make_agent()
    with pytest.raises(RuntimeError, match=r"^training.ema_decay: expected a number to average by"):
        agent.averaged_state_dict()
    assert agent.network_tensors().keys() == agent.model.state_dict().keys()


class Tied(nn.Module):
    """A network that uses one matrix twice, with a running statistic."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(81, 81)
        self.two = nn.Linear(81, 81)
        self.two.weight = self.one.weight
        self.head = nn.Linear(81, 2187)
        self.register_buffer("seen", torch.ones(3))

    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.two(self.one(planes[:, 0].flatten(1)))
        return self.head(x), torch.tanh(x.mean(1))


def test_tied_weights_and_buffers() -> None:
    reference, _, _ = make_agent(ema_decay=0.5)
    agent = PPOAgent(Tied(), reference.config, torch.device("cpu"))
    with torch.no_grad():
        agent.model.one.weight.zero_()  # type: ignore[attr-defined]
    averaged = agent.averaged_state_dict()
    assert averaged.keys() == agent.model.state_dict().keys()
    assert averaged["one.weight"] is averaged["two.weight"]
    assert bool((averaged["one.weight"] != 0).any())
    assert torch.equal(averaged["seen"], torch.ones(3))


@pytest.mark.parametrize("use_ema", [False, True])
@pytest.mark.parametrize("updates", [0, 1])
def test_what_is_stored_goes_on_to_the_bit(use_ema: bool, updates: int) -> None:
    settings: dict[str, object] = {"ema_decay": 0.9, "use_ema": use_ema, "mirror": True}
    agent, env, buffer = make_agent(**settings)
    generator = torch.Generator().manual_seed(0)
    collect(env, agent, buffer)
    for _ in range(updates):
        agent.learn(buffer, generator)
    agent._guard.in_a_row.fill_(3.0)
    network = {name: x.clone() for name, x in agent.network_tensors().items()}
    stored = {name: x.clone() for name, x in agent.training_tensors().items()}
    averages = agent.averaged_state_dict()
    for name, tensor in network.items():
        assert torch.equal(tensor, (averages if use_ema else agent.model.state_dict())[name])

    other, _, _ = make_agent(**settings)
    with torch.no_grad():
        for p in other.model.parameters():
            p.add_(1.0)
    addresses = [p.data_ptr() for p in other.model.parameters()]
    changes = other.changes
    other.load(network, stored)
    assert other.changes > changes, "recorded work must not be started again"
    assert addresses == [p.data_ptr() for p in other.model.parameters()]
    assert_same_bits(bits(other), bits(agent))
    assert other._guard.in_a_row == 3
    state = generator.get_state()
    agent.learn(buffer, generator)
    other.learn(buffer, generator.set_state(state))
    assert_same_bits(bits(other), bits(agent))


@pytest.mark.parametrize("missing", ["ema.stem.bias", "learner.skipped"])
def test_a_tensor_that_is_missing(missing: str) -> None:
    agent, _, _ = make_agent(ema_decay=0.9)
    tensors = agent.training_tensors()
    del tensors[missing]
    before = bits(agent)
    network = {name: x + 1 for name, x in agent.network_tensors().items()}
    with pytest.raises(KeyError, match=missing):
        agent.load(network, tensors)
    assert_same_bits(bits(agent), before)
