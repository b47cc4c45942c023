"""A whole run whose numbers get lost: it skips, says so, stops, and its checkpoints are good."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from keisei.config_schema import (
    AppConfig,
    EnvConfig,
    LoggingConfig,
    ModelConfig,
    TrainingConfig,
)
from keisei.core.divergence import TrainingDivergedError
from keisei.core.model_file import list_checkpoints
from keisei.training import Trainer
from keisei.training.checkpoint import load_checkpoint

PLIES = 8 * 4  # of one iteration
STEPS = 4  # of one update


def make(tmp_path: Path, resume: str | None = None) -> Trainer:
    config = AppConfig(
        training=TrainingConfig(
            total_timesteps=6 * PLIES,
            rollout_length=4,
            batch_size=16,
            device="cpu",
            compile=False,
            target_kl=None,
            max_skipped_updates=STEPS + 2,
            ema_decay=0.9,
        ),
        env=EnvConfig(num_games=8),
        model=ModelConfig(tower_depth=1, tower_width=8),
        logging=LoggingConfig(
            run_root=str(tmp_path), run_name="run", checkpoint_interval=PLIES, keep_checkpoints=0
        ),
    )
    return Trainer(config, SimpleNamespace(resume=resume), Console(file=io.StringIO()))


def test_it_stops_with_a_diagnosis_and_goes_on_from_a_good_checkpoint(tmp_path: Path) -> None:
    trainer = make(tmp_path)
    buffer = trainer.experience_buffer
    assert buffer is not None
    compute = buffer.compute_advantages

    def lose(last_values: torch.Tensor, **settings: object) -> None:
        compute(last_values, **settings)  # type: ignore[arg-type]
        if trainer.metrics_manager.state.iteration >= 2:
            buffer.advantages.fill_(torch.nan)

    buffer.compute_advantages = lose  # type: ignore[method-assign, assignment]
    with pytest.raises(TrainingDivergedError, match="6 gradient steps in a row were skipped"):
        trainer.run_training_loop()

    run = tmp_path / "run"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["learn.skipped_updates"] for line in lines] == [0, 0, STEPS]
    assert [line["learn.gradient_steps"] for line in lines] == [STEPS, STEPS, 0]
    text = (run / "train.log").read_text()
    assert "4 gradient steps were skipped in this update" in text
    assert "not finite in the last one: loss, gradient; gradients not finite: " in text

    checkpoints = list_checkpoints(Path(trainer.model_dir))
    states = [load_checkpoint(path) for path in checkpoints]
    assert [model.manifest["step"] for model, _ in states] == [PLIES, 2 * PLIES, 3 * PLIES]
    for model, state in states:
        for name, tensor in (model.weights | state.tensors).items():
            assert not tensor.is_floating_point() or bool(tensor.isfinite().all()), name
    (before, moments), (after, same) = states[1:]
    for name, tensor in before.weights.items():
        assert torch.equal(tensor, after.weights[name]), f"{name} changed without a step"
    for name, tensor in moments.tensors.items():
        if name.startswith(("optimizer.", "ema.")):
            assert torch.equal(tensor, same.tensors[name]), f"{name} changed without a step"

    resumed = make(tmp_path, resume=str(checkpoints[-1]))
    assert float(resumed.agent._guard.in_a_row) == STEPS  # type: ignore[union-attr]
    resumed.run_training_loop()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line["learn.gradient_steps"] for line in lines[3:]] == [STEPS] * 3
