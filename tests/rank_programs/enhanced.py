"""A trainer that becomes one of several ranks by ``enable_distributed_training``.

Arguments: a folder for the run; ``enhanced``, or ``plain`` for the ranks of torchrun's environment.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import pytest
from run_helpers import PLIES, screen, tiny_config

from keisei.config_schema import EvaluationConfig
from keisei.training import EnhancedTrainer, Trainer
from keisei.training.callbacks import Callback, Snapshot
from keisei.training.distributed import leave

root, way = Path(sys.argv[1]), sys.argv[2]
rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
config = tiny_config(root, evaluation=EvaluationConfig(interval=3 * PLIES, games=2))
config = config.model_copy(
    update={"training": config.training.model_copy(update={"shuffle_blocks": 2})}
)


class Census:
    """Counts the games of the rank that calls it."""

    every_rank = True

    def __init__(self, model_dir: str) -> None:
        self.model_dir, self.games = model_dir, 0

    def on_game_end(self, snapshot: Snapshot) -> None:
        """Adds the games of a rollout."""
        self.games += len(snapshot.data["games"])


class Mine(Callback):
    """Is called on the first rank only."""

    calls = 0

    def on_update_end(self, snapshot: Snapshot) -> None:
        """Counts."""
        self.calls += 1


if way == "plain":
    trainer = Trainer(config, None, screen())
    assert trainer.run_training_loop()
else:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        del os.environ[name]
    mine = Mine()
    trainer = EnhancedTrainer(config, None, [mine], screen())
    assert trainer.ranks.world_size == 1 and trainer.game.num_envs == 8
    before = trainer.register_custom_manager("census", Census)
    trainer.enable_distributed_training(world_size, rank)
    assert (trainer.ranks.rank, trainer.ranks.world_size) == (rank, world_size)
    assert trainer.game.num_envs == 4 and trainer.game.first_game == 4 * rank
    assert trainer.census is not before and list(trainer.custom_managers) == ["census"]
    assert trainer.census.model_dir == trainer.model_dir
    assert trainer.run_training_loop()
    assert trainer.census.games > 0
    assert mine.calls == (trainer.state.iteration if rank == 0 else 0)
    slots = trainer.step_manager.ended_games().slot
    assert all(4 * rank <= slot < 4 * (rank + 1) for slot in slots), slots
    with pytest.raises(RuntimeError, match="every rank takes part"):
        asyncio.run(trainer.async_operations.save_checkpoint())
    if rank == 0:
        assert asyncio.run(trainer.async_operations.evaluate()).games == 2
    else:
        with pytest.raises(RuntimeError, match="expected to be asked of the first rank"):
            asyncio.run(trainer.async_operations.evaluate())
    with pytest.raises(RuntimeError, match="expected a run that has not begun"):
        trainer.enable_distributed_training(world_size, rank)
leave(failed=False)
