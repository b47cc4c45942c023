"""PPO: the loss against plain arithmetic, and that collecting and learning agree."""

from __future__ import annotations

import math

import pytest
import torch
from agents import assert_same_bits, bits, decide_on_the_device, make_agent
from batch_helpers import pack

from keisei import ops
from keisei.config_schema import ModelConfig, TrainingConfig
from keisei.core.experience_buffer import ExperienceBuffer, Minibatch
from keisei.core.network import build_network
from keisei.core.ppo_agent import PPOAgent, ppo_loss
from keisei.core.ppo_loss import masked_log_softmax
from keisei.core.working_network import laid_out_as
from keisei.training.rollout import collect

# What the rollout stored and what the learner recomputes with unchanged weights. In float32 only
# the order of sums differs; in bfloat16 the logits themselves are rounded to 8 bits.
FLOAT32_BOUND = 1e-5
BFLOAT16_BOUND = 5e-2


def recomputed(agent: PPOAgent, buffer: ExperienceBuffer) -> tuple[torch.Tensor, torch.Tensor]:
    rows = buffer.rollout_length * buffer.num_games
    positions = buffer.positions.view(rows, 17)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(0)).to(agent.device)
    log_probs = torch.zeros(rows, device=agent.device)
    values = torch.zeros(rows, device=agent.device)
    for index in order.split(37):
        logits, value = agent.evaluate(positions[index])
        legal = ops.unpack_mask(ops.legal_mask(positions[index]))
        all_log_probs, _ = masked_log_softmax(logits.detach(), legal)
        actions = buffer.actions.view(rows)[index].long()
        log_probs[index] = all_log_probs.gather(1, actions[:, None]).squeeze(1)
        values[index] = value.detach()
    return log_probs.view_as(buffer.log_probs), values.view_as(buffer.values[:-1])


@pytest.mark.parametrize(
    ("precision", "bound"), [("float32", FLOAT32_BOUND), ("bfloat16", BFLOAT16_BOUND)]
)
def test_learning_sees_the_policy_that_collected(precision: str, bound: float) -> None:
    agent, env, buffer = make_agent(precision=precision)
    # Some learning first, so that the policy is not the nearly uniform one of fresh weights.
    for _ in range(3):
        collect(env, agent, buffer)
        agent.learn(buffer, torch.Generator().manual_seed(0))
    collect(env, agent, buffer)
    log_probs, values = recomputed(agent, buffer)
    valid = buffer.valid
    assert 0 < int(valid.sum()) < valid.numel()
    assert float((log_probs - buffer.log_probs)[valid].abs().max()) <= bound
    assert float((values - buffer.values[:-1])[valid].abs().max()) <= bound


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("precision", "bound"), [("float32", 1e-3), ("bfloat16", 2 * BFLOAT16_BOUND)]
)
def test_learning_sees_the_policy_that_collected_on_cuda(precision: str, bound: float) -> None:
    agent, env, buffer = make_agent("cuda:0", precision=precision)
    generator = torch.Generator("cuda").manual_seed(0)
    for _ in range(3):
        collect(env, agent, buffer)
        agent.learn(buffer, generator)
    collect(env, agent, buffer)
    log_probs, values = recomputed(agent, buffer)
    assert float((log_probs - buffer.log_probs)[buffer.valid].abs().max()) <= bound
    assert float((values - buffer.values[:-1])[buffer.valid].abs().max()) <= bound


@pytest.mark.gpu
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("target_kl", [None, 5e-3])
def test_a_recorded_learning_step_is_the_step(fused: bool, target_kl: float | None) -> None:
    """The same minibatches through the graph and through Python, and no step after the last."""
    metrics, weights = [], []
    for record in (False, True):
        agent, env, buffer = make_agent(
            "cuda:0", target_kl=target_kl, batch_size=60, ppo_epochs=4, learning_rate=3e-3
        )
        if fused:
            agent.compile_network()
        if not record:
            agent._step._possible = False
        generator = torch.Generator("cuda").manual_seed(0)
        collect(env, agent, buffer)
        found = agent.learn(buffer, generator)
        assert agent._step.recorded == record
        metrics.append(found)
        weights.append([p.detach().clone() for p in agent.model.parameters()])
    for name, value in metrics[0].items():
        assert metrics[1][name] == pytest.approx(value, rel=1e-2, abs=1e-5), name
    for one, other in zip(*weights, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-4)
    if target_kl is not None:
        assert metrics[1]["kl_stop"] == 1.0 and 3 <= metrics[1]["gradient_steps"] < 16
        # A policy that is too far off already: not even one step is taken.
        with torch.no_grad():
            agent.model.policy_out.bias[:9] += 3.0  # type: ignore[attr-defined]
        before = [p.detach().clone() for p in agent.model.parameters()]
        assert agent.learn(buffer, generator)["gradient_steps"] == 0.0
        assert all(map(torch.equal, before, agent.model.parameters()))


