"""``--profile N``: a trace of N iterations, and a table of where their time went."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, profile

from keisei.training.callbacks import Callback, Snapshot
from keisei.training.component_timing import SPAN
from keisei.training.resource_monitor import look

_log = logging.getLogger(__name__)

PROFILE_FOLDER = "profile"
PARTS = ("play", "network", "GAE", "update: network", "update", "logging", "idle")
_MEANING = {
    "play": "planes, choice of moves, steps of the games, rows of the rollout",
    "network": "its passes while playing",
    "GAE": "advantages",
    "update: network": "its passes, forward and backward, while learning",
    "update": "gathering rows, planes, loss, clipping, optimiser",
    "logging": "figures, display, callbacks, checkpoints",
    "idle": "the device has nothing to do; on a processor, Python between operations",
}
# What a network runs on CUDA: products and convolutions of the libraries, own fused kernels,
# compiled ones. Elementwise kernels of a network that is not fused count with what is around it.
_NETWORK_KERNEL = re.compile(
    r"conv|gemm|xmma|cutlass|cudnn|nvjet|implicit|winograd|nhwc|nchw|splitk|norm_relu|join_|"
    r"policy_|sum_parts|^triton_",
    re.IGNORECASE,
)
# On a processor an operator of torch's is the network's, but for these.
_NOT_NETWORK_OP = re.compile(
    r"keisei|copy_|index|gather|randperm|foreach|adam|Optimizer|zero_|fill_|empty|clone|"
    r"linalg_vector_norm|item|_local_scalar|tensor_split|record_function|coins",
)


@dataclass(frozen=True)
class Activity:
    """Something a device did, or a span of the program: seconds of one clock."""

    name: str
    start: float
    seconds: float


def part_of(phase: str, name: str, on_cuda: bool) -> str:
    """Which of ``PARTS`` an activity in a phase (``play``, ``learn`` or another) belongs to."""
    if phase not in ("play", "learn"):
        return "logging"
    if phase == "play" and "gae" in name:
        return "GAE"
    if on_cuda:
        network = _NETWORK_KERNEL.search(name) is not None
    else:
        network = _NOT_NETWORK_OP.search(name) is None
    if phase == "play":
        return "network" if network else "play"
    return "update: network" if network else "update"


def without_overlap(activities: Iterable[Activity]) -> list[Activity]:
    """The activities in order, each less what an earlier one covers already."""
    out, covered = [], float("-inf")
    for one in sorted(activities, key=lambda activity: activity.start):
        end = one.start + one.seconds
        start = max(one.start, covered)
        if end > start:
            out.append(Activity(one.name, start, end - start))
            covered = end
    return out


def account(
    wall: float, spans: Sequence[Activity], activities: Iterable[Activity], on_cuda: bool
) -> dict[str, float]:
    """Seconds by part, of ``wall`` in all; parts as in ``PARTS``.

    ``spans`` say what the program was at, by time; an activity belongs to the span it starts in.
    What the program does outside of play and learn is logging as a whole; there the device idles.
    """
    found = dict.fromkeys(PARTS, 0.0)
    phases = sorted(
        (one for one in spans if one.name in ("play", "learn")), key=lambda one: one.start
    )
    others = [one for one in spans if one.name not in ("play", "learn")]
    found["logging"] = sum(one.seconds for one in without_overlap(others))
    at = 0
    for activity in sorted(activities, key=lambda one: one.start):
        while at < len(phases) and activity.start >= phases[at].start + phases[at].seconds:
            at += 1
        if at == len(phases):
            break
        if activity.start >= phases[at].start:
            found[part_of(phases[at].name, activity.name, on_cuda)] += activity.seconds
    found["idle"] = max(0.0, wall - sum(found.values()))
    return found


def table(parts: dict[str, float], iterations: int) -> str:
    """The parts as lines: milliseconds an iteration, share, meaning."""
    wall = sum(parts.values())
    lines = [f"{'part':<16} {'ms/iteration':>12} {'share':>7}"]
    for name, seconds in parts.items():
        share = seconds / wall if wall else 0.0
        lines.append(
            f"{name:<16} {1e3 * seconds / iterations:12.2f} {share:7.1%}  {_MEANING[name]}"
        )
    lines.append(f"{'all':<16} {1e3 * wall / iterations:12.2f} {1:7.1%}")
    return "\n".join(lines)


class Profiler(Callback):
    """Traces ``iterations`` iterations, after ``warm_up`` others, and says where they went.

    The trace is one of torch.profiler's, to be opened in Perfetto or chrome://tracing; trace and
    table go to the run's folder ``profile``. A run that ends earlier gives what it had.
    """

    name = "profiler"

    def __init__(self, device: torch.device, iterations: int, warm_up: int) -> None:
        self._device = device
        self._wanted = iterations
        self._warm_up = warm_up
        self._seen = 0
        self._profile: Any = None
        self._start = 0.0
        self.parts: dict[str, float] | None = None

    def on_start(self, snapshot: Snapshot) -> None:
        """Begins, if no iteration is to pass before."""
        if self._warm_up == 0:
            self._begin()

    def on_update_end(self, snapshot: Snapshot) -> None:
        """Counts; begins and ends the trace."""
        self._seen += 1
        if self._profile is not None and self._seen == self._warm_up + self._wanted:
            self._end(snapshot, self._wanted)
        elif self._seen == self._warm_up and self.parts is None:
            self._begin()

    def on_finish(self, snapshot: Snapshot) -> None:
        """Ends a trace that is still going on."""
        if self._profile is not None:
            done = self._seen - self._warm_up
            _log.warning("profile: expected %d iterations, got %d", self._wanted, done)
            self._end(snapshot, max(1, done))
        elif self.parts is None:
            _log.warning(
                "profile: the run ended after %d iterations, before a trace began (after %d)",
                self._seen,
                self._warm_up,
            )

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _begin(self) -> None:
        activities = [ProfilerActivity.CPU]
        if self._device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
            torch.cuda.reset_peak_memory_stats(self._device)
        self._profile = profile(activities=activities)
        self._profile.start()
        self._wait()
        self._start = time.perf_counter()

    def _end(self, snapshot: Snapshot, iterations: int) -> None:
        self._wait()
        wall = time.perf_counter() - self._start
        trace, self._profile = self._profile, None
        trace.stop()
        on_cuda = self._device.type == "cuda"
        self.parts = account(wall, *_read(trace.events(), on_cuda), on_cuda=on_cuda)
        folder = snapshot.run_dir / PROFILE_FOLDER
        folder.mkdir(exist_ok=True)
        path = folder / f"trace-{snapshot.iteration:06d}.json.gz"
        trace.export_chrome_trace(str(path))
        text = f"{table(self.parts, iterations)}\n{self._resources(wall)}\n"
        (folder / f"table-{snapshot.iteration:06d}.txt").write_text(text)
        _log.info("profile of %d iterations (%s):\n%s", iterations, path, text.rstrip())

    def _resources(self, wall: float) -> str:
        assert self.parts is not None
        figures = look(self._device)
        words = [f"main memory {figures['resources.memory_gb']:.2f} GB"]
        if self._device.type == "cuda":
            busy = 1.0 - (self.parts["idle"] + self.parts["logging"]) / wall
            words += [
                f"GPU busy {busy:.1%}",
                f"GPU memory {figures['resources.gpu_memory_gb']:.2f} GB, "
                f"at most {figures['resources.gpu_memory_peak_gb']:.2f} GB",
            ]
        return "; ".join(words)


def _read(events: Iterable[Any], on_cuda: bool) -> tuple[list[Activity], list[Activity]]:
    """The program's spans and the device's activities in a trace, in seconds."""
    spans, activities = [], []
    for event in events:
        start = 1e-6 * event.time_range.start
        whole = 1e-6 * (event.time_range.end - event.time_range.start)
        on_device = event.device_type == DeviceType.CUDA
        if event.name.startswith(SPAN):
            if not on_device:
                spans.append(Activity(event.name.removeprefix(SPAN), start, whole))
        elif on_cuda and on_device and not getattr(event, "is_user_annotation", False):
            activities.append(Activity(event.name, start, whole))
        elif not on_cuda and not on_device:
            activities.append(Activity(event.name, start, 1e-6 * event.self_cpu_time_total))
    return spans, without_overlap(activities) if on_cuda else activities
