"""Tiny runs, and what of them must be equal."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from keisei.config_schema import AppConfig, EnvConfig, LoggingConfig, ModelConfig, TrainingConfig
from keisei.core.model_file import list_checkpoints
from keisei.training import Trainer
from keisei.training.checkpoint import load_checkpoint

PLIES = 8 * 4  # of one iteration, unless a game is at its move limit


def tiny_config(root: Path, total: int = 6 * PLIES, **sections: Any) -> AppConfig:
    """A run of some iterations, in which games end, are cut off and begin again."""
    return AppConfig(
        training=TrainingConfig(
            total_timesteps=total,
            rollout_length=4,
            batch_size=16,
            device="cpu",
            compile=False,
            seed=5,
        ),
        env=EnvConfig(num_games=8, max_plies=5),
        model=sections.pop("model", ModelConfig(tower_depth=1, tower_width=8)),
        logging=LoggingConfig(
            run_root=str(root), run_name="run", checkpoint_interval=2 * PLIES, keep_checkpoints=0
        ),
        **sections,
    )


def screen() -> Console:
    """A console that nobody sees."""
    return Console(file=io.StringIO(), width=120)


def trainer_of(settings: AppConfig, resume: str | None = None) -> Trainer:
    """A trainer of these settings."""
    return Trainer(settings, SimpleNamespace(resume=resume), screen())


def state_of(trainer: Trainer) -> dict[str, Tensor]:
    """Everything that the run's last checkpoint holds, but for how long things took."""
    model, training = load_checkpoint(list_checkpoints(Path(trainer.model_dir))[-1])
    values = {k: v for k, v in training.values.items() if "seconds" not in k}
    return {
        **{f"model.{name}": tensor for name, tensor in model.weights.items()},
        **training.tensors,
        "values": torch.tensor(list(json.dumps(values, sort_keys=True).encode())),
    }


def assert_same_run(one: Trainer, other: Trainer) -> None:
    """Fails unless both runs ended with the same bits."""
    ours, theirs = state_of(one), state_of(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), f"{name}: expected the same bits in both runs"
