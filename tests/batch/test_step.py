"""Stepping many games, against keisei.Position one by one."""

from __future__ import annotations

import random
import re
from collections import Counter

import numpy as np
import pytest
import torch
from batch_helpers import DEVICES, State

from keisei import Position, ops
from keisei.envs import ShogiVectorEnv

ENDINGS = {
    "no_legal_move": ops.NO_LEGAL_MOVE,
    "declaration": ops.DECLARATION,
    "repetition": ops.REPETITION,
    "perpetual_check": ops.PERPETUAL_CHECK,
    "move_limit": ops.MOVE_LIMIT,
}
MAX_PLIES = 60

# Positions from which random games soon end in every way.
SFENS = [
    Position().sfen(),
    # Bare kings, a rook to check with, kings shut in: positions come back.
    "4k4/9/9/9/9/9/9/K4R3/9 b - 1",
    "8k/9/9/9/9/4B4/9/9/K3+R4 w - 1",
    "k8/1g7/9/3+r1+R3/9/9/9/7G1/8K b - 1",
    # Gold and pawn in hand against a king on the edge: mates.
    "4k4/9/4P4/9/9/9/9/9/4K4 b 2G2S 1",
    "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1",
    # Black is in the camp with enough to declare, white is to move.
    "+R+R+B+BKGGSS/PP7/9/9/9/9/9/9/4k4 w 2P 1",
]


class Mirror:
    """One slot of the environment, played on a keisei.Position."""

    def __init__(self, start: str, seed: int) -> None:
        self.start = start
        self.rng = random.Random(seed)
        self.fond_of_checks = self.rng.choice((0.0, 0.5, 0.97))
        self.position = Position.from_sfen(start)
        self.seen: Counter[bytes] = Counter()
        self.pending = False

    def choose(self) -> int:
        """A legal label; often one that checks, or that comes back to a position seen before."""
        labels = self.position.legal_labels()
        if self.rng.random() < 0.1:
            return self.rng.choice(labels)
        checks, back = [], []
        for label in labels:
            self.position.push(self.position.move(label))
            if self.position.in_check:
                checks.append(label)
            if self.board() in self.seen:
                back.append(label)
            self.position.pop()
        if checks and self.rng.random() < self.fond_of_checks:
            return self.rng.choice([label for label in checks if label in back] or checks)
        return self.rng.choice(back or labels)

    def board(self) -> bytes:
        words = self.position.words().copy()
        words[15] &= ~(3 << 28)
        return words.tobytes()

    def begin(self) -> None:
        self.position = Position.from_sfen(self.start)
        self.seen.clear()
        self.pending = False

    def step(self, label: int) -> tuple[float, int, bool, int]:
        """What the environment must report: reward, ending, valid, length."""
        if self.pending:
            self.begin()
            return 0.0, 0, False, 0
        mover = self.position.turn
        self.seen[self.board()] += 1
        self.position.push(self.position.move(label))
        outcome = self.position.outcome(max_plies=MAX_PLIES)
        if outcome is None:
            return 0.0, 0, True, 0
        length = self.position.plies_played
        reward = 0.0 if outcome.winner is None else 1.0 if outcome.winner == mover else -1.0
        if outcome.ending == "move_limit":
            self.pending = True
        else:
            self.begin()
        return reward, ENDINGS[outcome.ending], True, length


@pytest.mark.parametrize("device", DEVICES)
def test_follows_position_through_every_ending(device: str) -> None:
    games, steps = 42, 200
    env = ShogiVectorEnv(games, device, max_plies=MAX_PLIES)
    env.reset(SFENS)
    mirrors = [Mirror(SFENS[game % len(SFENS)], seed=game) for game in range(games)]
    endings: Counter[int] = Counter()
    rewards: Counter[tuple[int, float]] = Counter()
    for step in range(steps):
        labels = [0 if mirror.pending else mirror.choose() for mirror in mirrors]
        out = env.step(torch.tensor(labels, device=device))
        expected = [mirror.step(label) for mirror, label in zip(mirrors, labels, strict=True)]
        got = list(
            zip(
                out.reward.tolist(),
                out.ending.tolist(),
                out.valid.tolist(),
                out.length.tolist(),
                strict=True,
            )
        )
        assert got == expected, f"step {step}"
        words = np.stack([mirror.position.words() for mirror in mirrors])
        assert np.array_equal(env.positions.cpu().numpy(), words), f"step {step}"
        masks = np.stack([mirror.position.legal_mask() for mirror in mirrors])
        assert np.array_equal(env.mask.cpu().numpy(), masks), f"step {step}"
        assert env.ply.tolist() == [mirror.position.plies_played for mirror in mirrors]
        assert env.turn.tolist() == [mirror.position.turn for mirror in mirrors]
        assert env.clock.tolist() == [step + 1] * games
        for reward, ending, _, _ in expected:
            endings[ending] += 1
            rewards[ending, reward] += 1
    assert set(endings) == {0, 1, 2, 3, 4, 5}, f"the games met too few endings: {endings}"
    assert rewards[ops.PERPETUAL_CHECK, -1.0] > 0
    assert set(rewards) >= {
        (ops.NO_LEGAL_MOVE, 1.0),
        (ops.DECLARATION, -1.0),
        (ops.REPETITION, 0.0),
        (ops.MOVE_LIMIT, 0.0),
    }


