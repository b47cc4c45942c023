"""The games of a run: built, begun, looked at."""

from __future__ import annotations

from typing import Any

import torch

from keisei import ops
from keisei.config_schema import AppConfig
from keisei.core.ranks import SINGLE, Ranks
from keisei.envs import ShogiVectorEnv
from keisei.envs.policy_output_mapper import PolicyOutputMapper
from keisei.training.episode_state import EpisodeState
from keisei.training.start_positions import read_start_positions
from keisei.utils import TrainingLogger


class EnvManager:
    """Builds the games that ``config`` (resolved) asks for and knows where they stand.

    Of several ``ranks`` each has an equal share of them, in order.

    ``game`` and ``policy_output_mapper`` are there after ``setup_game_components``.
    """

    def __init__(self, config: AppConfig, logger: TrainingLogger, *, ranks: Ranks = SINGLE) -> None:
        self._config = config
        self._logger = logger
        self._ranks = ranks
        self._game: ShogiVectorEnv | None = None
        self.policy_output_mapper = PolicyOutputMapper()

    @property
    def action_space_size(self) -> int:
        """How many labels the policy has: 2187."""
        return self.policy_output_mapper.size

    @property
    def obs_space_shape(self) -> tuple[int, int, int]:
        """The shape of one position's planes: (121, 9, 9)."""
        return (ops.FEATURE_PLANES, 9, 9)

    @property
    def game(self) -> ShogiVectorEnv:
        """The games; RuntimeError before they are built."""
        if self._game is None:
            raise RuntimeError("EnvManager.game: expected setup_game_components() before")
        return self._game

    def setup_game_components(self) -> tuple[ShogiVectorEnv, PolicyOutputMapper]:
        """Builds the games at their start positions.

        Raises ConfigError for a file of start positions that cannot be used.
        """
        config = self._config.env
        starts = None
        if config.start_positions is not None:
            starts = read_start_positions(config.start_positions)
        if isinstance(config.num_games, str):
            raise TypeError(f"env.num_games: expected a number, got {config.num_games!r}")
        share = config.num_games // self._ranks.world_size
        game = ShogiVectorEnv(
            share,
            torch.device(self._config.training.device),
            max_plies=config.max_plies,
            seed=self._config.training.seed,
            first_game=self._ranks.rank * share,
            # The actions are drawn from the legal mask; the rollout asks once for errors.
            check_actions=False,
        )
        if starts is not None:
            game.reset(starts)
        self._game = game
        self._logger.debug("%d games of at most %d plies", game.num_envs, game.max_plies)
        return game, self.policy_output_mapper

    def initialize_game_state(self) -> EpisodeState:
        """Where the games stand as training begins; games in flight, of a resumed run, go on."""
        self.game.raise_errors()
        return EpisodeState.of(self.game)

    def get_environment_info(self) -> dict[str, Any]:
        """What the games are, as plain values."""
        game = self.game
        return {
            "num_games": game.num_envs,
            "max_plies": game.max_plies,
            "device": str(game.device),
            "start_positions": self._config.env.start_positions,
            "action_space_size": self.action_space_size,
            "obs_space_shape": self.obs_space_shape,
        }
