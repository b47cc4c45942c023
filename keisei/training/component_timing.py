"""How long each part of a run takes: set-up by manager, iterations by what is done in them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

import torch

# Every span is also one of torch's profiler, under this name and that of the part.
SPAN = "keisei."


class ComponentTimes:
    """Adds up the wall time of named parts; a part inside of another is taken out of the outer one.

    For the one thread that trains. Costs some microseconds a span and never waits for a device:
    what is started on one counts where it is waited for.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._totals: dict[str, float] = {}
        self._taken: dict[str, float] = {}
        self._inner: list[float] = []

    @contextlib.contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Counts the time of the block for ``part``, also if it raises."""
        start = self._clock()
        self._inner.append(0.0)
        try:
            with torch.profiler.record_function(SPAN + part):
                yield
        finally:
            whole = self._clock() - start
            own = whole - self._inner.pop()
            self._totals[part] = self._totals.get(part, 0.0) + own
            if self._inner:
                self._inner[-1] += whole

    @property
    def totals(self) -> Mapping[str, float]:
        """Seconds by part since the beginning."""
        return dict(self._totals)

    def take(self) -> dict[str, float]:
        """Seconds by part since the last ``take``, as figures: ``time.PART_seconds``."""
        figures = {
            f"time.{part}_seconds": total - self._taken.get(part, 0.0)
            for part, total in self._totals.items()
        }
        self._taken = dict(self._totals)
        return figures