@pytest.mark.gpu
def test_an_update_on_cuda_waits_only_for_its_figures() -> None:
    agent, env, buffer = make_agent("cuda:0", target_kl=1.0, ppo_epochs=2)
    generator = torch.Generator("cuda").manual_seed(0)
    collect(env, agent, buffer)
    agent.learn(buffer, generator)
    rows = buffer.shuffled_rows(agent.batch_size, generator)
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert not agent._run_ahead(rows)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_masked_log_softmax_and_its_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 50, generator=generator).requires_grad_()
    legal = torch.rand(4, 50, generator=generator) < 0.3
    legal[0] = False
    legal[0, 17] = True
    log_probs, entropy = masked_log_softmax(logits, legal)
    for row in range(4):
        index = legal[row].nonzero().flatten()
        plain = torch.log_softmax(logits[row, index].detach(), dim=0)
        torch.testing.assert_close(log_probs[row, index].detach(), plain)
        torch.testing.assert_close(entropy[row].detach(), -(plain.exp() * plain).sum())
    assert float(entropy[0].detach()) == 0.0
    (log_probs.sum() + entropy.sum()).backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())
    assert bool((logits.grad[~legal] == 0).all())


def one_minibatch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Minibatch]:
    generator = torch.Generator().manual_seed(1)
    rows = 8
    logits = torch.randn(rows, ops.LABELS, generator=generator)
    legal = torch.rand(rows, ops.LABELS, generator=generator) < 0.05
    actions = torch.stack([row.nonzero()[1, 0] for row in legal])
    log_probs, _ = masked_log_softmax(logits, legal)
    chosen = log_probs.gather(1, actions[:, None]).squeeze(1)
    batch = Minibatch(
        positions=torch.zeros(rows, 17, dtype=torch.int32),
        actions=actions,
        log_probs=chosen + 0.5 * torch.randn(rows, generator=generator),
        values=torch.rand(rows, generator=generator) * 2 - 1,
        advantages=torch.randn(rows, generator=generator),
        returns=torch.rand(rows, generator=generator) * 2 - 1,
        valid=torch.tensor([True] * 6 + [False] * 2),
    )
    return logits, torch.rand(rows, generator=generator) * 2 - 1, legal, batch


@pytest.mark.parametrize("value_clip", [None, 0.1])
def test_the_loss_is_the_plain_one(value_clip: float | None) -> None:
    logits, values, legal, batch = one_minibatch()
    config = TrainingConfig(
        value_clip=value_clip, value_coefficient=0.7, entropy_coefficient=0.03, clip_range=0.2
    )
    loss = ppo_loss(logits, values, pack(legal), batch, config)
    policy = value = entropy = kl = clipped = 0.0
    for i in range(6):
        index = legal[i].nonzero().flatten()
        p = torch.softmax(logits[i, index].double(), dim=0)
        log_p = float(p[index == batch.actions[i]].log())
        ratio = math.exp(log_p - float(batch.log_probs[i]))
        advantage = float(batch.advantages[i])
        policy -= min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage) / 6
        error = (float(values[i]) - float(batch.returns[i])) ** 2
        if value_clip is not None:
            old = float(batch.values[i])
            near = old + min(max(float(values[i]) - old, -value_clip), value_clip)
            error = max(error, (near - float(batch.returns[i])) ** 2)
        value += error / 6
        entropy -= float((p * p.log()).sum()) / 6
        kl += (ratio - 1 - math.log(ratio)) / 6
        clipped += (abs(ratio - 1) > 0.2) / 6
    assert float(loss.policy) == pytest.approx(policy, abs=1e-5)
    assert float(loss.value) == pytest.approx(value, abs=1e-5)
    assert float(loss.entropy) == pytest.approx(entropy, abs=1e-5)
    assert float(loss.approx_kl) == pytest.approx(kl, abs=1e-5)
    assert float(loss.clip_fraction) == pytest.approx(clipped, abs=1e-5)
    assert float(loss.total) == pytest.approx(policy + 0.7 * value - 0.03 * entropy, abs=1e-5)


