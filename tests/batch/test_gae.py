"""Advantage estimation: against the formulas in plain Python, and a game tree summed by hand."""

from __future__ import annotations

import itertools

import pytest
import torch
from batch_helpers import DEVICES

from keisei import ops
from keisei.ops import MOVE_LIMIT, NO_LEGAL_MOVE, NOT_ENDED, REPETITION, GaeForm

FORMS: tuple[GaeForm, ...] = ("zero_sum", "single", "own_plies")
BOUND = 1e-5


class Rollout:
    """A rollout of random games in which ends, truncations and their carry-over rows make sense."""

    def __init__(self, steps: int, games: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> torch.Tensor:
            return torch.rand(*shape, generator=generator)

        self.values = 2 * draw(steps + 1, games) - 1
        self.rewards = torch.zeros(steps, games)
        self.ending = torch.zeros(steps, games, dtype=torch.uint8)
        self.valid = torch.ones(steps, games, dtype=torch.bool)
        # Each game starts with either side; the learner has black in every second slot.
        self.own = torch.zeros(steps, games, dtype=torch.bool)
        for game in range(games):
            black = bool(draw(1) < 0.5)
            pending = False
            for t in range(steps):
                if pending:
                    self.valid[t, game] = False
                    pending = False
                    black = True
                    continue
                self.own[t, game] = black == (game % 2 == 0)
                black = not black
                chance = float(draw(1))
                if chance < 0.1:
                    self.ending[t, game] = 1 + int(draw(1) * 4)
                    self.rewards[t, game] = int(draw(1) * 3) - 1
                    black = True
                elif chance < 0.2:
                    self.ending[t, game] = MOVE_LIMIT
                    pending = True

    def arguments(self, form: GaeForm, device: str = "cpu") -> tuple[torch.Tensor, ...]:
        return tuple(t.to(device) for t in (self.values, self.rewards, self.ending, self.valid))


def plain_gae(
    rollout: Rollout, gamma: float, lam: float, form: GaeForm
) -> tuple[torch.Tensor, torch.Tensor]:
    """The definitions, row by row and without any recursion over arrays."""
    steps, games = rollout.rewards.shape
    advantages = torch.zeros(steps, games, dtype=torch.float64)
    returns = torch.zeros(steps, games, dtype=torch.float64)
    learnt = rollout.valid & rollout.own if form == "own_plies" else rollout.valid
    for game in range(games):
        value = rollout.values[:, game].double().tolist()
        reward = rollout.rewards[:, game].double().tolist()
        ending = rollout.ending[:, game].tolist()
        learns = learnt[:, game].tolist()
        valid = rollout.valid[:, game].tolist()

        def advantage(
            t: int,
            value: list[float] = value,
            reward: list[float] = reward,
            ending: list[int] = ending,
            learns: list[bool] = learns,
            valid: list[bool] = valid,
        ) -> float:
            if t >= steps or not learns[t]:
                return 0.0
            sign = 1 if form == "single" else -1
            if ending[t] not in (NOT_ENDED, MOVE_LIMIT):
                return reward[t] - value[t]
            one_ply = reward[t] + sign * gamma * value[t + 1] - value[t]
            if ending[t] == MOVE_LIMIT or t + 1 == steps or not valid[t + 1]:
                return one_ply
            if form != "own_plies" or learns[t + 1]:
                return one_ply + sign * gamma * lam * advantage(t + 1)
            if ending[t + 1] not in (NOT_ENDED, MOVE_LIMIT):
                return reward[t] - gamma * reward[t + 1] - value[t]
            two_plies = reward[t] - gamma * reward[t + 1] + gamma**2 * value[t + 2] - value[t]
            if ending[t + 1] == MOVE_LIMIT:
                return two_plies
            return two_plies + gamma**2 * lam * advantage(t + 2)

        for t in range(steps):
            if learns[t]:
                advantages[t, game] = advantage(t)
                returns[t, game] = advantages[t, game] + value[t]
    return advantages, returns


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.8), (1.0, 0.0), (1.0, 1.0)])
@pytest.mark.parametrize("device", DEVICES)
def test_equals_the_definition(device: str, gamma: float, lam: float, form: GaeForm) -> None:
    rollout = Rollout(steps=50, games=40, seed=1)
    own = rollout.own.to(device) if form == "own_plies" else None
    got = ops.gae(*rollout.arguments(form, device), gamma=gamma, lam=lam, form=form, own=own)
    for mine, expected in zip(got, plain_gae(rollout, gamma, lam, form), strict=True):
        torch.testing.assert_close(mine.cpu().double(), expected, atol=BOUND, rtol=BOUND)


