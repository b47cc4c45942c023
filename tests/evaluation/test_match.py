"""Opponents by plugin play as the protocol says, and their faults are named."""

from __future__ import annotations

import pytest
import torch
from plugin_samples import FirstLegal
from torch import Tensor, nn

from keisei import Position, ops
from keisei.evaluation.match import MatchCancelledError, play_match
from keisei.evaluation.opponents import Opponent, UniformOpponent, make_opponents
from keisei.utils.plugins import PluginError


class Indifferent(nn.Module):
    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        return planes.new_zeros(len(planes), 2187), planes.new_zeros(len(planes))


class Watching(FirstLegal):
    """Checks what it is given and tries to spoil it."""

    def start(self, games: int, device: torch.device, seed: int) -> None:
        self.started = (games, device, seed)
        self.plies = [0] * games

    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        assert positions.shape == (len(self.plies), 17) and mask.shape == (len(self.plies), 81)
        labels = super().choose(positions, mask, asked)
        for game in asked.nonzero().flatten().tolist():
            position = Position.from_words(positions[game].numpy())
            assert position.legal_labels()[0] == labels[game]
            # The network is black in the even games.
            assert position.turn == (1 if game % 2 == 0 else 0), game
            assert position.plies_played == 0
            self.plies[game] += 1
        labels[~asked] = -5  # nobody looks at these
        positions.zero_(), mask.zero_(), asked.fill_(True)
        return labels


def test_an_opponent_is_asked_where_it_is_its_turn() -> None:
    opponent = Watching()
    result = play_match(Indifferent(), opponent, games=5, seed=4, greedy=False, max_plies=20)
    assert opponent.started == (5, torch.device("cpu"), 4)
    assert isinstance(opponent, Opponent)
    assert result.games == 5 and result.mean_plies <= 20
    assert opponent.plies == [10] * 5, "each side moves ten times in a game of twenty plies"


def test_the_same_seed_is_the_same_match() -> None:
    def play(seed: int) -> object:
        return play_match(
            Indifferent(), FirstLegal(), games=16, seed=seed, greedy=False, max_plies=200
        )

    assert play(1) == play(1)


class Faulty(FirstLegal):
    def __init__(self, fault: str) -> None:
        self.fault = fault

    def start(self, games: int, device: torch.device, seed: int) -> None:
        if self.fault == "start":
            raise RuntimeError("no book")

    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        labels = super().choose(positions, mask, asked)
        if self.fault == "raise":
            raise KeyError("lost")
        if self.fault == "dtype":
            return labels.int()
        if self.fault == "shape":
            return labels[:1]
        if self.fault == "none":
            return None  # type: ignore[return-value]
        return labels.fill_(2186 if self.fault == "illegal" else 5000)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("start", r"start failed: RuntimeError: no book"),
        ("raise", r"choose failed: KeyError: 'lost'"),
        ("dtype", r"labels: expected int64 \[4\] on cpu, got int32 \[4\] on cpu"),
        ("shape", r"labels: expected int64 \[4\] on cpu, got int64 \[1\] on cpu"),
        ("none", r"labels: expected int64 \[4\] on cpu, got None"),
        ("illegal", r"actions: game 1: label 2186 is not legal"),
        ("range", r"actions: .*5000"),
    ],
)
def test_a_faulty_opponent_is_named(fault: str, message: str) -> None:
    with pytest.raises(PluginError, match=rf"opponent 'odd': {message}"):
        play_match(Indifferent(), Faulty(fault), games=4, name="odd")


def test_a_match_can_be_cancelled() -> None:
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 7

    with pytest.raises(MatchCancelledError, match="the match against UniformOpponent"):
        play_match(Indifferent(), UniformOpponent(), games=2, cancelled=cancelled)
    assert len(asked) == 8


def test_opponents_by_name() -> None:
    made = make_opponents(["random", "plugin_samples:FirstLegal"])
    assert isinstance(made["random"], UniformOpponent)
    assert isinstance(made["plugin_samples:FirstLegal"], FirstLegal)
    with pytest.raises(PluginError, match="expected each name once, got 'random' twice"):
        make_opponents(["random", "random"])
    with pytest.raises(PluginError, match=r"'weak': .* an entry point of keisei\.opponents"):
        make_opponents(["weak"])


def test_uniform_play_draws_as_the_games_do() -> None:
    from keisei.envs import ShogiVectorEnv

    env, opponent = ShogiVectorEnv(6, seed=9), UniformOpponent()
    opponent.start(6, env.device, 9)
    asked = torch.ones(6, dtype=torch.bool)
    for _ in range(20):
        labels = env.sample_uniform()
        assert torch.equal(opponent.choose(env.positions, env.mask, asked), labels)
        assert bool(ops.unpack_mask(env.mask).gather(1, labels[:, None]).all())
        env.step(labels)
