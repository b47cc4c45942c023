"""What a run takes of the machine, looked at from time to time beside training."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from keisei.training.callbacks import Callback, Snapshot, StopTraining

_log = logging.getLogger(__name__)

_GB = 1e9
_STATM = Path("/proc/self/statm")


def memory_held() -> int:
    """Bytes of main memory that this process holds now (its resident set)."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def gpu_busy_percent(device: torch.device) -> float | None:
    """Share of the last moments in which the GPU worked, 0 to 100; None where nobody can tell.

    NVML tells, which the package ``nvidia-ml-py`` asks (``pip install 'keisei[gpu]'``).
    """
    try:
        return float(torch.cuda.utilization(device))
    except (ImportError, RuntimeError, OSError):  # no package, no NVML
        return None


def look(device: torch.device, folder: Path | None = None) -> dict[str, float]:
    """The present figures of memory (in 10^9 bytes) and utilisation; never waits for the device.

    ``resources.memory_gb`` always; ``disk_free_gb`` where ``folder`` lies; on CUDA also
    ``gpu_memory_gb`` (held by tensors), ``gpu_memory_peak_gb``, ``gpu_memory_reserved_gb`` (by
    torch), ``gpu_memory_used_share`` (by all processes), and ``gpu_busy_percent`` where NVML tells.
    """
    figures = {"resources.memory_gb": memory_held() / _GB}
    if folder is not None:
        figures["resources.disk_free_gb"] = shutil.disk_usage(folder).free / _GB
    if device.type != "cuda":
        return figures
    free, total = torch.cuda.mem_get_info(device)
    figures |= {
        "resources.gpu_memory_gb": torch.cuda.memory_allocated(device) / _GB,
        "resources.gpu_memory_peak_gb": torch.cuda.max_memory_allocated(device) / _GB,
        "resources.gpu_memory_reserved_gb": torch.cuda.memory_reserved(device) / _GB,
        "resources.gpu_memory_used_share": 1.0 - free / total,
    }
    busy = gpu_busy_percent(device)
    if busy is not None:
        figures["resources.gpu_busy_percent"] = busy
    return figures


class ResourceMonitor:
    """Looks every ``interval`` seconds, in a thread of its own, from ``start`` to ``close``.

    A look that fails is logged once; the figures of the last good one stay.
    """

    def __init__(
        self,
        device: torch.device,
        interval: float,
        look: Callable[[torch.device], dict[str, float]] = look,
    ) -> None:
        self._device = device
        self._interval = interval
        self._look = look
        self._latest: dict[str, float] = {}
        self._failed = False
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def latest(self) -> Mapping[str, float]:
        """The figures of the last look; empty before the first."""
        return dict(self._latest)

    def refresh(self) -> None:
        """Looks now."""
        try:
            self._latest = self._look(self._device)
        except Exception as error:  # drivers raise what they like; a run is not to end by that
            if not self._failed:
                _log.warning("resources cannot be looked at: %s: %s", type(error).__name__, error)
            self._failed = True

    def start(self) -> None:
        """Looks once, then in the background; a second call does nothing."""
        if self._thread is not None:
            return
        self.refresh()
        self._end.clear()
        self._thread = threading.Thread(target=self._run, name="resource-monitor", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(self._interval):
            self.refresh()

    def close(self) -> None:
        """Ends the background thread."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None


class MemoryLimitCallback(Callback):
    """Asks the run to end, saved, once this process holds more main memory than it may.

    ``held`` gives the bytes held, ``limit_gb`` is in 10^9 bytes.
    """

    name = "memory limit"
    every_rank = True

    def __init__(self, limit_gb: float, held: Callable[[], int] = memory_held) -> None:
        self._limit = limit_gb
        self._held = held

    def on_update_end(self, snapshot: Snapshot) -> None:
        """Looks; raises StopTraining past the limit."""
        held = self._held() / _GB
        if held > self._limit:
            raise StopTraining(
                f"resources.memory_limit_gb: expected at most {self._limit:g}, got {held:.2f} held"
            )