@pytest.mark.parametrize("device", DEVICES)
def test_truncation_keeps_the_last_position_for_one_row(device: str) -> None:
    env = ShogiVectorEnv(3, device, max_plies=2)
    start = env.positions.clone()
    env.step(env.sample_uniform())
    out = env.step(env.sample_uniform())
    assert out.truncated.all()
    assert not out.terminated.any()
    assert out.length.tolist() == [2, 2, 2]
    assert out.valid.all()
    reached = env.positions.clone()
    assert not torch.equal(reached, start)
    assert env.ply.tolist() == [2, 2, 2]
    # Whatever the actions of the carry-over row are, they are ignored and no error.
    out = env.step(torch.tensor([-1, 5000, 0], device=device))
    assert not out.valid.any()
    assert not out.truncated.any()
    assert out.reward.tolist() == [0.0] * 3
    assert out.length.tolist() == [0] * 3
    assert torch.equal(env.positions, start)
    assert env.ply.tolist() == [0] * 3
    assert env.clock.tolist() == [3] * 3
    assert torch.equal(env.mask, ops.legal_mask(env.positions))


@pytest.mark.parametrize("label", [0, 2186, -1, 2187, 40000, -(2**40), 2**62])
@pytest.mark.parametrize("device", DEVICES)
def test_an_illegal_action_moves_no_game(device: str, label: int) -> None:
    games = 300
    state = State(games, device=device)
    state.actions = ops.uniform_sample(state.mask, state.progress[1], 0)
    state.actions[17] = label
    state.actions[200] = label
    before = [t.clone() for t in (state.positions, state.progress, state.history, state.mask)]
    named = f"label {label}" if -1 < label < 32768 else "a label out of range"
    text = (
        f"actions: game 17: {named} is not legal "
        "(expected a label of its legal mask; no game has moved)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        torch.ops.keisei.step(*state.step_arguments())
    after = (state.positions, state.progress, state.history, state.mask)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old, new)
    assert state.error.item() == ops.NO_ERROR


@pytest.mark.parametrize("label", [0, 2186, -1, 2187, 40000, -(2**40)])
@pytest.mark.parametrize("device", DEVICES)
def test_an_unchecked_illegal_action_stops_its_game_alone(device: str, label: int) -> None:
    env = ShogiVectorEnv(300, device, check_actions=False)
    actions = env.sample_uniform()
    actions[[17, 200]] = label
    start = env.positions.clone()
    out = env.step(actions)
    stopped = torch.zeros(300, dtype=torch.bool, device=device)
    stopped[[17, 200]] = True
    assert torch.equal(~out.valid, stopped)
    assert torch.equal((env.positions == start).all(1), stopped)
    assert torch.equal(env.ply == 0, stopped)
    assert torch.equal(env.mask, ops.legal_mask(env.positions))
    named = f"label {label}" if -1 < label < 32768 else "a label out of range"
    text = (
        f"actions: game 17: {named} is not legal "
        "(expected a label of its legal mask; that game has not moved)"
    )
    # The error waits, through steps that are in order.
    env.step(env.sample_uniform())
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        env.raise_errors()
    env.raise_errors()


def test_a_checked_step_keeps_an_error_that_waits() -> None:
    state = State(4)
    state.actions = ops.uniform_sample(state.mask, state.progress[1], 0)
    state.actions[2] = 0
    torch.ops.keisei.step(*state.step_arguments(check=False))
    waiting = state.error.item()
    assert waiting == 2 << 16
    state.actions = ops.uniform_sample(state.mask, state.progress[1], 0)
    torch.ops.keisei.step(*state.step_arguments(check=True))
    assert state.error.item() == waiting


@pytest.mark.gpu
def test_a_checked_step_on_cuda_keeps_an_error_that_waits() -> None:
    state = State(4, device="cuda")
    state.actions = ops.uniform_sample(state.mask, state.progress[1], 0)
    state.actions[2] = 0
    torch.ops.keisei.step(*state.step_arguments(check=False))
    state.actions = ops.uniform_sample(state.mask, state.progress[1], 0)
    torch.ops.keisei.step(*state.step_arguments(check=True))
    assert state.error.item() == 2 << 16


@pytest.mark.parametrize("device", DEVICES)
def test_games_restart_from_their_own_start(device: str) -> None:
    env = ShogiVectorEnv(7, device, max_plies=1, first_game=4)
    env.reset(SFENS[:3])
    expected = np.stack([Position.from_sfen(SFENS[(4 + game) % 3]).words() for game in range(7)])
    for _ in range(3):
        assert np.array_equal(env.positions.cpu().numpy(), expected)
        assert env.step(env.sample_uniform()).truncated.all()
        assert not env.step(env.sample_uniform()).valid.any()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("before_the_wrap", range(1, 14))
def test_repetition_is_found_where_the_clock_wraps(device: str, before_the_wrap: int) -> None:
    env = ShogiVectorEnv(1, device, max_plies=MAX_PLIES)
    rows = MAX_PLIES + 1
    env.clock.fill_((2**31 - 1) // rows * rows - before_the_wrap)
    env.reset()
    position = Position()
    endings = []
    for move in ("2h3h", "8b7b", "3h2h", "7b8b") * 3:
        label = position.label(move)
        position.push(move)
        endings.append(int(env.step(torch.tensor([label], device=device)).ending))
    assert endings == [ops.NOT_ENDED] * 11 + [ops.REPETITION]
    assert int(env.clock) == (12 - before_the_wrap) % ((2**31 - 1) // rows * rows)
