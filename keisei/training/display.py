"""A run's figures in one line, where there is no terminal to draw on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from keisei.training.metric_panels import format_rate, format_seconds

_log = logging.getLogger(__name__)


class ProgressLines:
    """Logs a line at most once an ``interval`` of seconds; the last figures in any case."""

    def __init__(
        self, total_steps: int, interval: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total_steps
        self._interval = interval
        self._clock = clock
        self._last = -float("inf")

    def update(self, step: int, left: float, metrics: Mapping[str, float]) -> None:
        """Says where the run stands, if that is due; ``left`` is the time the rest will take."""
        now = self._clock()
        if now - self._last >= self._interval or step >= self._total:
            self._last = now
            _log.info("%s", progress_line(step, self._total, left, metrics))


def progress_line(step: int, total: int, left: float, metrics: Mapping[str, float]) -> str:
    """The figures of one iteration in one line."""
    m = metrics
    return (
        f"step {step:,}/{total:,} ({min(100.0, 100 * step / total):.1f}%)"
        f" | {format_rate(m['speed.positions_per_second'])} positions/s"
        f" {format_rate(m['speed.games_per_second'])} games/s"
        f" | {_learned(m)}"
        f" | black {int(m['games.black_wins'])} white {int(m['games.white_wins'])}"
        f" draw {int(m['games.draws'])} cut {int(m['games.truncated'])}"
        f" | left {format_seconds(left)}"
    )


def _learned(m: Mapping[str, float]) -> str:
    """The learner's figures; an update that took no step has none."""
    if "learn.policy_loss" not in m:
        return "no gradient step was taken"
    return (
        f"policy {m['learn.policy_loss']:+.4f} value {m['learn.value_loss']:.4f}"
        f" entropy {m['learn.entropy']:.3f} KL {m['learn.approx_kl']:.4f}"
    )
