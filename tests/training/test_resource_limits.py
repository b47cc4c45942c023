"""Bounds on what a run takes, checked before it is taken."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from keisei.config_schema import ConfigError, ResourcesConfig, config_from_dict, resolve
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.envs import ShogiVectorEnv
from keisei.training import resource_limits
from keisei.training.resource_limits import (
    available,
    bytes_of_games,
    check_disk,
    check_memory,
    is_out_of_memory,
)

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
    settings = {"env": {"num_games": 10**7, "max_plies": 65535}, "training": {"device": "cpu"}}
    config = resolve(config_from_dict(settings, "test"), device="cpu", compile_network=False)
    with pytest.raises(ConfigError, match=r"env\.num_games: expected games that fit in .* GB"):
        check_memory(config, CPU)
    check_memory(config, CPU, ranks=10**6)


def test_a_network_that_cannot_fit_is_refused_by_name() -> None:
    settings = {"model": {"tower_width": 10_000, "tower_depth": 1000}}
    config = resolve(config_from_dict(settings, "test"), device="cpu", compile_network=False)
    with pytest.raises(ConfigError, match=r"^model\.tower_width: expected a network that fits in "):
        check_memory(config, CPU)


@pytest.mark.parametrize("bytes_asked", [2**60, 2**63 - 8])
def test_a_failed_allocation_is_known_from_other_errors(bytes_asked: int) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(bytes_asked, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes differ"))


def test_the_limit_that_leaves_no_room_is_named() -> None:
    settings = {"resources": {"memory_limit_gb": 0.001}, "model": {"type": "m:C"}}
    config = resolve(config_from_dict(settings, "test"), device="cpu", compile_network=False)
    expected = r"^resources\.memory_limit_gb: expected room for the 128 games of env\.num_games, .*"
    with pytest.raises(ConfigError, match=expected + r"got 0\.001, of which 0 GB are left on cpu"):
        check_memory(config, CPU)


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


def test_what_is_to_be_written_counts_against_the_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(total=10**10, used=8 * 10**9, free=2 * 10**9)
    monkeypatch.setattr(resource_limits.shutil, "disk_usage", lambda place: usage)
    check_disk(tmp_path, 10**9, 1.0)
    with pytest.raises(OSError, match=r"after 1\.500 GB are written, got 2\.000 GB free"):
        check_disk(tmp_path, 15 * 10**8, 1.0)