def test_the_rollouts_hold_every_case() -> None:
    rollout = Rollout(steps=50, games=40, seed=1)
    cut = rollout.ending == MOVE_LIMIT
    assert set(rollout.ending.unique().tolist()) == {0, 1, 2, 3, 4, 5}
    assert cut[-1].any()
    assert (rollout.own[-1] & (rollout.ending[-1] == NOT_ENDED)).any()
    replied = rollout.own[:-1] & ~rollout.own[1:] & rollout.valid[1:]
    assert (replied & cut[1:]).any()


def test_single_agent_form_is_the_textbook_one() -> None:
    # Schulman et al. 2016: A_t = sum over l of (gamma lam)^l delta_{t+l}.
    steps, gamma, lam = 12, 0.97, 0.9
    generator = torch.Generator().manual_seed(4)
    values = torch.randn(steps + 1, 1, generator=generator)
    rewards = torch.randn(steps, 1, generator=generator)
    ending = torch.zeros(steps, 1, dtype=torch.uint8)
    valid = torch.ones(steps, 1, dtype=torch.bool)
    advantages, returns = ops.gae(values, rewards, ending, valid, gamma, lam, "single")
    delta = rewards + gamma * values[1:] - values[:-1]
    for t in range(steps):
        expected = sum((gamma * lam) ** (u - t) * float(delta[u]) for u in range(t, steps))
        assert float(advantages[t]) == pytest.approx(expected, abs=BOUND)
    torch.testing.assert_close(returns, advantages + values[:-1])


def test_truncation_bootstraps_and_is_no_end() -> None:
    # Row 1 reaches the limit; row 2 only carries the position reached; row 3 is the next game.
    values = torch.tensor([[0.1], [0.2], [0.3], [0.4], [0.5]])
    rewards = torch.zeros(4, 1)
    ending = torch.tensor([[0], [MOVE_LIMIT], [0], [0]], dtype=torch.uint8)
    valid = torch.tensor([[True], [True], [False], [True]])
    advantages, returns = ops.gae(values, rewards, ending, valid, gamma=0.9, lam=0.5)
    last = -0.9 * 0.3 - 0.2
    first = (-0.9 * 0.2 - 0.1) - 0.9 * 0.5 * last
    expected = torch.tensor([[first], [last], [0.0], [-0.9 * 0.5 - 0.4]])
    torch.testing.assert_close(advantages, expected)
    torch.testing.assert_close(returns, (expected + values[:-1]) * valid)


# A game of three plies, both sides choosing evenly. A moves at s0: either mates at once (+1), or
# goes to s1. B moves at s1: either mates (+1 for B), or goes to s2. A moves at s2: either lets B
# declare (-1 for A), or repeats (0). By hand, for the side to move:
#   V(s2) = (-1 + 0) / 2 = -1/2,  V(s1) = (1 + 1/2) / 2 = 3/4,  V(s0) = (1 - 3/4) / 2 = 1/8
V0, V1, V2 = 1 / 8, 3 / 4, -1 / 2
# The four lines of play: (rewards, ending of the last ply, probability).
LINES = [
    ([1.0], NO_LEGAL_MOVE, 1 / 2),
    ([0.0, 1.0], NO_LEGAL_MOVE, 1 / 4),
    ([0.0, 0.0, -1.0], ops.DECLARATION, 1 / 8),
    ([0.0, 0.0, 0.0], REPETITION, 1 / 8),
]
# What each move is better than the average, by hand: Q(s, a) - V(s).
ADVANTAGE_AT_S0 = {"mate": 7 / 8, "on": -7 / 8}  # 1 - 1/8, -3/4 - 1/8
ADVANTAGE_AT_S1 = {"mate": 1 / 4, "on": -1 / 4}  # 1 - 3/4, 1/2 - 3/4
ADVANTAGE_AT_S2 = {"declared": -1 / 2, "repeats": 1 / 2}


