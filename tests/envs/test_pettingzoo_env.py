"""PettingZoo's own tests, and that the games are ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keisei import Position

pytest.importorskip("pettingzoo", reason="needs the extra 'pettingzoo'")

from pettingzoo.test import api_test, seed_test

from keisei.envs import pettingzoo_env
from keisei.envs.pettingzoo_env import ShogiAECEnv


@pytest.mark.filterwarnings("ignore:Observation is not a NumPy array")
@pytest.mark.filterwarnings("ignore:Observation space for each agent probably should be")
@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("max_plies", [20, 512])
def test_its_own_api_test(max_plies: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The warnings that are let pass are what it says of every observation with a mask."""
    api_test(pettingzoo_env.env(max_plies=max_plies, render_mode="ansi"), num_cycles=200)
    assert "Passed API test" in capsys.readouterr().out


def test_its_own_seed_test() -> None:
    seed_test(pettingzoo_env.env, num_cycles=100)
    seed_test(lambda: pettingzoo_env.env(max_plies=11), num_cycles=100)


def test_each_agent_sees_its_own_side() -> None:
    env, position = ShogiAECEnv(), Position()
    env.reset()
    generator = np.random.default_rng(1)
    for ply in range(40):
        agent = env.agent_selection
        assert agent == f"player_{ply % 2}"
        other = env.possible_agents[1 - ply % 2]
        assert np.array_equal(env.observe(agent)["observation"], position.planes())
        assert np.array_equal(env.observe(other)["observation"], position.planes(opponent=True))
        mask = env.observe(agent)["action_mask"]
        assert np.flatnonzero(mask).tolist() == position.legal_labels()
        assert not env.observe(other)["action_mask"].any()
        label = int(generator.choice(position.legal_labels()))
        env.step(label)
        position.push_label(label)


def test_a_mate_pays_both() -> None:
    env = pettingzoo_env.env()
    env.reset(options={"sfen": "4k4/9/4P4/9/9/9/9/9/4K4 b G 1"})
    env.step(Position.from_sfen("4k4/9/4P4/9/9/9/9/9/4K4 b G 1").label("G*5b"))
    seen = {}
    for agent in env.agent_iter():
        observation, reward, terminated, truncated, info = env.last()
        assert terminated and not truncated and info == {"ending": "no_legal_move"}
        assert observation["observation"].shape == (121, 9, 9)
        assert not observation["action_mask"].any()
        seen[agent] = reward
        env.step(None)
    assert seen == {"player_0": 1.0, "player_1": -1.0}


def test_the_move_limit_truncates() -> None:
    env = ShogiAECEnv(max_plies=3)
    env.reset()
    for _ in range(3):
        env.step(int(np.flatnonzero(env.observe(env.agent_selection)["action_mask"])[0]))
    assert env.truncations == {"player_0": True, "player_1": True}
    assert not any(env.terminations.values()) and not any(env.rewards.values())


def test_white_may_move_first() -> None:
    env = ShogiAECEnv(render_mode="ansi")
    env.reset(options={"sfen": Position().sfen().replace(" b ", " w ")})
    assert env.agent_selection == "player_1"
    assert env.render() == str(Position.from_sfen(Position().sfen().replace(" b ", " w ")))


def test_what_does_not_fit_is_said() -> None:
    env = ShogiAECEnv()
    env.reset()
    with pytest.raises(ValueError, match="label"):
        env.step(0)
    with pytest.raises(ValueError, match="expected a label for player_0, whose turn it is"):
        env.step(None)
    with pytest.raises(ValueError, match="max_plies: expected at least 1, got 0"):
        ShogiAECEnv(max_plies=0)
    with pytest.raises(ValueError, match="render_mode: expected 'ansi' or None, got 'human'"):
        ShogiAECEnv(render_mode="human")
    with pytest.raises(ValueError, match="sfen: expected a game that goes on"):
        env.reset(options={"sfen": "4k4/4G4/4P4/9/9/9/9/9/4K4 w - 1"})
    wrapped = pettingzoo_env.env()
    wrapped.reset()
    wrapped.step(0)
    assert wrapped.terminations == {"player_0": True, "player_1": True}
    assert wrapped.rewards["player_0"] == -1, "the wrapped form makes an illegal move a loss"


@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("step", lambda env: env.step(0)),
        ("last", lambda env: env.last()),
        ("observe", lambda env: env.observe("player_0")),
        ("render", lambda env: env.render()),
    ],
)
def test_before_a_reset_it_says_what_is_missing(what: str, call: Callable[[Any], Any]) -> None:
    with pytest.raises(RuntimeError, match=rf"{what}: expected reset\(\) first"):
        call(ShogiAECEnv(render_mode="ansi"))
