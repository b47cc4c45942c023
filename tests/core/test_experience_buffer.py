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


def with_opponents(
    plies: list[list[tuple[bool, float, float, int, bool]]],
) -> ExperienceBuffer:
    """A rollout of rows of games: (own, value, reward, ending, valid)."""
    games = len(plies[0])
    buffer = ExperienceBuffer(len(plies), games, CPU, opponents=True)
    for row in plies:
        own, value, reward, ending, valid = zip(*row, strict=True)
        buffer.record_decision(
            positions=torch.zeros(games, 17, dtype=torch.int32),
            actions=torch.zeros(games, dtype=torch.int64),
            log_probs=torch.tensor([-1.0 if mine else torch.nan for mine in own]),
            values=torch.tensor(value),
            own=torch.tensor(own),
        )
        buffer.record_result(
            rewards=torch.tensor(reward),
            ending=torch.tensor(ending, dtype=torch.uint8),
            valid=torch.tensor(valid),
            length=torch.zeros(games, dtype=torch.int32),
        )
    return buffer


def test_advantages_over_own_plies_are_those_summed_by_hand() -> None:
    """Four games of four plies: gamma 1, lambda 1/2; the last values are all 0.5."""
    on, mate, cut = ops.NOT_ENDED, ops.NO_LEGAL_MOVE, ops.MOVE_LIMIT
    plies = [
        # itself            own, reply, own, reply   reply, own, reply, own   own, reply that mates
        [(True, 0.2, 0, on, True), (True, 0.2, 0, on, True),
         (False, 9.0, 0, on, True), (True, 0.4, 0, on, True)],
        [(True, 0.1, 0, on, True), (False, 9.0, 0, on, True),
         (True, 0.3, 0, on, True), (False, 9.0, 1, mate, True)],
        [(True, -0.3, 1, mate, True), (True, 0.6, 0, on, True),
         (False, 9.0, 0, cut, True), (True, 0.1, 0, on, True)],
        [(True, 0.4, 0, on, True), (False, 9.0, 0, on, True),
         (False, 0.7, 0, on, False), (False, 9.0, 0, on, True)],
    ]  # fmt: skip
    buffer = with_opponents(plies)
    buffer.compute_advantages(torch.full((4,), 0.5), gamma=1.0, gae_lambda=0.5, normalize=False)
    # Itself: -V' - V - A'/2, the mate 1 - V; then a new game whose next value is the last one.
    a2 = 1 + 0.3
    a1 = 0.3 - 0.1 - a2 / 2
    a0 = -0.1 - 0.2 - a1 / 2
    itself = [a0, a1, a2, -0.5 - 0.4]
    # Two plies on: V'' - V + A''/2. After the reply comes the last value, for the learner.
    b2 = 0.5 - 0.6
    b0 = 0.6 - 0.2 + b2 / 2
    # The reply is cut off: the value of the position reached, where the learner would be to move.
    c1 = 0.7 - 0.3
    # The reply mates: the learner lost. Then the other way round in a new game.
    d0 = -1 - 0.4
    expected = torch.tensor(
        [
            [itself[0], b0, 0.0, d0],
            [itself[1], 0.0, c1, 0.0],
            [itself[2], b2, 0.0, 0.5 - 0.1],
            [itself[3], 0.0, 0.0, 0.0],
        ]
    )
    torch.testing.assert_close(buffer.advantages, expected, rtol=0, atol=1e-6)
    values = torch.tensor([[one[1] for one in row] for row in plies])
    returns = torch.where(buffer.learnt, expected + values, 0.0)
    torch.testing.assert_close(buffer.returns, returns, rtol=0, atol=1e-6)
    assert float(buffer.lost) == 0.0
    batch = buffer.gather(torch.arange(-1, 16))
    assert batch.valid.tolist() == [False, *buffer.learnt.flatten().tolist()]
    assert int(batch.valid.sum()) == 4 + 2 + 1 + 2


def test_normalised_over_own_plies_only() -> None:
    on = ops.NOT_ENDED
    rows = [[(t % 2 == g, 0.1 * t - g, 0.0, on, True) for g in range(2)] for t in range(6)]
    buffer = with_opponents(rows)
    buffer.compute_advantages(torch.tensor([0.9, 0.2]), gamma=1.0, gae_lambda=0.9, normalize=True)
    own = buffer.advantages[buffer.learnt]
    assert own.numel() == 6
    assert abs(float(own.mean())) < 1e-6 and abs(float(own.std(correction=0)) - 1) < 1e-5
    assert (buffer.advantages[~buffer.learnt] == 0.0).all()


@pytest.mark.parametrize("opponents", [False, True])
def test_whose_plies_they_are_is_said_where_there_are_opponents(opponents: bool) -> None:
    buffer = ExperienceBuffer(1, 2, CPU, opponents=opponents)
    own = None if opponents else torch.ones(2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"^ExperienceBuffer: own: expected "):
        buffer.record_decision(
            positions=torch.zeros(2, 17, dtype=torch.int32),
            actions=torch.zeros(2, dtype=torch.int64),
            log_probs=torch.zeros(2),
            values=torch.zeros(2),
            own=own,
        )
