"""Figures of memory and utilisation, and the limit on memory."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
import torch

from keisei.training.callbacks import Event, Snapshot, StopTraining
from keisei.training.resource_monitor import (
    MemoryLimitCallback,
    ResourceMonitor,
    look,
    memory_held,
)

CPU = torch.device("cpu")


def test_memory_held_grows_with_what_is_held() -> None:
    before = memory_held()
    block = torch.ones(64 * 2**20 // 4)  # 64 MiB, written to
    grown = memory_held() - before
    assert grown > 48 * 2**20, f"expected about 64 MiB more, got {grown}"
    assert look(CPU)["resources.memory_gb"] == pytest.approx(memory_held() / 1e9, rel=0.2)
    del block


def test_the_monitor_looks_at_once_and_then_at_each_interval() -> None:
    looks = iter(range(100))
    third = threading.Event()

    def count(device: torch.device) -> dict[str, float]:
        number = next(looks)
        if number == 2:
            third.set()
        return {"resources.looks": float(number)}

    monitor = ResourceMonitor(CPU, 0.001, count)
    assert monitor.latest == {}
    monitor.start()
    assert third.wait(timeout=60)
    monitor.close()
    after = monitor.latest["resources.looks"]
    assert after >= 2
    assert next(looks) == after + 1, "it went on after close()"


def test_a_look_that_fails_is_told_once_and_harms_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(device: torch.device) -> dict[str, float]:
        raise OSError("no such thing")

    monitor = ResourceMonitor(CPU, 60.0, fail)
    with caplog.at_level(logging.WARNING, "keisei"):
        monitor.start()
        monitor.refresh()
    monitor.close()
    assert monitor.latest == {}
    assert [record.getMessage() for record in caplog.records] == [
        "resources cannot be looked at: OSError: no such thing"
    ]


def test_past_the_limit_the_run_is_asked_to_end() -> None:
    held = 1_000_000_000
    callback = MemoryLimitCallback(1.5, lambda: held)
    snapshot = Snapshot(Event.UPDATE_END, 1, 1, 1.0, Path())
    callback.on_update_end(snapshot)
    held = 1_600_000_000
    with pytest.raises(StopTraining, match=r"memory_limit_gb: expected at most 1\.5, got 1\.60"):
        callback.on_update_end(snapshot)


@pytest.mark.gpu
def test_figures_of_a_gpu() -> None:
    device = torch.device("cuda")
    before = look(device)
    block = torch.ones(10**8 // 4, device=device)
    after = look(device)
    assert after["resources.gpu_memory_gb"] - before["resources.gpu_memory_gb"] >= 0.1
    assert 0 < after["resources.gpu_memory_used_share"] <= 1
    assert 0 <= after.get("resources.gpu_busy_percent", 0) <= 100
    del block
