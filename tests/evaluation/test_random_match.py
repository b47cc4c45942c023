"""The match against uniform play: who is who, and what counts as won."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from keisei.config_schema import AppConfig, ModelConfig, resolve
from keisei.core.model_file import load_model, save_model
from keisei.core.network import build_network
from keisei.evaluation import random_match


class Indifferent(nn.Module):
    """Logits that are all the same: sampled, it plays uniformly itself."""

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        return planes.new_zeros(len(planes), 2187), planes.new_zeros(len(planes))


class Greedy(nn.Module):
    """Takes a piece where it can, and promotes where it can: seen from its own side."""

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        enemies = planes[:, 31:45].sum(dim=1).flatten(1)
        logits = enemies[:, None, :].repeat(1, 27, 1) * 5.0
        logits[:, 10:20] += 2.0
        return logits.flatten(1), planes.new_zeros(len(planes))


def test_every_game_is_counted_once_and_again_the_same() -> None:
    def play(seed: int) -> random_match.MatchResult:
        return random_match.play_against_uniform(
            Indifferent(), games=41, greedy=False, seed=seed, max_plies=300
        )

    result = play(0)
    decided = result.black_wins + result.white_wins + result.losses
    assert decided + result.draws + result.truncated == result.games == 41
    assert result.truncated > 0 and result.losses > 0
    assert result.win_rate == (result.black_wins + result.white_wins) / 41
    assert result == play(0) != play(1)


def test_the_better_player_is_the_networks() -> None:
    """One that takes whatever it can wins, with both colours; it would lose if sides were mixed."""
    result = random_match.play_against_uniform(Greedy(), games=60, greedy=False, seed=2)
    assert result.black_wins > 10 and result.white_wins > 10
    assert result.black_wins + result.white_wins > 5 * result.losses


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    config = resolve(
        AppConfig(model=ModelConfig(tower_depth=1, tower_width=8)),
        device="cpu",
        compile_network=False,
    )
    torch.manual_seed(0)
    save_model(tmp_path / "model.ckpt", build_network(config.model), config, 0)
    arguments = ["--games", "4", "--max-plies", "10", "--device", "cpu"]
    assert random_match.main([str(tmp_path), *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["games"] == 4 and result["truncated"] == 4 and result["win_rate"] == 0
    assert random_match.main([str(tmp_path / "nowhere"), *arguments]) == 1
    weights = load_model(tmp_path / "model.ckpt").weights
    save_file(weights, tmp_path / "model.ckpt", metadata={"keisei": "{"})
    assert random_match.main([str(tmp_path), *arguments]) == 1
    assert "model.ckpt: expected JSON, got" in caplog.text
