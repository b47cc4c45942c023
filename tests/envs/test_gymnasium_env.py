"""Gymnasium's vector environment: its spaces, its rules of resetting, its wrappers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from keisei.envs import ShogiVectorEnv

pytest.importorskip("gymnasium", reason="needs the extra 'gymnasium'")

from gymnasium.utils.env_checker import data_equivalence
from gymnasium.utils.passive_env_checker import check_action_space, check_observation_space
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

from keisei.envs.gymnasium_env import ShogiGymnasiumEnv

MATE = "4k4/9/4P4/9/9/9/9/9/4K4 b G 1"


def draw(observation: dict[str, np.ndarray], generator: np.random.Generator) -> np.ndarray:
    return np.array([generator.choice(np.flatnonzero(m)) for m in observation["action_mask"]])


def test_the_spaces_are_what_gymnasium_asks_for() -> None:
    """Its check_env is for single environments; the parts of it that fit are used."""
    env = ShogiGymnasiumEnv(3)
    check_observation_space(env.single_observation_space)
    check_action_space(env.single_action_space)
    assert env.observation_space["observation"].shape == (3, 121, 9, 9)
    assert env.action_space.shape == (3,)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


def test_everything_is_in_its_space_and_again_the_same() -> None:
    def play() -> list[Any]:
        env = ShogiGymnasiumEnv(5, max_plies=9)
        generator, seen = np.random.default_rng(3), []
        observation, info = env.reset(seed=7)
        seen.append((observation, info))
        assert env.np_random is not None and env.observation_space.contains(observation)
        for _ in range(40):
            actions = draw(observation, generator)
            assert env.action_space.contains(actions)
            observation, reward, terminated, truncated, info = env.step(actions)
            assert env.observation_space.contains(observation)
            assert (reward.dtype, reward.shape) == (np.float32, (5,))
            assert (terminated.dtype, truncated.dtype) == (np.bool_, np.bool_)
            seen.append((observation, reward, terminated, truncated, info))
        env.close()
        return seen

    assert data_equivalence(play(), play(), exact=True)


def test_the_games_are_those_of_the_vector_environment() -> None:
    env, plain = ShogiGymnasiumEnv(6), ShogiVectorEnv(6, seed=1)
    observation, _ = env.reset()
    for _ in range(60):
        assert np.array_equal(observation["observation"], plain.planes().numpy())
        assert np.array_equal(observation["action_mask"], plain.legal.numpy().astype(np.int8))
        labels = plain.sample_uniform()
        observation, reward, *_, info = env.step(labels.numpy())
        assert np.array_equal(reward, plain.step(labels).reward.numpy())
        assert np.array_equal(info["turn"], plain.turn.numpy())


def test_a_game_that_ends_is_replaced_in_the_same_step() -> None:
    env = ShogiGymnasiumEnv(2, max_plies=4)
    first, _ = env.reset(options={"sfens": [MATE, "4k4/9/9/9/9/9/9/9/4K4 b P 1"]})
    from keisei import Position

    mate = Position.from_sfen(MATE)
    label = mate.label("G*5b")
    observation, reward, terminated, truncated, info = env.step(
        np.array([label, np.flatnonzero(first["action_mask"][1])[0]])
    )
    assert reward.tolist() == [1.0, 0.0]
    assert terminated.tolist() == [True, False] and not truncated.any()
    assert np.array_equal(observation["observation"][0], first["observation"][0])
    mate.push("G*5b")
    assert np.array_equal(info["final_obs"][0]["observation"], mate.planes())
    assert not info["final_obs"][0]["action_mask"].any() and info["final_obs"][1] is None
    assert info["_final_obs"].tolist() == [True, False]
    assert info["ending"][0] == 1 and info["length"][0] == 1

    generator = np.random.default_rng(0)
    for _ in range(2):
        observation, *_ = env.step(draw(observation, generator))
    before = observation
    observation, _, terminated, truncated, info = env.step(draw(before, generator))
    assert truncated[1] and not terminated[1]
    assert np.array_equal(observation["observation"][1], first["observation"][1])
    assert env.single_observation_space.contains(info["final_obs"][1])


def test_gymnasiums_wrappers_take_it() -> None:
    env = DictInfoToList(RecordEpisodeStatistics(ShogiGymnasiumEnv(4, max_plies=6)))
    generator = np.random.default_rng(5)
    observation, _ = env.reset(seed=1)
    lengths = []
    for _ in range(20):
        observation, _, _, _, infos = env.step(draw(observation, generator))
        lengths += [int(info["episode"]["l"]) for info in infos if "episode" in info]
    assert len(lengths) >= 12 and set(lengths) <= set(range(1, 7))


def test_an_illegal_action_is_said() -> None:
    env = ShogiGymnasiumEnv(2)
    env.reset()
    with pytest.raises(ValueError, match="actions: game 0: label 0 is not legal"):
        env.step(np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="actions"):
        env.step(np.zeros(3, dtype=np.int64))


@pytest.mark.gpu
def test_on_a_gpu_as_on_a_processor() -> None:
    envs = [ShogiGymnasiumEnv(16, device, max_plies=12) for device in ("cpu", "cuda")]
    (a, _), (b, _) = (env.reset() for env in envs)
    generator = np.random.default_rng(2)
    for _ in range(50):
        assert data_equivalence(a, b, exact=True)
        actions = draw(a, generator)
        (a, *rest), (b, *others) = (env.step(actions) for env in envs)
        assert data_equivalence(rest, others, exact=True)
    assert torch.cuda.is_available()
