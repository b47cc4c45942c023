"""Whole games come out of the pieces of rollouts, as they were played."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from keisei import Position, ops
from keisei.config_schema import TrainingConfig
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.network import ResNet
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.followed_games import (
    FollowedGame,
    FollowedGamesReader,
    FollowedRows,
    GameFollower,
)
from keisei.training.rollout import Collector

GAMES, PLIES, FOLLOWED, LIMIT = 12, 7, 5, 30
# Mates in one for black, and for white; games that go on to their move limit.
STARTS = [
    "4k4/9/4P4/9/9/9/9/9/4K4 b G 1",
    "4k4/9/9/9/9/9/4p4/9/4K4 w g 1",
    "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1",
]


class Played:
    """Rollouts on ``device``, with what the games really did at each ply noted beside them."""

    def __init__(self, device: str = "cpu", *, mirror: bool, first_game: int = 6) -> None:
        torch.manual_seed(0)
        settings = TrainingConfig(
            device=device,
            batch_size=64,
            precision="float32",
            compile=False,
            total_timesteps=1,
            mirror=mirror,
            seed=3,
        )
        place = torch.device(device)
        self.env = ShogiVectorEnv(
            GAMES, place, max_plies=LIMIT, seed=3, first_game=first_game, check_actions=False
        )
        self.env.reset(STARTS)
        self.buffer = ExperienceBuffer(PLIES, GAMES, place)
        self.agent = PPOAgent(ResNet(depth=1, width=8, se_ratio=4).to(place), settings, place)
        self.collector = Collector(self.env, self.agent, self.buffer)
        self.reader = FollowedGamesReader(self.buffer, self.env, self.agent, FOLLOWED)
        self.positions: list[np.ndarray] = []

    def rollout(self) -> FollowedRows:
        self.positions = [self.env.positions.cpu().numpy().copy()]
        self.collector.start(
            lambda _: self.positions.append(self.env.positions.cpu().numpy().copy())
        )
        self.reader.copy()
        self.env.raise_errors()
        return self.reader.read()


def check_rows(rows: FollowedRows, positions: list[np.ndarray]) -> int:
    """Each row has the position as it was, and its move leads to the next; returns the moves."""
    moves = 0
    for t in range(PLIES + 1):
        assert np.array_equal(rows.positions[t], positions[t][:FOLLOWED]), f"ply {t}"
    for t in range(PLIES):
        for slot in range(FOLLOWED):
            if rows.valid[t, slot] and rows.ending[t, slot] in (0, ops.MOVE_LIMIT):
                position = Position.from_words(rows.positions[t, slot])
                position.push_label(int(rows.labels[t, slot]))
                ours, theirs = position.sfen(), Position.from_words(positions[t + 1][slot]).sfen()
                assert ours.split()[:3] == theirs.split()[:3], f"ply {t} of game {slot}"
                moves += 1
    return moves


@pytest.mark.parametrize("mirror", [False, True])
def test_rows_are_what_was_played_and_not_what_was_seen(mirror: bool) -> None:
    played = Played(mirror=mirror)
    seen_otherwise = 0
    for _ in range(3):
        rows = played.rollout()
        assert check_rows(rows, played.positions) > PLIES
        seen = played.buffer.positions[:, :FOLLOWED].numpy()
        seen_otherwise += int((seen != rows.positions[:-1]).any(axis=2).sum())
        values = played.buffer.values[:-1, :FOLLOWED].numpy()
        assert np.array_equal(rows.values, values)
    assert (seen_otherwise > 10) == mirror


def test_the_clock_wraps_and_the_coins_are_still_the_same() -> None:
    played = Played(mirror=True)
    state = played.env.state_dict()
    rows = LIMIT + 1
    # Four steps before the clock begins again; the games begin anew, so no history is looked up.
    state["progress"][1] = (2**31 - 1) // rows * rows - 4
    played.env.load_state_dict(state)
    played.env.reset(STARTS)
    check_rows(played.rollout(), played.positions)
    assert int(played.env.clock.max()) < PLIES


@pytest.mark.parametrize("mirror", [False, True])
def test_whole_games_and_no_others(mirror: bool) -> None:
    played, follower = Played(mirror=mirror), GameFollower()
    games: list[FollowedGame] = []
    ended = 0
    for iteration in range(1, 30):
        rows = played.rollout()
        ended += int((rows.ending != 0).sum())
        games += follower.take(iteration, rows)
    assert len(games) == ended > 30, "every game was followed from its start"
    endings = set()
    for game in games:
        position = Position.from_words(game.start)
        assert position.sfen() == STARTS[(6 + game.slot) % 3]
        for label in game.labels:
            assert position.outcome() is None
            position.push_label(label)
        outcome = position.outcome(max_plies=LIMIT)
        assert outcome is not None
        endings.add(outcome.ending)
        winner = -1 if outcome.winner is None else outcome.winner
        assert (game.ending, game.winner) == (getattr(ops, outcome.ending.upper()), winner)
        assert len(game.values) == len(game.labels)
    assert {"no_legal_move", "move_limit"} <= endings


def long_games() -> Iterator[FollowedRows]:
    """Rollouts of games that each go on for eleven plies, from any rollout of the run on."""
    t = 0
    while True:
        ending = np.array([[5 if (t + i) % 12 == 10 else 0] for i in range(PLIES)])
        valid = np.array([[(t + i) % 12 != 11] for i in range(PLIES)])
        labels = np.array([[t + i] for i in range(PLIES)], dtype=np.int32)
        yield FollowedRows(
            positions=np.repeat(np.arange(t, t + PLIES + 1), 17).reshape(-1, 1, 17),
            labels=labels,
            values=labels.astype(np.float32),
            valid=valid,
            own=np.array([[(t + i) < 30 or (t + i) % 2 == 0] for i in range(PLIES)]),
            ending=ending,
            winner=ending - 1,
            length=np.where(ending > 0, 11, 0),
        )
        t += PLIES


def test_a_game_whose_start_was_not_seen_is_passed_over() -> None:
    rollouts = long_games()
    next(rollouts)
    follower = GameFollower()  # as after a resume
    games = [game for i in range(2, 6) for game in follower.take(i, next(rollouts))]
    assert [game.labels for game in games] == [tuple(range(12, 23)), tuple(range(24, 35))]
    assert games[0].start.tolist() == [12] * 17 and games[0].begun == 2
    assert games[0].values == tuple(map(float, range(12, 23)))
    assert [game.past_self for game in games] == [None, 31 - 24]


def test_a_missing_rollout_spoils_only_the_games_that_it_was_part_of() -> None:
    rollouts, follower = long_games(), GameFollower()
    games = list(follower.take(1, next(rollouts)))
    next(rollouts)
    for i in range(3, 9):
        games += follower.take(i, next(rollouts))
    assert [game.labels[0] for game in games] == [24, 36]
    assert all(len(game.labels) == 11 for game in games)


@pytest.mark.gpu
@pytest.mark.parametrize("mirror", [False, True])
def test_the_same_on_a_gpu_and_nothing_waits(mirror: bool) -> None:
    played, on_cpu = Played("cuda", mirror=mirror), GameFollower()
    before = torch.cuda.get_sync_debug_mode()
    for iteration in range(1, 6):  # as it stands, recorded, started as one graph
        played.collector.start()
        torch.cuda.set_sync_debug_mode("error")
        try:
            played.reader.copy()
        finally:
            torch.cuda.set_sync_debug_mode(before)
        played.env.raise_errors()
        assert played.reader._copied.is_done, "nothing is left to wait for"
        for game in on_cpu.take(iteration, played.reader.read()):
            position = Position.from_words(game.start)
            for label in game.labels:
                position.push_label(label)
            assert position.outcome(max_plies=LIMIT) is not None
