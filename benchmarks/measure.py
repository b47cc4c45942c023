"""Rows, checks and clocks that all benchmarks share."""

from __future__ import annotations

import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Call = Callable[[], object]

OURS = "keisei"


class WrongResultError(AssertionError):
    """A benchmark's check failed; its time would mean nothing."""


def expect(condition: bool, what: str) -> None:
    """Stop before timing anything that is wrong."""
    if not condition:
        raise WrongResultError(what)


def tell(text: str) -> None:
    """Says how far a benchmark is, so that one that is cut off leaves something."""
    print(text, file=sys.stderr, flush=True)


def interval_of_median(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95% of the medians of samples drawn from the values (percentile bootstrap)."""
    draw = random.Random(seed)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return medians[50], medians[1949]


@dataclass(frozen=True)
class Settings:
    """What the command line asked for."""

    device: torch.device
    games: tuple[int, ...] | None = None
    """Sizes of the batches of games; None: the benchmark's own."""
    compare: bool = False
    """Measure peers in the same run."""
    small: bool = False
    """Sizes and repeats for a test of the benchmark itself."""
    cshogi_source: str | None = None
    """An unpacked source archive of cshogi, to build its C++ perft from."""
    pairs: int | None = None
    """Pairs of blocks, with and without what is measured; None: the benchmark's own number."""
    seconds: float | None = None
    """Of a block, at least; None: as the benchmark has it."""
    limit: float | None = None
    """Seconds after which no more pairs begin; None: as the benchmark has it."""

    def sizes(self, *usual: int) -> tuple[int, ...]:
        """The batch sizes to run: those asked for, else ``usual``, of which a CPU takes few."""
        if self.device.type != "cuda":
            usual = tuple(size for size in usual if size < 16_384) or (4_096,)
        return self.games or ((64,) if self.small else usual)


@dataclass(frozen=True)
class Timing:
    """Seconds of one call over several runs."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """From the fastest run to the slowest, as a share of the median."""
        return (self.high - self.low) / self.median


@dataclass(frozen=True)
class Row:
    """One line of a table. ``rate`` is in ``unit`` a second, except where ``unit`` says a size."""

    bench: str
    what: str
    size: str
    rate: float
    unit: str
    seconds: float
    """Of one call."""
    by: str = OURS
    count: int = 0
    """``size`` as a number, for curves."""
    spread: float = 0.0
    bytes: float = 0.0
    """What one call must move at least."""
    flops: float = 0.0
    """What one call must compute at least."""
    ceiling: str = ""
    """Which measured ceiling bounds it: a key of ``ceilings``."""
    share: float | None = None
    """The part of that ceiling which is reached."""
    ratio: float | None = None
    """Of a peer: how many times as fast keisei's row is."""
    note: str = ""


def missing(bench: str, by: str, why: str, what: str = "") -> Row:
    """A peer that could not be measured, named all the same."""
    return Row(bench, what, "", 0.0, "", 0.0, by=by, note=f"missing: {why}")


def versus(peer: float, ours: Row) -> float:
    """How many times as fast ``ours`` is as a peer of ``peer`` units a second."""
    return ours.rate / peer if peer else math.inf


def games_text(games: int) -> str:
    """``131072`` as ``131,072 games``."""
    return f"{games:,} games"


def sets_for(bytes_per_call: float, device: torch.device, most: int = 32) -> int:
    """How many sets of inputs and outputs to rotate, so that the second-level cache holds none.

    On a CPU one: a program there works on the one batch that it has.
    """
    if device.type != "cuda":
        return 1
    cache = torch.cuda.get_device_properties(device).L2_cache_size
    return max(1, min(most, math.ceil(4 * cache / bytes_per_call)))


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def capture(calls: Sequence[Call], device: torch.device) -> Call:
    """All ``calls`` as one: on CUDA a captured graph, whose outputs share no memory."""
    if device.type != "cuda":

        def run() -> None:
            for call in calls:
                call()

        return run
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        calls[0]()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [call() for call in calls]
    del kept
    return graph.replay


def clock(call: Call, device: torch.device) -> float:
    """Seconds of one call, on CUDA between two events."""
    if device.type != "cuda":
        start = time.perf_counter()
        call()
        return time.perf_counter() - start
    begin = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    begin.record()
    call()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1000


def time_calls(
    calls: Sequence[Call],
    device: torch.device,
    *,
    graph: bool = True,
    runs: int | None = None,
    least: float = 0.01,
    before: Call | None = None,
) -> Timing:
    """Seconds per call.

    On CUDA the calls are captured as one graph (small ones would else be bound by launches), which
    is replayed until a run lasts ``least`` seconds. ``before``, if given, runs untimed before each
    replay, so a run is one replay then.
    """
    if runs is None:
        runs = 7 if device.type == "cuda" else 21  # a CPU is shared with more
    whole: Call = capture(calls, device) if graph else capture_nothing(calls)
    repeats = 1

    def run() -> None:
        for _ in range(repeats):
            whole()

    def prepared() -> float:
        if before is not None:
            before()
        return clock(run, device)

    spent = 0.0
    while True:  # warm-up, at least as long as one run
        first = prepared()
        spent += first
        if spent >= least:
            break
    if before is None:
        repeats = max(1, math.ceil(least / max(first, 1e-9)))
    seconds = [prepared() / repeats / len(calls) for _ in range(runs)]
    return Timing(statistics.median(seconds), min(seconds), max(seconds))


def capture_nothing(calls: Sequence[Call]) -> Call:
    """All ``calls`` as one, launched one by one."""

    def run() -> None:
        for call in calls:
            call()

    return run


def row(
    bench: str,
    what: str,
    size: str,
    timing: Timing,
    work: float,
    unit: str,
    *,
    by: str = OURS,
    count: int = 0,
    bytes_: float = 0.0,
    flops: float = 0.0,
    ceiling: str = "",
    ratio: float | None = None,
    note: str = "",
) -> Row:
    """The row of something that does ``work`` units a call."""
    return Row(
        bench,
        what,
        size,
        work / timing.median,
        unit,
        timing.median,
        by=by,
        count=count,
        spread=timing.spread,
        bytes=bytes_,
        flops=flops,
        ceiling=ceiling,
        ratio=ratio,
        note=note,
    )


def ceilings(settings: Settings) -> dict[str, float]:
    """What the machine can do: ``copy`` (read and written bytes), ``write``, ``read``, ``matmul``.

    Bytes a second on 2 GiB (on a CPU 128 MiB), the best of several ways; floating-point operations
    a second of a square bfloat16 product of random matrices (8,192 wide; on a CPU float32, 1,024
    wide), in bursts of ten. ``sustained matmul`` is the same after a second, when a card that runs
    into its power limit has slowed down.
    """
    device = settings.device
    cuda = device.type == "cuda"
    items = 2**14 if settings.small else 2**29 if cuda else 2**25
    source = torch.rand(items, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    expect(torch.equal(source, target), "ceilings: a copy differs from its source")

    def best(*calls: Call) -> float:
        ways = [(call, graph) for call in calls for graph in ((True, False) if cuda else (False,))]
        return min(time_calls([call], device, graph=g, runs=5).low for call, g in ways)

    bytes_ = source.nbytes
    found = {
        "copy": 2
        * bytes_
        / best(lambda: target.copy_(source), lambda: torch.mul(source, 1, out=target)),
        "write": bytes_ / best(lambda: target.fill_(1.0), lambda: target.zero_()),
        "read": bytes_ / best(lambda: source.sum(), lambda: source.amax()),
    }
    side = 64 if settings.small else 8192 if cuda else 1024
    dtype = torch.bfloat16 if cuda else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    flops = 2 * side**3

    def product() -> object:
        return torch.matmul(a, b, out=out)

    found["matmul"] = flops / time_calls([product] * 10, device, runs=5, least=0.0).low
    if cuda:
        longer = time_calls([product] * 10, device, runs=5, least=0.0 if settings.small else 0.2)
        found["sustained matmul"] = flops / longer.median
    return found


def share(line: Row, measured: dict[str, float]) -> float | None:
    """The part of its ceiling that a row reaches."""
    if line.ceiling not in measured or not line.seconds:
        return None
    work = line.flops if line.ceiling == "matmul" else line.bytes
    return work / line.seconds / measured[line.ceiling]


def close(got: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Whether two float tensors agree, relative to 1 or the larger value."""
    return torch.allclose(got.double(), expected.double(), rtol=tolerance, atol=tolerance)
