"""Small snapshots for tests of checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch

from keisei.config_schema import AppConfig, ModelConfig, resolve
from keisei.core.network import build_network
from keisei.training.checkpoint import Snapshot, TrainingState, save_checkpoint

CONFIG = resolve(
    AppConfig(model=ModelConfig(tower_depth=1, tower_width=8)), device="cpu", compile_network=False
)


def snapshot(step: int = 5, **tensors: torch.Tensor) -> Snapshot:
    torch.manual_seed(step)
    network = build_network(CONFIG.model).state_dict()
    moments = {f"optimizer.exp_avg.{name}": t.clone() for name, t in network.items()}
    own = {"env.clock": torch.arange(4), "random.torch": torch.get_rng_state()}
    return Snapshot(
        network, step, TrainingState(moments | own | tensors, {"step": step, "iteration": 1})
    )


def write(directory: Path, step: int = 5) -> Path:
    whole = snapshot(step)
    save_checkpoint(directory, network=whole.network, config=CONFIG, step=step, state=whole.state)
    return directory
