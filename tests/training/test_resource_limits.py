"""Bounds on what a run takes, checked before it is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from keisei.config_schema import ConfigError, ResourcesConfig, config_from_dict, resolve
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.envs import ShogiVectorEnv
from keisei.training.resource_limits import available, bytes_of_games, check_disk, check_memory

CPU = torch.device("cpu")


@pytest.mark.parametrize(("games", "max_plies", "rollout"), [(32, 8, 4), (64, 512, 16), (33, 7, 1)])
def test_bytes_of_games_are_those_of_the_tensors(games: int, max_plies: int, rollout: int) -> None:
    env = ShogiVectorEnv(games, max_plies=max_plies)
    buffer = ExperienceBuffer(rollout, games, CPU)
    state = [t for name, t in env.state_dict().items() if name not in ("starts", "error")]
    state = [t for t in state if t.ndim > 0]
    rows = [t for t in vars(buffer).values() if isinstance(t, torch.Tensor) and t.ndim > 0]
    real = sum(t.numel() * t.element_size() for t in [*state, *rows])
    extra = 4 * games  # the values have one row more
    assert bytes_of_games(games, max_plies, rollout) == pytest.approx(real - extra, rel=0.001)


def test_games_that_cannot_fit_are_refused_by_name() -> None:
    settings = {"env": {"num_games": 2**40}, "training": {"device": "cpu"}}
    config = resolve(config_from_dict(settings, "test"), device="cpu", compile_network=False)
    with pytest.raises(ConfigError, match=r"env\.num_games: expected games that fit in .* GB"):
        check_memory(config, CPU)
    check_memory(config, CPU, ranks=2**35)


def test_a_memory_limit_counts_what_is_held_already() -> None:
    assert available(ResourcesConfig(memory_limit_gb=1e-9), CPU) == 0
    assert (
        0
        < available(ResourcesConfig(memory_limit_gb=1e9), CPU)
        <= available(ResourcesConfig(), CPU) * 1.5
    )


def test_the_disk_keeps_its_reserve(tmp_path: Path) -> None:
    check_disk(tmp_path / "not" / "there" / "yet", 1000, 0.0)
    with pytest.raises(OSError, match=r"disk_reserve_gb: expected 1e\+12 GB to stay free"):
        check_disk(tmp_path, 1000, 1e12)