def play_the_tree(lam: float, form: GaeForm, unused: float) -> torch.Tensor:
    """Advantages [3, 4] of the four lines, one a column; a next game follows in the same slot."""
    values = torch.tensor([[V0] * 4, [V1] * 4, [V2] * 4, [unused] * 4])
    own = torch.tensor([[True] * 4, [False] * 4, [True] * 4])
    if form == "own_plies":
        values[1] = unused  # nobody evaluates the opponent's positions
    rewards = torch.zeros(3, 4)
    ending = torch.zeros(3, 4, dtype=torch.uint8)
    for line, (line_rewards, line_ending, _) in enumerate(LINES):
        rewards[: len(line_rewards), line] = torch.tensor(line_rewards)
        ending[len(line_rewards) - 1, line] = line_ending
    valid = torch.ones(3, 4, dtype=torch.bool)
    return ops.gae(
        values,
        rewards,
        ending,
        valid,
        gamma=1.0,
        lam=lam,
        form=form,
        own=own if form == "own_plies" else None,
    )[0]


def mean(advantages: torch.Tensor, ply: int, lines: list[int]) -> float:
    """Over lines of play, weighted by how likely they are."""
    weight = sum(LINES[line][2] for line in lines)
    return sum(LINES[line][2] * float(advantages[ply, line]) for line in lines) / weight


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_game_tree_zero_sum(lam: float) -> None:
    # With the true values every lambda is unbiased: the mean over what follows is Q - V.
    advantages = play_the_tree(lam, "zero_sum", unused=99.0)
    assert mean(advantages, 0, [0]) == pytest.approx(ADVANTAGE_AT_S0["mate"])
    assert mean(advantages, 0, [1, 2, 3]) == pytest.approx(ADVANTAGE_AT_S0["on"])
    assert mean(advantages, 1, [1]) == pytest.approx(ADVANTAGE_AT_S1["mate"])
    assert mean(advantages, 1, [2, 3]) == pytest.approx(ADVANTAGE_AT_S1["on"])
    assert mean(advantages, 2, [2]) == pytest.approx(ADVANTAGE_AT_S2["declared"])
    assert mean(advantages, 2, [3]) == pytest.approx(ADVANTAGE_AT_S2["repeats"])
    # At lambda 0 each row is exact, at lambda 1 it is the result less the value.
    if lam == 0.0:
        assert float(advantages[0, 1]) == pytest.approx(-7 / 8)
    if lam == 1.0:
        assert float(advantages[0, 1]) == pytest.approx(-1 - V0)
        assert float(advantages[1, 2]) == pytest.approx(1 - V1)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_game_tree_own_plies(lam: float) -> None:
    advantages = play_the_tree(lam, "own_plies", unused=99.0)
    assert mean(advantages, 0, [0]) == pytest.approx(ADVANTAGE_AT_S0["mate"])
    assert mean(advantages, 0, [1, 2, 3]) == pytest.approx(ADVANTAGE_AT_S0["on"])
    assert mean(advantages, 2, [2]) == pytest.approx(ADVANTAGE_AT_S2["declared"])
    assert mean(advantages, 2, [3]) == pytest.approx(ADVANTAGE_AT_S2["repeats"])
    # A line that ended at ply 0 or 1 continues with the next game's rows; row 1 is never learnt.
    assert (advantages[1] == 0).all()
    if lam == 0.0:
        # s0 then s2: 1 * V(s2) - V(s0); s0 then mated: -1 - V(s0).
        assert float(advantages[0, 2]) == pytest.approx(V2 - V0)
        assert float(advantages[0, 1]) == pytest.approx(-1 - V0)