def test_rows_without_a_move_change_nothing() -> None:
    logits, values, legal, batch = one_minibatch()
    logits.requires_grad_()
    config = TrainingConfig()
    loss = ppo_loss(logits, values, pack(legal), batch, config)
    loss.total.backward()
    assert logits.grad is not None
    assert bool((logits.grad[6:] == 0).all()) and bool((logits.grad[:6] != 0).any())
    poisoned = Minibatch(
        **{
            name: torch.where(
                batch.valid, getattr(batch, name), torch.full_like(getattr(batch, name), 1e6)
            )
            if name in ("log_probs", "values", "advantages", "returns")
            else getattr(batch, name)
            for name in Minibatch.__dataclass_fields__
        }
    )
    again = ppo_loss(logits.detach(), values, pack(legal), poisoned, config)
    assert float(again.total) == float(loss.total.detach())


def test_learning_moves_probability_towards_advantage() -> None:
    agent, env, buffer = make_agent(entropy_coefficient=0.0, target_kl=None, ppo_epochs=3)
    collect(env, agent, buffer)
    before, _ = recomputed(agent, buffer)
    metrics = agent.learn(buffer, torch.Generator().manual_seed(0))
    after, _ = recomputed(agent, buffer)
    gain = ((after - before) * buffer.advantages)[buffer.valid].mean()
    assert float(gain) > 0
    assert metrics["gradient_steps"] == 3 * 4
    assert metrics["kl_stop"] == 0.0


def test_an_epoch_stops_before_the_step_that_is_too_far() -> None:
    agent, env, buffer = make_agent(target_kl=1e-9, ppo_epochs=50, learning_rate=1e-2)
    collect(env, agent, buffer)
    metrics = agent.learn(buffer, torch.Generator().manual_seed(0))
    assert metrics["kl_stop"] == 1.0
    assert 1 <= metrics["gradient_steps"] < 50 * 4


def test_the_device_itself_leaves_out_the_steps_that_are_too_many() -> None:
    """As on CUDA, where nothing waits: steps after the stop are made and change nothing."""
    agent, env, buffer = make_agent(target_kl=5e-3, ppo_epochs=4, learning_rate=3e-3)
    ahead, _, _ = make_agent(target_kl=5e-3, ppo_epochs=4, learning_rate=3e-3)
    decide_on_the_device(ahead)
    collect(env, agent, buffer)
    expected = agent.learn(buffer, torch.Generator().manual_seed(0))
    got = ahead.learn(buffer, torch.Generator().manual_seed(0))
    assert expected["kl_stop"] == got["kl_stop"] == 1.0
    assert 3 <= expected["gradient_steps"] == got["gradient_steps"] < 16
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    for one, other in zip(agent.model.parameters(), ahead.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("max_grad_norm", [1e-3, 1e9])
def test_gradients_are_scaled_down_to_the_norm(max_grad_norm: float) -> None:
    agent, env, buffer = make_agent(max_grad_norm=max_grad_norm, batch_size=256, ppo_epochs=1)
    collect(env, agent, buffer)
    metrics = agent.learn(buffer, torch.Generator().manual_seed(0))
    assert metrics["gradient_steps"] == 1
    # The norm before clipping is what is reported; the optimiser's first moment after one step is
    # (1 - beta1) = 0.1 times the gradient that it was given.
    moments = [v for k, v in agent.optimizer_tensors().items() if ".exp_avg." in k]
    assert len(moments) == len(list(agent.model.parameters()))
    applied = 10 * float(torch.cat([m.flatten() for m in moments]).norm())
    assert metrics["gradient_norm"] > 1e-2
    assert applied == pytest.approx(min(max_grad_norm, metrics["gradient_norm"]), rel=1e-2)


def test_matrices_are_decayed_and_norms_are_not() -> None:
    agent, _, _ = make_agent(weight_decay=0.5)
    decayed, others = agent.optimizer.param_groups
    assert decayed["weight_decay"] == 0.5 and others["weight_decay"] == 0.0
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim <= 1 for p in others["params"])
    assert len(decayed["params"]) + len(others["params"]) == len(list(agent.model.parameters()))


