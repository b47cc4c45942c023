"""Timing of device work: warm-up, several runs, median and spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of one call over several runs."""

    median: float
    low: float
    high: float


def time_calls(
    call: Callable[[], object], device: torch.device, *, calls: int = 10, runs: int = 7
) -> Timing:
    """Seconds per call: each run times `calls` of them together, after two calls of warm-up."""
    for _ in range(2):
        call()
    seconds = []
    for _ in range(runs):
        if device.type == "cuda":
            begin = torch.cuda.Event(enable_timing=True)
            end = torch.cuda.Event(enable_timing=True)
            begin.record()
            for _ in range(calls):
                call()
            end.record()
            end.synchronize()
            seconds.append(begin.elapsed_time(end) / 1000 / calls)
        else:
            start = time.perf_counter()
            for _ in range(calls):
                call()
            seconds.append((time.perf_counter() - start) / calls)
    return Timing(statistics.median(seconds), min(seconds), max(seconds))
