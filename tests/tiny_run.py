"""A tiny training run with everything on that has a state, and what it leaves."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from keisei.config_schema import (
    AppConfig,
    EnvConfig,
    LoggingConfig,
    ModelConfig,
    PastSelvesConfig,
    TrainingConfig,
)
from keisei.training import Trainer
from keisei.training.callbacks import Callback, Snapshot, StopTraining
from keisei.training.checkpoint import TrainingState, load_checkpoint

PLIES = 8 * 4
"""of an iteration, unless a game is at its move limit"""


def tiny_config(root: Path, iterations: int, save_every: int = 1, **training: Any) -> AppConfig:
    """At least that many iterations, more than three, of which each ``save_every``-th is saved."""
    return AppConfig(
        training=TrainingConfig(
            **{
                "total_timesteps": iterations * PLIES,
                "rollout_length": 4,
                "batch_size": 16,
                "lr_schedule": "cosine",
                "lr_warmup": 3 * PLIES,
                "entropy_schedule": "linear",
                "ema_decay": 0.9,
                "use_ema": True,
                "mirror": True,
                "deterministic": True,
                "device": "cpu",
                "compile": False,
                "seed": 5,
            }
            | training
        ),
        # Half of the games against past selves, which join, leave and change places.
        past_selves=PastSelvesConfig(
            share=0.5, opponents=2, interval=PLIES, capacity=3, stay=3, selection="hardest"
        ),
        # Games of at most five plies: they end, are cut off and begin again within the run.
        env=EnvConfig(num_games=8, max_plies=5),
        model=ModelConfig(tower_depth=1, tower_width=8),
        logging=LoggingConfig(
            run_root=str(root),
            run_name="run",
            # Fewer plies than those of the iterations: some games are at their limit.
            checkpoint_interval=save_every * PLIES // 2,
            detail_interval=2 * PLIES,
            keep_checkpoints=3,
        ),
    )


def tiny_trainer(config: AppConfig, resume: str | None = None) -> Trainer:
    return Trainer(config, SimpleNamespace(resume=resume), Console(file=io.StringIO(), width=120))


def figures(run: Path) -> list[dict[str, float]]:
    """What the run's figures say of games and learning; others are of the clock and the machine."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [
        {
            name: value
            for name, value in json.loads(line).items()
            if name in ("iteration", "step") or name.startswith(("learn.", "games."))
        }
        for line in lines
    ]


def contents(checkpoint: Path) -> dict[str, Any]:
    """All that a checkpoint holds, but for the seconds that it took."""
    model, state = load_checkpoint(checkpoint)
    values = {name: value for name, value in state.values.items() if name != "seconds"}
    return {**model.weights, **state.tensors, **_past(state), "values": values}


def _past(state: TrainingState) -> dict[str, Tensor]:
    """The weights of a run's past selves."""
    return {
        f"{one.file}: {name}": tensor
        for one in state.past_selves
        for name, tensor in one.weights.items()
    }


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """The names of what is not equal, bit for bit."""
    if ours.keys() != theirs.keys():
        return sorted(ours.keys() ^ theirs.keys())
    return [
        name
        for name, value in theirs.items()
        if not (
            torch.equal(value, ours[name]) if isinstance(value, Tensor) else value == ours[name]
        )
    ]


def digest(run: Trainer) -> dict[str, str]:
    """A sum of everything that a checkpoint of the run as it stands would hold."""
    held = run.model_manager.capture()
    state = held.state
    parts: dict[str, Any] = {**held.network, **state.tensors, **_past(state), **state.values}
    del parts["seconds"]
    sums = {}
    for name, part in parts.items():
        raw = part.cpu().contiguous().view(-1).numpy() if isinstance(part, Tensor) else None
        sums[name] = hashlib.sha256(repr(part).encode() if raw is None else raw.data).hexdigest()
    return sums


class Watch(Callback):
    """Notes the state after each iteration and stops after the last one that is wanted."""

    def __init__(self, last: int) -> None:
        self.run: Trainer | None = None
        self.last = last
        self.seen: dict[int, dict[str, str]] = {}

    def on_update_end(self, snapshot: Snapshot) -> None:
        assert self.run is not None
        self.seen[snapshot.iteration] = digest(self.run)
        if snapshot.iteration == self.last:
            raise StopTraining("as far as this test goes")


def watched(config: AppConfig, last: int, resume: str | None = None) -> tuple[Trainer, Watch]:
    run, watch = tiny_trainer(config, resume), Watch(last)
    watch.run = run
    run.callback_manager.add(watch)
    return run, watch
