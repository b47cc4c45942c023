"""The rollout store."""

from __future__ import annotations

import pytest
import torch

from keisei import ops
from keisei.core.experience_buffer import ExperienceBuffer

T, N = 5, 6
CPU = torch.device("cpu")


def filled(seed: int = 0) -> ExperienceBuffer:
    generator = torch.Generator().manual_seed(seed)
    buffer = ExperienceBuffer(T, N, CPU)
    for t in range(T):
        buffer.record_decision(
            positions=torch.full((N, 17), t, dtype=torch.int32)
            + 100 * torch.arange(N, dtype=torch.int32)[:, None],
            actions=torch.arange(N) + 300 * t,
            log_probs=-torch.rand(N, generator=generator),
            values=torch.rand(N, generator=generator) * 2 - 1,
        )
        ending = torch.zeros(N, dtype=torch.uint8)
        valid = torch.ones(N, dtype=torch.bool)
        reward = torch.zeros(N)
        if t == 2:
            ending[0], reward[0] = ops.NO_LEGAL_MOVE, 1.0
            ending[1] = ops.MOVE_LIMIT
        if t == 3:
            valid[1] = False
        buffer.record_result(
            rewards=reward, ending=ending, valid=valid, length=torch.zeros(N, dtype=torch.int32)
        )
    return buffer


def reference_gae(
    buffer: ExperienceBuffer, last: torch.Tensor, gamma: float, lam: float
) -> torch.Tensor:
    values = torch.cat([buffer.values[:-1], last[None]])
    advantages = torch.zeros(T, N)
    for n in range(N):
        following = 0.0
        for t in reversed(range(T)):
            if not buffer.valid[t, n]:
                following = 0.0
                continue
            code = int(buffer.ending[t, n])
            after = 0.0 if code not in (ops.NOT_ENDED, ops.MOVE_LIMIT) else float(values[t + 1, n])
            if code != ops.NOT_ENDED:
                following = 0.0
            delta = float(buffer.rewards[t, n]) - gamma * after - float(values[t, n])
            following = delta - gamma * lam * following
            advantages[t, n] = following
    return advantages


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5)])
def test_advantages_are_the_zero_sum_ones(gamma: float, lam: float) -> None:
    buffer = filled()
    last = torch.linspace(-1, 1, N)
    buffer.compute_advantages(last, gamma=gamma, gae_lambda=lam, normalize=False)
    expected = reference_gae(buffer, last, gamma, lam)
    torch.testing.assert_close(buffer.advantages, expected, rtol=0, atol=1e-5)
    returns = torch.where(buffer.valid, expected + buffer.values[:-1], 0.0)
    torch.testing.assert_close(buffer.returns, returns, rtol=0, atol=1e-5)


def test_normalised_over_valid_rows_only() -> None:
    buffer = filled()
    buffer.compute_advantages(torch.zeros(N), gamma=1.0, gae_lambda=0.95, normalize=True)
    rows = buffer.advantages[buffer.valid]
    assert rows.numel() == T * N - 1
    assert abs(float(rows.mean())) < 1e-6
    assert abs(float(rows.std(correction=0)) - 1) < 1e-5
    assert float(buffer.advantages[3, 1]) == 0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_found(value: float) -> None:
    def lost(name: str, row: int, game: int) -> float:
        buffer = filled()
        last = torch.zeros(N)
        if name == "last":
            last[game] = value
        elif name:
            getattr(buffer, name)[row, game] = value
        buffer.compute_advantages(last, gamma=1.0, gae_lambda=0.95, normalize=True)
        return float(buffer.lost)

    assert lost("", 0, 0) == 0.0
    assert lost("values", 3, 1) == lost("last", 0, 5) == lost("log_probs", 4, 2) == 1.0
    assert not filled().valid[3, 1]
    assert lost("log_probs", 3, 1) == 0.0, "a row without a move has no log-probability"


@pytest.mark.parametrize("batch_size", [1, 7, 10, 30, 1000])
def test_minibatches_hold_every_row_once(batch_size: int) -> None:
    buffer = filled()
    buffer.compute_advantages(torch.zeros(N), gamma=1.0, gae_lambda=0.95, normalize=False)
    pieces = buffer.shuffled_rows(batch_size, torch.Generator().manual_seed(3))
    batches = [buffer.gather(rows) for rows in pieces]
    sizes = [len(batch.actions) for batch in batches]
    assert sum(sizes) == T * N and max(sizes) - min(sizes) <= 1
    rows = {}
    for batch in batches:
        assert batch.actions.dtype == torch.int64
        for i, action in enumerate(batch.actions.tolist()):
            t, n = divmod(action, 300)
            rows[t, n] = True
            assert batch.positions[i].tolist() == [100 * n + t] * 17
            assert batch.log_probs[i] == buffer.log_probs[t, n]
            assert batch.values[i] == buffer.values[t, n]
            assert batch.advantages[i] == buffer.advantages[t, n]
            assert batch.returns[i] == buffer.returns[t, n]
            assert batch.valid[i] == buffer.valid[t, n]
    assert len(rows) == T * N


def test_an_index_of_no_row_gives_a_row_that_is_not_valid() -> None:
    batch = filled().gather(torch.tensor([7, -1, 0, -1]))
    assert batch.valid.tolist() == [True, False, True, False]
    assert batch.actions.tolist()[::2] == [301, 0]


def test_shuffling_follows_the_generator() -> None:
    buffer = filled()
    buffer.compute_advantages(torch.zeros(N), gamma=1.0, gae_lambda=0.95, normalize=False)

    def order(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return torch.cat(list(buffer.shuffled_rows(8, generator))).tolist()

    assert order(1) == order(1) != order(2)


def test_the_largest_label_survives_packing() -> None:
    buffer = ExperienceBuffer(1, 1, CPU)
    buffer.record_decision(
        positions=torch.zeros(1, 17, dtype=torch.int32),
        actions=torch.tensor([ops.LABELS - 1]),
        log_probs=torch.zeros(1),
        values=torch.zeros(1),
    )
    assert buffer.actions.long().item() == ops.LABELS - 1


def test_halves_in_the_wrong_order_are_refused() -> None:
    buffer = filled()
    decision = {
        "positions": torch.zeros(N, 17, dtype=torch.int32),
        "actions": torch.zeros(N, dtype=torch.int64),
        "log_probs": torch.zeros(N),
        "values": torch.zeros(N),
    }
    with pytest.raises(RuntimeError, match=r"expected clear\(\), got a decision after 5 of 5"):
        buffer.record_decision(**decision)
    buffer.clear()
    with pytest.raises(RuntimeError, match="expected a decision, got a result"):
        buffer.record_result(
            rewards=torch.zeros(N),
            ending=torch.zeros(N, dtype=torch.uint8),
            valid=torch.ones(N, dtype=torch.bool),
            length=torch.zeros(N, dtype=torch.int32),
        )
    buffer.record_decision(**decision)
    with pytest.raises(RuntimeError, match="expected a result, got a decision"):
        buffer.record_decision(**decision)
    with pytest.raises(RuntimeError, match="expected 5 plies, got 0"):
        buffer.compute_advantages(torch.zeros(N), gamma=1.0, gae_lambda=0.95, normalize=False)
