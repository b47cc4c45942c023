"""Builds what a run trains with, and puts it where a checkpoint left it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import torch

from keisei.config_schema import AppConfig, ConfigError
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.network import build_network
from keisei.core.ppo_agent import PPOAgent
from keisei.core.ranks import SINGLE, Ranks
from keisei.envs import ShogiVectorEnv
from keisei.envs.policy_output_mapper import PolicyOutputMapper
from keisei.training.distributed import state_of_rank
from keisei.training.metric_panels import format_seconds
from keisei.training.past_selves import PastSelves, games_against_each
from keisei.training.resource_limits import is_out_of_memory
from keisei.training.resume import ResumePoint
from keisei.training.run_state import restore_run
from keisei.training.train_state import TrainState
from keisei.utils.random_state import seed_all


class Games(Protocol):
    """What builds the games."""

    @property
    def action_space_size(self) -> int: ...  # noqa: D102
    @property
    def obs_space_shape(self) -> tuple[int, int, int]: ...  # noqa: D102
    def setup_game_components(self) -> tuple[ShogiVectorEnv, PolicyOutputMapper]: ...  # noqa: D102


class SetupManager:
    """Builds components for ``config`` (resolved) on ``device``; keeps none of them."""

    def __init__(self, config: AppConfig, device: torch.device, *, ranks: Ranks = SINGLE) -> None:
        self._config = config
        self._device = device
        self._ranks = ranks

    def setup_game_components(
        self, games: Games
    ) -> tuple[ShogiVectorEnv, PolicyOutputMapper, int, tuple[int, int, int]]:
        """The games, the mapper, how many labels there are, and the shape of one observation."""
        game, mapper = games.setup_game_components()
        return game, mapper, games.action_space_size, games.obs_space_shape

    def setup_training_components(
        self,
    ) -> tuple[ActorCriticProtocol, PPOAgent, ExperienceBuffer]:
        """The network with weights drawn from the seed, its learner, and the rollout store."""
        training, games = self._config.training, self._config.env.num_games
        if (
            isinstance(training.rollout_length, str)
            or isinstance(training.shuffle_blocks, str)
            or isinstance(games, str)
        ):
            raise TypeError("SetupManager: expected a resolved configuration")
        try:
            return self._build(training.rollout_length, games, training.shuffle_blocks)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            because = str(error).splitlines()[0] if str(error) else "no memory"
            raise ConfigError(
                "model, env.num_games, training.rollout_length: expected a network and a rollout "
                f"that fit on {self._device}, got {because}"
            ) from error

    def _build(
        self, rollout_length: int, games: int, shuffle_blocks: int
    ) -> tuple[ActorCriticProtocol, PPOAgent, ExperienceBuffer]:
        training = self._config.training
        seed_all(training.seed)
        model = build_network(self._config.model)
        model.to(self._device)
        for tensor in model.state_dict().values():  # whatever they were drawn from
            self._ranks.broadcast_(tensor)
        agent = PPOAgent(model, training, self._device, self._ranks)
        buffer = ExperienceBuffer(
            rollout_length,
            games // self._ranks.world_size,
            self._device,
            ranks=self._ranks,
            shuffle_blocks=shuffle_blocks,
            opponents=self._config.past_selves.share > 0,
        )
        return model, agent, buffer

    def handle_checkpoint_resume(
        self,
        point: ResumePoint | None,
        *,
        agent: PPOAgent,
        game: ShogiVectorEnv,
        shuffle: torch.Generator,
        past_selves: PastSelves | None = None,
        take_progress: Callable[[TrainState], None],
        warn: Callable[[str], None],
    ) -> bool:
        """Gives every part what a checkpoint held; returns whether there was one.

        ``take_progress`` gets the counters, ``warn`` what a person should know. Raises
        CheckpointError where something is missing or does not fit.
        """
        if point is None:
            return False
        for one in point.rejected:
            warn(f"passed over: {one.reason}")
        state = state_of_rank(point.states, self._ranks, point.directory)
        progress, warnings = restore_run(point.model, state, agent, game, shuffle, past_selves)
        take_progress(progress)
        for warning in warnings:
            warn(warning)
        return True

    def setup_past_selves(
        self, agent: PPOAgent, game: ShogiVectorEnv, progress: Callable[[], TrainState]
    ) -> PastSelves | None:
        """The past selves that the learner plays against; None without ``past_selves.share``.

        Raises ConfigError if their networks do not fit on the device.
        """
        past = self._config.past_selves
        if past.share == 0:
            return None
        try:
            return PastSelves(self._config, agent, game, progress, self._ranks)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            because = str(error).splitlines()[0] if str(error) else "no memory"
            raise ConfigError(
                f"past_selves.opponents: expected as many networks as fit on {self._device} beside "
                f"the learner, got {past.opponents}: {because}"
            ) from error

    def log_run_info(
        self,
        log_both: Callable[[str], object],
        *,
        agent: PPOAgent,
        game: ShogiVectorEnv,
        resumed_from: Path | None,
        progress: TrainState,
        warnings: Sequence[str] = (),
        setup_seconds: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Says what is trained, on what, where the run stands, and how long its set-up took."""
        training, model, games = self._config.training, self._config.model, self._config.env
        weights = sum(parameter.numel() for _, parameter in agent.model.named_parameters())
        device = self._device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        shape = f"{model.tower_depth} blocks of {model.tower_width} channels"
        options = ", ".join(f"{key} {value}" for key, value in model.options.items())
        network = shape if model.type == "resnet" else options or "no options"
        log_both(
            f"network: {model.type}, {network}, {weights:,} weights; {training.precision} on {name}"
        )
        log_both(
            f"each iteration: {games.num_games:,} games x {training.rollout_length} plies, "
            f"then {training.ppo_epochs} passes in batches of {agent.batch_size:,}"
        )
        each = games_against_each(self._config)
        if each and isinstance(training.shuffle_blocks, int):
            past = self._config.past_selves
            against = each * past.opponents * training.shuffle_blocks
            log_both(
                f"{against:,} of the games are against {past.opponents} past selves at once, of at "
                f"most {past.capacity} ({past.selection})"
            )
        if self._ranks.world_size > 1:
            log_both(
                f"{self._ranks.world_size} ranks, each with {game.num_envs:,} of the games and its "
                f"share of every batch, by {self._config.distributed.backend}"
            )
        if resumed_from is not None:
            log_both(
                f"resumed from {resumed_from}: {progress.step:,} plies, "
                f"{format_seconds(progress.seconds)} of training"
            )
        if setup_seconds:
            parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in setup_seconds.items())
            log_both(f"set up, in seconds: {parts}")
        for warning in warnings:
            log_both(f"warning: {warning}")
        if training.compile:
            log_both("kernels are compiled in the second iteration, which takes some seconds")