def test_the_optimiser_goes_on_where_it_stood() -> None:
    agent, env, buffer = make_agent()
    collect(env, agent, buffer)
    agent.learn(buffer, torch.Generator().manual_seed(0))
    other, _, _ = make_agent()
    other.model.load_state_dict(agent.model.state_dict())
    other.load_optimizer_tensors({k: v.clone() for k, v in agent.optimizer_tensors().items()})
    for one in (agent, other):
        one.learn(buffer, torch.Generator().manual_seed(1))
    for (name, a), (_, b) in zip(
        agent.model.named_parameters(), other.model.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name


def test_an_open_configuration_is_refused() -> None:
    network = build_network(ModelConfig(tower_depth=1, tower_width=8))
    with pytest.raises(ValueError, match="expected a resolved configuration, got 'auto'"):
        PPOAgent(network, TrainingConfig(), torch.device("cpu"))


def test_a_network_on_another_device_is_refused() -> None:
    network = build_network(ModelConfig(tower_depth=1, tower_width=8)).to("meta")
    config = TrainingConfig(batch_size=8, precision="float32", compile=False)
    with pytest.raises(ValueError, match=r"expected a network on cpu, got stem\.weight on meta"):
        PPOAgent(network, config, torch.device("cpu"))


def test_a_network_learns_the_same_however_it_was_laid_out() -> None:
    found = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        agent, env, buffer = make_agent(memory_format=memory_format)
        kernels = [p for p in agent.model.parameters() if p.ndim == 4]
        assert kernels and all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
        collect(env, agent, buffer)
        agent.learn(buffer, torch.Generator().manual_seed(0))
        found.append(bits(agent))
    assert_same_bits(*found)


@pytest.mark.gpu
@pytest.mark.parametrize("fused", [False, True])
def test_a_network_in_any_layout_learns_on_cuda(fused: bool) -> None:
    agent, env, buffer = make_agent("cuda:0", ppo_epochs=1, target_kl=None)
    if fused:
        agent.compile_network()
    else:
        weight = agent.model.value_hidden.weight  # type: ignore[attr-defined]
        weight.data = weight.data.t().contiguous().t()
    for _ in range(3):  # as it stands, recorded, started as one graph
        collect(env, agent, buffer)
        figures = agent.learn(buffer, torch.Generator("cuda:0").manual_seed(0))
        assert figures["gradient_steps"] == 4.0 and math.isfinite(figures["gradient_norm"])


def test_gradients_are_brought_into_the_layout_of_their_parameters() -> None:
    gradient = torch.arange(6.0).view(2, 3)
    for parameter in (torch.empty(3, 2).t(), torch.empty(2, 3)):
        laid_out = laid_out_as(parameter, gradient)
        assert laid_out is not None and laid_out.stride() == parameter.stride()
        assert torch.equal(laid_out, gradient)
    assert laid_out is gradient, "expected no copy where there is nothing to do"
    # Where a side is 1 long it does not matter how far its next number would be.
    kernel = torch.empty(4, 3, 1, 1).to(memory_format=torch.channels_last)
    other = torch.empty_strided((4, 3, 1, 1), (3, 1, 1, 1))
    assert laid_out_as(kernel, other) is other
    assert laid_out_as(kernel, None) is None


@pytest.mark.parametrize("way", ["cpu", pytest.param("cuda:0", marks=pytest.mark.gpu)])
def test_the_weight_of_the_entropy_changes_without_recording_anew(way: str) -> None:
    """An agent that was given another weight later learns as one that had it from the start."""
    found = []
    for first, then in ((0.5, 0.5), (0.0, 0.5)):
        agent, env, buffer = make_agent(way, entropy_coefficient=first, target_kl=None)
        collect(env, agent, buffer)
        agent.set_learning_rate(0.0)
        generator = torch.Generator(way).manual_seed(0)
        agent.learn(buffer, generator)  # at a rate of 0: nothing moves but the moments
        for state in agent.optimizer.state.values():
            for tensor in state.values():
                tensor.zero_()
        recorded = agent._step.recorded
        agent.set_learning_rate(1e-3)
        agent.set_entropy_coefficient(then)
        found.append(agent.learn(buffer, generator) | {"recorded": recorded})
        assert agent._step.recorded == recorded == (way != "cpu")
    assert found[0]["entropy"] > 1.0
    for name, value in found[0].items():
        assert found[1][name] == pytest.approx(value, rel=1e-6 if way == "cpu" else 1e-2), name
