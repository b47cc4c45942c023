"""It learns: mates in one are found, and their value is known."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from mates import mates_in_one
from rich.console import Console

from keisei import Position, ops
from keisei.config_schema import (
    AppConfig,
    EnvConfig,
    LoggingConfig,
    ModelConfig,
    TrainingConfig,
)
from keisei.core.ppo_loss import masked_log_softmax
from keisei.training import Trainer

POSITIONS = 24


def mating_labels(position: Position) -> list[int]:
    labels = []
    for label in position.legal_labels():
        after = position.copy()
        after.push(position.move(label))
        outcome = after.outcome()
        if outcome is not None and outcome.ending == "no_legal_move":
            labels.append(label)
    return labels


def test_it_learns_to_mate_in_one(tmp_path: Path) -> None:
    """Games of one ply that start where a mate is: the best policy mates, worth +1, always."""
    positions = mates_in_one(POSITIONS)
    mating = torch.zeros(POSITIONS, ops.LABELS, dtype=torch.bool)
    for row, position in zip(mating, positions, strict=True):
        row[mating_labels(position)] = True
    assert 0 < int(mating.sum()) < 0.1 * sum(len(p.legal_labels()) for p in positions)
    starts = tmp_path / "mates.sfen"
    starts.write_text("".join(f"{position.sfen()}\n" for position in positions))
    trainer = Trainer(
        AppConfig(
            training=TrainingConfig(
                total_timesteps=20_000,
                rollout_length=2,
                batch_size=128,
                ppo_epochs=4,
                learning_rate=2e-3,
                entropy_coefficient=0.05,
                target_kl=None,
                device="cpu",
                compile=False,
            ),
            env=EnvConfig(num_games=120, max_plies=1, start_positions=str(starts)),
            model=ModelConfig(tower_depth=1, tower_width=16),
            logging=LoggingConfig(run_root=str(tmp_path / "runs"), checkpoint_interval=10**9),
        ),
        console=Console(file=io.StringIO()),
    )
    words = torch.stack([torch.from_numpy(p.words()) for p in positions]).to(torch.int32)
    legal = ops.unpack_mask(ops.legal_mask(words))

    def share_and_value() -> tuple[float, float]:
        with torch.no_grad():
            logits, values = trainer.agent.evaluate(words)
            log_probs, _ = masked_log_softmax(logits, legal)
        return float((log_probs.exp() * mating).sum(dim=1).mean()), float(values.mean())

    share, value = share_and_value()
    assert share < 0.1 and abs(value) < 0.5, "untrained, it must not know yet"
    trainer.run_training_loop()
    share, value = share_and_value()
    assert share >= 0.95
    assert value >= 0.85
