"""Names that the trainer had, or that its users may expect: the one place for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keisei.envs import ShogiVectorEnv
from keisei.training.train_state import TrainState

if TYPE_CHECKING:
    from keisei.training.metrics_manager import MetricsManager
    from keisei.training.training_loop_manager import TrainingLoopManager


class CompatibilityMixin:
    """Old names of a ``Trainer``, each passed on to where the thing lives now."""

    metrics_manager: MetricsManager
    training_loop_manager: TrainingLoopManager
    game: ShogiVectorEnv

    @property
    def state(self) -> TrainState:
        """Now ``metrics_manager.state``."""
        return self.metrics_manager.state

    @property
    def env(self) -> ShogiVectorEnv:
        """Now ``game``."""
        return self.game

    @property
    def total_timesteps(self) -> int:
        """Now ``training_loop_manager.total_timesteps``."""
        return self.training_loop_manager.total_timesteps

    @property
    def global_timestep(self) -> int:
        """Now ``metrics_manager.global_timestep``."""
        return self.metrics_manager.global_timestep

    @global_timestep.setter
    def global_timestep(self, value: int) -> None:
        self.metrics_manager.global_timestep = value

    @property
    def total_episodes_completed(self) -> int:
        """Now ``metrics_manager.total_episodes_completed``."""
        return self.metrics_manager.total_episodes_completed

    @total_episodes_completed.setter
    def total_episodes_completed(self, value: int) -> None:
        self.metrics_manager.set_total("games", value)

    @property
    def black_wins(self) -> int:
        """Now ``metrics_manager.black_wins``."""
        return self.metrics_manager.black_wins

    @black_wins.setter
    def black_wins(self, value: int) -> None:
        self.metrics_manager.set_total("black_wins", value)

    @property
    def white_wins(self) -> int:
        """Now ``metrics_manager.white_wins``."""
        return self.metrics_manager.white_wins

    @white_wins.setter
    def white_wins(self, value: int) -> None:
        self.metrics_manager.set_total("white_wins", value)

    @property
    def draws(self) -> int:
        """Now ``metrics_manager.draws``."""
        return self.metrics_manager.draws

    @draws.setter
    def draws(self, value: int) -> None:
        self.metrics_manager.set_total("draws", value)
