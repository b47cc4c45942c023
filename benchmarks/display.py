"""What the screen of a run costs: paired blocks of iterations with and without it."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

from benchmarks.display_worker import Block, Plan
from benchmarks.iteration import job_for
from benchmarks.measure import Row, Settings, Timing, expect, row

_SIZES = ((200, 60), (80, 24))


def display(settings: Settings) -> Iterator[Row]:
    """The screen on a pseudo-terminal beside training: seconds an iteration with and without it."""
    job = job_for(settings, 6, 128, epochs=2)
    if settings.device.type != "cuda" and not settings.small:  # several iterations a block
        job = dataclasses.replace(job, games=32, plies=16, batch=128)
    for width, height in _SIZES[:1] if settings.small else _SIZES:
        with tempfile.TemporaryDirectory() as folder:
            plan = Plan(
                job,
                str(settings.device),
                blocks=4 if settings.small else 24 if settings.device.type == "cuda" else 16,
                seconds=0.0 if settings.small else 2.0,
                into=str(Path(folder) / "measured.json"),
            )
            written = _run(plan, width, height)
            found = json.loads(Path(plan.into).read_text())
        for shown in ("\x1b[?1049h", "policy", "歩", "positions/s"):
            expect(shown in written, f"display: expected {shown!r} on the terminal")
        blocks = [Block(**block) for block in found["blocks"]]
        yield from _rows(blocks, f"{job.network}, {job.size}", f"{width}x{height}")


def _rows(blocks: list[Block], what: str, size: str) -> Iterator[Row]:
    times = {
        drawn: [block.seconds / block.iterations for block in blocks if block.drawn is drawn]
        for drawn in (False, True)
    }
    costs = [math.log(a / b) for a, b in zip(times[True], times[False], strict=True)]
    mean = statistics.fmean(costs)
    # Of a mean of pairs; 2 is Student's t for a dozen of them, rounded down to plain English.
    margin = 2 * statistics.stdev(costs) / math.sqrt(len(costs))
    on = [block for block in blocks if block.drawn]
    wall = sum(block.seconds for block in on)
    waited = sum(block.display_seconds for block in on) / wall
    drew = sum(block.drawing_seconds for block in on) / wall
    for drawn, note in (
        (False, "lines only"),
        (
            True,
            f"costs {100 * math.expm1(mean):+.2f}% ± {100 * margin:.2f}% ({len(costs)} pairs); "
            f"{100 * waited:.3f}% of the training thread's time, {100 * drew:.2f}% of a processor",
        ),
    ):
        own = times[drawn]
        timing = Timing(statistics.median(own), min(own), max(own))
        yield row(
            "display", f"{what}, screen {'on' if drawn else 'off'}", size, timing, 1,
            "iterations", note=note,
        )  # fmt: skip


def _run(plan: Plan, width: int, height: int) -> str:
    """Runs the worker on a pseudo-terminal; returns what it wrote there."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    unwanted = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")
    environment = {name: text for name, text in os.environ.items() if name not in unwanted}
    environment |= {"TERM": "xterm-256color", "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "benchmarks.display_worker"]
    worker = subprocess.Popen(
        [*command, json.dumps(dataclasses.asdict(plan))],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
    )  # fmt: skip
    os.close(theirs)
    written = b""
    try:
        while data := os.read(ours, 1 << 16):
            written += data
    except OSError:  # how Linux says that nobody has the other end any more
        pass
    finally:
        os.close(ours)
    text = written.decode("utf-8", "replace")
    expect(worker.wait() == 0, f"display: the worker failed:\n{text[-3000:]}")
    return text
