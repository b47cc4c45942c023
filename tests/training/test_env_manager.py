"""The games of a run."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from keisei import Position
from keisei.config_schema import AppConfig, ConfigError, EnvConfig, TrainingConfig, resolve
from keisei.envs.policy_output_mapper import PolicyOutputMapper
from keisei.training.env_manager import EnvManager
from keisei.training.episode_state import EpisodeState
from keisei.utils import TrainingLogger


def manager(**env: object) -> EnvManager:
    given = AppConfig(
        training=TrainingConfig(seed=3, device="cpu"),
        env=EnvConfig(**{"num_games": 4, "max_plies": 9} | env),
    )
    config = resolve(given, device="cpu", compile_network=False)
    return EnvManager(config, TrainingLogger(None, Console(file=io.StringIO())))


def test_games_are_built_as_configured() -> None:
    games = manager()
    with pytest.raises(RuntimeError, match=r"game: expected setup_game_components\(\) before"):
        _ = games.game
    game, mapper = games.setup_game_components()
    assert games.game is game and isinstance(mapper, PolicyOutputMapper)
    assert (game.num_envs, game.max_plies) == (4, 9)
    assert int(game.state_dict()["seed"]) == 3
    assert games.action_space_size == mapper.size == 2187
    assert games.obs_space_shape == tuple(game.planes().shape[1:]) == (121, 9, 9)
    info = games.get_environment_info()
    assert info["num_games"] == 4 and info["device"] == "cpu"


def test_games_in_flight_go_on() -> None:
    games = manager()
    game, _ = games.setup_game_components()
    fresh = games.initialize_game_state()
    assert fresh.ply.tolist() == [0] * 4
    game.step(game.sample_uniform())
    state = games.initialize_game_state()
    assert state.ply.tolist() == [1] * 4, "expected no game to be begun anew"
    assert torch.equal(state.positions, game.positions)


def test_an_episode_state_does_not_change() -> None:
    games = manager()
    game, _ = games.setup_game_components()
    state = EpisodeState.of(game)
    planes = game.planes().numpy().copy()
    game.step(game.sample_uniform())
    assert state.num_games == 4 and state.turn.tolist() == [0] * 4
    assert state.ply.tolist() == [0] * 4
    assert state.position(2) == Position()
    assert state.current_obs.dtype == np.float32
    assert np.array_equal(state.current_obs, planes)
    with pytest.raises(AttributeError):
        state.ply = game.ply  # type: ignore[misc]


def test_start_positions_that_cannot_be_read_are_an_error_of_the_configuration(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"^env\.start_positions: .*nowhere: cannot be read"):
        manager(start_positions=str(tmp_path / "nowhere")).setup_game_components()
