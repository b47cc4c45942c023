"""Games that are replaced at once: last positions are the true ones, and no other game moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from keisei import Position, ops
from keisei.envs import ShogiVectorEnv
from keisei.envs.ended_positions import RestartedGames

STARTS = [
    "4k4/9/4P4/9/9/9/9/9/4K4 b G 1",  # a mate in one
    "4k4/9/9/9/9/9/9/9/R3K4 b R 1",  # kings and rooks: repetitions
    "4k4/9/9/9/9/9/4p4/9/4K4 w g 1",
]


@pytest.mark.parametrize("max_plies", [5, 60])
def test_every_game_is_the_one_that_its_moves_make(max_plies: int) -> None:
    count, endings = 40, set()
    games = RestartedGames(count, max_plies=max_plies, seed=1)
    games.reset(STARTS)
    played = [Position.from_sfen(STARTS[g % 3]) for g in range(count)]
    generator = np.random.default_rng(0)
    for _ in range(150):
        labels = []
        for position in played:
            # Back and forth now and then, so that positions recur.
            legal = position.legal_labels()
            labels.append(legal[int(generator.integers(min(3, len(legal))))])
        step = games.step(torch.tensor(labels))
        ended = dict(zip(step.ended.tolist(), step.last_planes, strict=True))
        for g, position in enumerate(played):
            position.push_label(labels[g])
            outcome = position.outcome(max_plies)
            assert (outcome is not None) == (g in ended) == (int(step.ending[g]) != 0)
            if outcome is not None:
                endings.add(outcome.ending)
                assert np.array_equal(ended[g].numpy(), position.planes()), outcome
                assert bool(step.truncated[g]) == (outcome.ending == "move_limit")
                assert bool(step.terminated[g]) != bool(step.truncated[g])
                assert int(step.length[g]) == position.plies_played
                played[g] = Position.from_sfen(STARTS[g % 3])
        planes = games.env.planes()
        for g, position in enumerate(played):
            assert np.array_equal(planes[g].numpy(), position.planes()), g
    expected = {"move_limit"} if max_plies == 5 else {"repetition", "move_limit"}
    assert expected <= endings, f"expected games that end by {expected}, got {endings}"


def test_rewards_are_those_of_the_environment() -> None:
    plain, games = ShogiVectorEnv(8, max_plies=400, seed=2), RestartedGames(8, max_plies=400)
    for _ in range(300):
        labels = plain.sample_uniform()
        ours, theirs = games.step(labels), plain.step(labels)
        assert torch.equal(ours.reward, theirs.reward)
        assert torch.equal(ours.ending, theirs.ending)
        if bool(theirs.truncated.any()):
            break


def test_an_illegal_label_is_refused_and_nothing_moves() -> None:
    games = RestartedGames(3)
    before = games.env.state_dict()
    labels = games.env.sample_uniform()
    labels[1] = 0
    with pytest.raises(ValueError, match="actions: game 1: label 0 is not legal"):
        games.step(labels)
    for name, tensor in games.env.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert games.step(games.env.sample_uniform()).ending.tolist() == [ops.NOT_ENDED] * 3
