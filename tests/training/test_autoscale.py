"""Sizes fitted to a device: the choice by itself, then a real measurement."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from keisei.config_schema import AppConfig, ConfigError, config_from_dict, resolve
from keisei.training import autoscale
from keisei.training.autoscale import doubling, fit_sizes, measure_rates, smallest_good
from keisei.training.settle import settle

CPU = torch.device("cpu")
SMALL = {
    "training": {"device": "cpu", "rollout_length": 4},
    "model": {"tower_depth": 1, "tower_width": 8},
    "env": {"max_plies": 16},
}


def small_config(**sections: dict[str, object]) -> AppConfig:
    merged = {name: SMALL.get(name, {}) | sections.get(name, {}) for name in {*SMALL, *sections}}
    return config_from_dict(merged, "test")


def test_sizes_double_within_their_bounds() -> None:
    assert list(doubling(32, 300)) == [32, 64, 128, 256]
    assert list(doubling(5, 4)) == []


def test_the_smallest_size_near_the_best_is_taken() -> None:
    assert smallest_good({32: 10.0, 64: 19.0, 128: 20.0, 256: 19.5}) == 64
    assert smallest_good({32: 10.0, 64: 18.9, 128: 20.0}) == 128
    with pytest.raises(ValueError, match="at least one size"):
        smallest_good({})


def test_measuring_ends_where_more_no_longer_pays() -> None:
    tried: list[int] = []

    def seconds_of(size: int) -> float:  # 100 a second from 64 on
        tried.append(size)
        return max(0.64, size / 100)

    rates = measure_rates(doubling(16, 1 << 20), seconds_of)
    assert tried == [16, 32, 64, 128]
    assert rates == {16: 25.0, 32: 50.0, 64: 100.0, 128: 100.0}


def test_measuring_ends_at_a_size_that_takes_long() -> None:
    rates = measure_rates(doubling(16, 1 << 20), lambda size: (size / 16) ** 0.5)
    assert list(rates) == [16, 32, 64, 128]  # 128 takes 2.8 s


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_measuring_ends_where_memory_does(error: type[Exception]) -> None:
    def seconds_of(size: int) -> float:
        if size > 64:
            raise error("full")
        return 0.1

    assert list(measure_rates(doubling(32, 1 << 20), seconds_of)) == [32, 64]
    with pytest.raises(error):
        measure_rates(doubling(128, 1 << 20), seconds_of)


def test_where_nothing_fits_the_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoscale, "available", lambda resources, device: 1000)
    config = resolve(small_config(), device="cpu", compile_network=False)
    with pytest.raises(ConfigError, match=r"env\.num_games: fit: expected room for at least 32"):
        fit_sizes(config, CPU, frozenset({"env.num_games"}))


def test_a_run_that_asks_for_it_gets_sizes_that_its_device_was_tried_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(autoscale, "_SAMPLE", 0.001)
    monkeypatch.setitem(autoscale.GAMES, "cpu", (32, 64))
    monkeypatch.setitem(autoscale.BATCHES, "cpu", (32, 1024))
    before = torch.get_rng_state()
    config = small_config(env={"num_games": "fit"}, training={"batch_size": "fit"})
    settled = settle(config).config
    assert settled.env.num_games in (32, 64)
    assert isinstance(settled.training.batch_size, int)
    assert isinstance(settled.env.num_games, int)
    assert 32 <= settled.training.batch_size <= 4 * settled.env.num_games
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_batch_is_never_larger_than_a_ranks_rollout(
    monkeypatch: pytest.MonkeyPatch, ranks: int
) -> None:
    monkeypatch.setitem(autoscale.BATCHES, "cpu", (32, 1 << 20))
    config = resolve(small_config(env={"num_games": 24}), device="cpu", compile_network=False)
    trials = SimpleNamespace(play=None, learn=lambda batch: 0.1)  # the larger, the better
    wanted = frozenset({"training.batch_size"})
    found = fit_sizes(config, CPU, wanted, ranks=ranks, trials=trials)  # type: ignore[arg-type]
    rows = 24 * 4 // ranks
    assert found == {"training.batch_size": {96: 64, 48: 32}[rows]}


def test_what_is_given_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> dict[str, int]:
        raise AssertionError("nothing asked for it")

    monkeypatch.setattr("keisei.training.settle.fit_sizes", fail)
    settled = settle(small_config(env={"num_games": 32}, training={"batch_size": 64})).config
    assert (settled.env.num_games, settled.training.batch_size) == (32, 64)
