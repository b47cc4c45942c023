"""With training.use_ema, what a run evaluates, saves and exports are its averaged weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_run import tiny_config

from keisei.core.model_file import load_model
from keisei.export import export_checkpoint
from keisei.training import Trainer


@pytest.mark.parametrize("use_ema", [True, False])
def test_evaluation_checkpoint_and_export_take_the_same_weights(
    use_ema: bool, tmp_path: Path
) -> None:
    trainer = Trainer(tiny_config(tmp_path, 4, use_ema=use_ema))
    assert trainer.run_training_loop()
    raw = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    averaged = trainer.agent.averaged_state_dict()
    name = "stem.weight"
    assert not torch.equal(raw[name], averaged[name]), "an average of several steps differs"
    expected = averaged if use_ema else raw
    evaluated = trainer.evaluator.network_now().state_dict()
    saved = load_model(trainer.run_artifact_dir).weights
    for name, tensor in expected.items():
        assert torch.equal(evaluated[name], tensor), f"evaluation: {name}"
        assert torch.equal(saved[name], tensor), f"model.ckpt: {name}"

    target = tmp_path / "policy.pt"
    export_checkpoint(trainer.run_artifact_dir, target)
    exported = dict(torch.jit.load(target).named_parameters())
    assert exported, "the exported file has its weights as parameters"
    for name, tensor in exported.items():
        assert torch.equal(tensor, expected[name]), f"export: {name}"
