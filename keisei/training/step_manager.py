"""One training step: play a rollout, learn from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keisei import ops
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.ended_games import EndedGames, EndedGamesReader
from keisei.training.episode_state import EpisodeState
from keisei.training.followed_games import FollowedGamesReader, FollowedRows
from keisei.training.live_game import LiveGameReader, LiveRows
from keisei.training.past_selves import PastSelves
from keisei.training.rollout import Collector, rollout_counts, rollout_values

__all__ = ["EpisodeState", "StepManager"]

_PLANES = (ops.FEATURE_PLANES, 9, 9)


class StepManager:
    """Plays rollouts with the games and learns from them; the order of rows is drawn here.

    Figures are those of all ranks that the learner is one of. With ``past_selves`` some games are
    against them. Of the first ``follow`` games of this rank all plies can be asked for; ``watched``
    is the one of its games that can be looked at.
    """

    def __init__(
        self,
        game: ShogiVectorEnv,
        agent: PPOAgent,
        buffer: ExperienceBuffer,
        *,
        seed: int,
        follow: int = 0,
        past_selves: PastSelves | None = None,
        watched: int = 0,
    ) -> None:
        self._game = game
        self._agent = agent
        self._buffer = buffer
        self._past_selves = past_selves
        players = past_selves.players if past_selves is not None else None
        self._collector = Collector(game, agent, buffer, players)
        self._ended_games = EndedGamesReader(buffer, game.first_game)
        self._followed = FollowedGamesReader(buffer, game, agent, follow) if follow else None
        self._live_game = LiveGameReader(
            buffer, game, watched, mirror_seed=agent.config.seed if agent.config.mirror else None
        )
        self.shuffle = torch.Generator(agent.device).manual_seed(seed)

    @property
    def rollout_length(self) -> int:
        """Plies per game in one rollout."""
        return self._buffer.rollout_length

    def play(
        self,
        on_ply: Callable[[int], None] = lambda _: None,
        *,
        note_games: bool = False,
        note_live: bool = False,
    ) -> dict[str, int]:
        """Fills the buffer with one rollout and its advantages; returns ``rollout_counts``.

        ``on_ply`` is told how many plies are done where they are started one by one. With
        ``note_games`` the games that ended can be asked for, with ``note_live`` the plies of the
        game that is watched. Raises ValueError if an action was illegal.
        """
        if self._past_selves is not None:
            self._past_selves.prepare()
        self._collector.start(on_ply)
        if note_games:
            self._ended_games.copy()
        if self._followed is not None:
            self._followed.copy()
        if note_live:
            self._live_game.copy()
        self._game.raise_errors()
        counts = rollout_counts(self._buffer, self._agent.ranks)
        if self._past_selves is not None:
            self._past_selves.count(self._buffer)
        return counts

    def ended_games(self) -> EndedGames:
        """The games that ended in the last rollout that was played with ``note_games``."""
        return self._ended_games.read()

    def followed_rows(self) -> FollowedRows:
        """The plies of the games that are followed, in the last rollout that was played.

        Raises RuntimeError if none is followed.
        """
        if self._followed is None:
            raise RuntimeError("StepManager.followed_rows: expected games to follow, got none")
        return self._followed.read()

    def live_rows(self) -> LiveRows:
        """The watched game's plies in the last rollout that was played with ``note_live``."""
        return self._live_game.read()

    def learn(
        self,
        last_values: Tensor | None = None,
        *,
        on_minibatch: Callable[[], None] = lambda: None,
    ) -> dict[str, float]:
        """Learns from the rollout in the buffer and clears it; returns the learner's figures.

        ``last_values``, float [N], replaces the values that ``play`` took for the positions after
        the rollout: advantages and returns are made anew with them. ``on_minibatch`` is called
        before each minibatch. Raises RuntimeError unless the buffer is full.
        """
        config = self._agent.config
        if last_values is not None:
            self._buffer.compute_advantages(
                last_values,
                gamma=config.gamma,
                gae_lambda=config.gae_lambda,
                normalize=config.normalize_advantages,
            )
        elif not self._buffer.full:
            raise RuntimeError(
                f"StepManager.learn: expected a rollout of {self._buffer.rollout_length} plies, "
                f"got {len(self._buffer)}"
            )
        figures = self._agent.learn(self._buffer, self.shuffle, on_minibatch)
        figures |= rollout_values(self._buffer, self._agent.ranks)
        self._buffer.clear()
        return figures

    @torch.no_grad()
    def estimate_values(self, planes: NDArray[np.float32]) -> Tensor:
        """The network's values of positions: planes [N, 121, 9, 9] -> float32 [N] on the device.

        One game's planes may come as [121, 9, 9]. Raises ValueError for another shape.
        """
        games = self._game.num_envs
        given = np.asarray(planes)
        if given.shape == _PLANES:
            given = given[None]
        if given.shape != (games, *_PLANES):
            raise ValueError(
                f"current_obs_np: expected planes {[games, *_PLANES]}, got {[*given.shape]}"
            )
        tensor = torch.from_numpy(np.ascontiguousarray(given, dtype=np.float32))
        _, values = self._agent.model(tensor.to(self._agent.device))
        return values

    def state(self) -> EpisodeState:
        """Where the games stand now."""
        return EpisodeState.of(self._game)