def test_own_plies_at_the_end_of_the_rollout_and_in_a_row() -> None:
    values = torch.tensor([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    rewards = torch.zeros(2, 2)
    ending = torch.zeros(2, 2, dtype=torch.uint8)
    valid = torch.ones(2, 2, dtype=torch.bool)
    own = torch.tensor([[False, True], [True, True]])
    advantages, returns = ops.gae(
        values, rewards, ending, valid, gamma=0.9, lam=0.5, form="own_plies", own=own
    )
    last = -0.9 * 0.3 - 0.2
    expected = torch.tensor([[0.0, -0.9 * 0.2 - 0.1 - 0.9 * 0.5 * last], [last, last]])
    torch.testing.assert_close(advantages, expected)
    torch.testing.assert_close(returns, (advantages + values[:-1]) * own)


@pytest.mark.parametrize("device", DEVICES)
def test_one_call_serves_games_with_and_without_opponents(device: str) -> None:
    """Where all plies are the learner's own, ``own_plies`` is ``zero_sum``, bit for bit.

    So a batch of both kinds is one call, which gives what a call for each kind gives.
    """
    rollout = Rollout(steps=70, games=64, seed=5)
    against_itself = 40
    rollout.own[:, :against_itself] = True
    values, rewards, ending, valid = rollout.arguments("own_plies", device)
    own = rollout.own.to(device)
    together = ops.gae(values, rewards, ending, valid, 0.99, 0.9, "own_plies", own)

    def part(columns: slice, form: GaeForm) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = [x[:, columns].contiguous() for x in (values, rewards, ending, valid)]
        mine = own[:, columns].contiguous() if form == "own_plies" else None
        return ops.gae(*inputs, 0.99, 0.9, form, mine)

    first = part(slice(0, against_itself), "zero_sum")
    second = part(slice(against_itself, None), "own_plies")
    for number, name in enumerate(("advantages", "returns")):
        expected = torch.cat([first[number], second[number]], dim=1)
        assert torch.equal(together[number], expected), name
    assert int((~rollout.own).sum()) > 0


@pytest.mark.parametrize("form", FORMS)
def test_games_do_not_mix(form: GaeForm) -> None:
    rollout = Rollout(steps=20, games=6, seed=2)
    own = rollout.own if form == "own_plies" else None
    whole = ops.gae(*rollout.arguments(form), form=form, own=own)
    for start, stop in itertools.pairwise([0, 1, 4, 6]):
        part = slice(start, stop)
        alone = ops.gae(
            *(t[:, part].contiguous() for t in rollout.arguments(form)),
            form=form,
            own=None if own is None else own[:, part].contiguous(),
        )
        for one, other in zip(whole, alone, strict=True):
            assert torch.equal(one[:, part], other)


@pytest.mark.parametrize("games", [1, 65536])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("device", DEVICES)
def test_nothing_comes_back_over_a_ruled_end(device: str, form: GaeForm, games: int) -> None:
    values = torch.zeros(6, games, device=device)
    values[3:] = float("nan")
    rewards = torch.zeros(5, games, device=device)
    ending = torch.zeros(5, games, dtype=torch.uint8, device=device)
    ending[2] = NO_LEGAL_MOVE
    valid = torch.ones(5, games, dtype=torch.bool, device=device)
    own = valid if form == "own_plies" else None
    advantages, returns = ops.gae(values, rewards, ending, valid, form=form, own=own)
    assert advantages[:3].isfinite().all() and returns[:3].isfinite().all()
    assert advantages[3:].isnan().all()
