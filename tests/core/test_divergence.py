"""Numbers that are not finite: nothing changes but the count, and too many in a row end it."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from agents import assert_same_bits, bits, decide_on_the_device, make_agent
from ranks import run_well

from keisei.core.divergence import Diagnosis, TrainingDivergedError
from keisei.core.ppo_agent import PPOAgent
from keisei.training.rollout import collect, rollout_values

STEPS = 8  # of one update: four minibatches, two epochs
WAYS = ("cpu", "device", pytest.param("cuda", marks=pytest.mark.gpu))


def make(way: str, **changes: object):  # type: ignore[no-untyped-def]
    settings: dict[str, object] = {"target_kl": None, "ema_decay": 0.9} | changes
    device = "cuda:0" if way == "cuda" else "cpu"
    agent, env, buffer = make_agent(device, **settings)
    if way == "device":
        decide_on_the_device(agent)
    generator = torch.Generator(device.partition(":")[0]).manual_seed(0)
    # One good update first: there are moments then.
    collect(env, agent, buffer)
    agent.learn(buffer, generator)
    collect(env, agent, buffer)
    return agent, env, buffer, generator


def lose_advantages(agent: PPOAgent, value: float) -> None:
    agent._buffer.advantages.fill_(value)  # type: ignore[union-attr]


def lose_a_weight(agent: PPOAgent, value: float) -> None:
    with torch.no_grad():
        agent.model.value_out.weight[0, 3] = value  # type: ignore[attr-defined]


def lose_an_illegal_logit(agent: PPOAgent, value: float) -> None:
    """Of drops of gold, which are never legal within six plies: the loss does not see them."""
    with torch.no_grad():
        agent.model.policy_out.bias[26] = value  # type: ignore[attr-defined]


def lose_a_gradient(agent: PPOAgent, value: float) -> None:
    agent.model.stem.bias.register_hook(lambda g: g * value)  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("lose", "lost", "weights"),
    [
        (lose_advantages, ("loss", "gradient"), ()),
        (lose_a_weight, ("loss", "gradient"), ("value_out.weight",)),
        (lose_an_illegal_logit, ("logits",), ("policy_out.bias",)),
        (lose_a_gradient, ("gradient",), ()),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_nothing_changes_and_too_many_in_a_row_end_it(
    way: str,
    lose: Callable[[PPOAgent, float], None],
    lost: tuple[str, ...],
    weights: tuple[str, ...],
    value: float,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if lose is lose_a_weight and value == math.inf:
        # The value is the tanh of an infinite number, or of inf * 0: 1 or nan.
        lost = ("gradient",)
    agent, _, buffer, generator = make(way, max_skipped_updates=STEPS + 2)
    if way == "cuda" and lose is lose_a_gradient:
        agent._step._possible = False  # a recorded step has no Python hooks
    agent.learn(buffer, generator)  # on CUDA this records the step
    last_loss = float(agent._guard._last_loss)
    lose(agent, value)
    before = bits(agent)
    with caplog.at_level(logging.WARNING):
        metrics = agent.learn(buffer, generator)
    assert metrics == {"gradient_steps": 0.0, "skipped_updates": STEPS, "kl_stop": 0.0}
    assert_same_bits(bits(agent), before)
    assert f"{STEPS} gradient steps were skipped in this update" in caplog.text
    with pytest.raises(
        TrainingDivergedError, match=f"{STEPS + 2} gradient steps in a row"
    ) as error:
        agent.learn(buffer, generator)
    assert_same_bits(bits(agent), before)
    diagnosis = error.value.diagnosis
    assert set(lost) <= set(diagnosis.lost), diagnosis
    if lost == ("logits",) or lose is lose_a_gradient:
        assert diagnosis.lost == lost
    assert diagnosis.weights == weights
    assert diagnosis.last_finite_loss == last_loss and math.isfinite(last_loss)
    assert diagnosis.learning_rate == pytest.approx(1e-3)
    if lose is lose_a_gradient:
        assert diagnosis.gradients == ("stem.bias",)
    elif "gradient" in lost:
        assert len(diagnosis.gradients) > 0
    else:
        assert diagnosis.gradients == ()


@pytest.mark.parametrize("way", ["cpu", "device"])
def test_the_others_of_an_update_are_taken(way: str) -> None:
    """As if the minibatches whose gradient was lost had not been there, to the bit."""
    gone = {1, 2, 6}
    agent, _, buffer, generator = make(way)
    other, _, others, _ = make(way)
    order = generator.get_state()
    seen: list[int] = []

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        seen.append(len(seen))
        return gradient * (math.nan if seen[-1] in gone else 1.0)

    agent.model.stem.weight.register_hook(spoil)  # type: ignore[attr-defined]
    metrics = agent.learn(buffer, generator)
    assert metrics["gradient_steps"] == STEPS - len(gone)
    assert metrics["skipped_updates"] == len(gone)
    assert all(math.isfinite(value) for value in metrics.values())
    assert float(agent._guard.in_a_row) == 0.0, "a step that is taken ends the row"

    generator.set_state(order)
    other._buffer = others
    pieces = [p for _ in range(2) for p in others.shuffled_rows(other.batch_size, generator)]
    for number, rows in enumerate(pieces):
        if number not in gone:
            other._rows = rows
            other._learn_from_rows()
    assert_same_bits(bits(agent), bits(other))


@pytest.mark.parametrize("way", WAYS)
def test_a_rollout_of_a_broken_network_is_legal_found_and_not_learned_from(way: str) -> None:
    agent, env, buffer, generator = make(way, max_skipped_updates=3)
    lose_a_weight(agent, math.nan)
    with torch.no_grad():
        agent.model.policy_out.bias[:] = math.nan  # type: ignore[attr-defined]
    before = bits(agent)
    for number in range(1, 4):
        collect(env, agent, buffer)  # raises if a move was not legal
        assert float(buffer.lost) == 1.0
        assert rollout_values(buffer) == {}
        if number < 3:
            metrics = agent.learn(buffer, generator)
            assert metrics == {"gradient_steps": 0.0, "skipped_updates": 1.0, "kl_stop": 0.0}
            assert agent._guard.in_a_row == number
        else:
            with pytest.raises(TrainingDivergedError, match="in the last one: rollout;") as error:
                agent.learn(buffer, generator)
            assert error.value.diagnosis.weights == ("policy_out.bias", "value_out.weight")
    assert_same_bits(bits(agent), before)


def test_a_row_goes_on_over_updates_and_a_step_ends_it() -> None:
    agent, _, buffer, generator = make("cpu", max_skipped_updates=STEPS + 1)
    advantages = buffer.advantages.clone()
    for _ in range(3):
        buffer.advantages.fill_(math.nan)
        assert agent.learn(buffer, generator)["skipped_updates"] == STEPS
        assert agent._guard.in_a_row == STEPS
        buffer.advantages.copy_(advantages)
        assert agent.learn(buffer, generator)["gradient_steps"] == STEPS
        assert agent._guard.in_a_row == 0


def test_a_kl_that_is_too_far_is_no_lost_step() -> None:
    for way in ("cpu", "device"):
        agent, _, buffer, generator = make(way, target_kl=1e-9)
        agent._guard.in_a_row.fill_(4.0)
        with torch.no_grad():
            agent.model.policy_out.bias[:9] += 3.0
        metrics = agent.learn(buffer, generator)
        assert metrics == {"gradient_steps": 0.0, "skipped_updates": 0.0, "kl_stop": 1.0}
        assert agent._guard.in_a_row == 4, "the row neither grew nor ended"


@pytest.mark.gpu
def test_a_lost_update_on_cuda_waits_only_for_its_figures() -> None:
    agent, _, buffer, generator = make("cuda", max_skipped_updates=100)
    agent.learn(buffer, generator)
    buffer.advantages.fill_(math.nan)
    rows = buffer.shuffled_rows(agent.batch_size, generator)
    before = bits(agent)
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert not agent._run_ahead(rows)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert agent._step.recorded
    assert_same_bits(bits(agent), before)


def test_what_one_rank_loses_all_ranks_skip(tmp_path: Path) -> None:
    run_well(2, "lost_number.py", tmp_path)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second, "all ranks count and hold the same"
    for way, (before, good, rollout, a, minibatches, b, in_a_row, c) in first.items():
        assert (before, rollout, minibatches, in_a_row) == (0.0, 1.0, 4.0, 7), way
        assert good == a == b == c, f"{way}: a skipped step changed something"


def test_a_diagnosis_in_words() -> None:
    names = tuple(f"w{i}" for i in range(7))
    diagnosis = Diagnosis(3, ("loss", "gradient"), names, ("w1",), 9, 1e-3, 0.5)
    assert str(TrainingDivergedError(diagnosis)) == (
        "training diverged: 3 gradient steps in a row were skipped; not finite in the last one: "
        "loss, gradient; gradients not finite: 7 of 9 (w0, w1, w2, w3, w4, ...); "
        "weights not finite: 1 of 9 (w1); learning rate 0.001; last finite loss 0.5"
    )
    first = Diagnosis(1, ("logits",), (), (), 9, 1e-3, None)
    assert "gradients not finite: none; weights not finite: none" in str(first)
    assert str(first).endswith("last finite loss none yet")
