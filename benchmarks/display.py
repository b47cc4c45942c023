"""What the screen of a run costs: paired blocks of iterations with and without it."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import selectors
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from benchmarks.display_worker import Block, Plan, set_size
from benchmarks.iteration import job_for
from benchmarks.measure import Row, Settings, Timing, expect, interval_of_median, row, tell
from keisei.training.terminal_screen import ENTER

_SIZES = ((200, 60), (80, 24))
_PAIRS = 8
_LIMIT = 80.0
_WANTED = ("policy", "歩", "positions/s")


def display(settings: Settings) -> Iterator[Row]:
    """The screen on a pseudo-terminal beside training: seconds an iteration with and without it."""
    job = job_for(settings, 6, 128)
    if settings.device.type != "cuda" and not settings.small:  # several iterations a block
        job = dataclasses.replace(job, games=32, plies=16, batch=128)
    plan = Plan(
        job,
        str(settings.device),
        sizes=_SIZES[:1] if settings.small else _SIZES,
        pairs=settings.pairs or (2 if settings.small else _PAIRS),
        seconds=(0.0 if settings.small else 1.0) if settings.seconds is None else settings.seconds,
        limit=_LIMIT if settings.limit is None else settings.limit,
        threads=torch.get_num_threads(),
    )
    started = time.perf_counter()

    def heard(message: dict[str, Any]) -> None:
        at = f"display: {time.perf_counter() - started:5.1f} s:"
        if "stage" in message:
            tell(f"{at} {message['stage']}")
            return
        blocks = [Block(**block) for block in message["blocks"]]
        size = tuple(message["size"])
        pairs[size].append(blocks)
        cost = math.expm1(_costs(blocks)[0])
        tell(f"{at} {_words(size)}: pair {len(pairs[size])} of {plan.pairs}: {100 * cost:+.2f}%")

    pairs: dict[tuple[int, ...], list[list[Block]]] = {size: [] for size in plan.sizes}
    written = _run(plan, heard)
    for size, found in pairs.items():
        least = min(2, plan.pairs)
        expect(
            len(found) >= least,
            f"display: {_words(size)}: expected {least} pairs or more, got {len(found)}",
        )
    _expect_screens(written, {size: len(found) for size, found in pairs.items()})
    for size, found in pairs.items():
        blocks = [block for pair in found for block in pair]
        yield from _rows(blocks, f"{job.network}, {job.size}", _words(size))


def _words(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


def _expect_screens(written: str, pairs: dict[tuple[int, ...], int]) -> None:
    """That something was drawn at each size, and all of it; ``pairs`` says how many there were."""
    screens = written.split(ENTER)[1:]
    for size, number in reversed(pairs.items()):
        # One each time that drawing begins: two pairs have their blocks with it side by side.
        first = max(0, len(screens) - (number + 1) // 2)
        own, screens = screens[first:], screens[:first]
        for wanted in _WANTED:
            expect(
                any(wanted in screen for screen in own),
                f"display: {_words(size)}: expected {wanted!r} on the terminal",
            )


def _costs(blocks: Sequence[Block]) -> list[float]:
    """Of each pair: the logarithm of its times' ratio."""
    times = {
        drawn: [block.seconds / block.iterations for block in blocks if block.drawn is drawn]
        for drawn in (False, True)
    }
    return [math.log(a / b) for a, b in zip(times[True], times[False], strict=True)]


def _rows(blocks: Sequence[Block], what: str, size: str) -> Iterator[Row]:
    costs = _costs(blocks)
    # The median: a pair in which the machine did something else says nothing of the screen.
    median, low, high = (
        100 * math.expm1(x) for x in (statistics.median(costs), *interval_of_median(costs))
    )
    on = [block for block in blocks if block.drawn]
    wall = sum(block.seconds for block in on)
    waited = sum(block.display_seconds for block in on) / wall
    drew = sum(block.drawing_seconds for block in on) / wall
    for drawn, note in (
        (False, "lines only"),
        (
            True,
            f"costs {median:+.2f}% [{low:+.2f}, {high:+.2f}] ({len(costs)} pairs, "
            f"{100 * math.expm1(min(costs)):+.2f}% to {100 * math.expm1(max(costs)):+.2f}%); "
            f"{100 * waited:.3f}% of the training thread's time, {100 * drew:.2f}% of a processor",
        ),
    ):
        own = [block.seconds / block.iterations for block in blocks if block.drawn is drawn]
        timing = Timing(statistics.median(own), min(own), max(own))
        yield row(
            "display", f"{what}, screen {'on' if drawn else 'off'}", size, timing, 1,
            "iterations", note=note,
        )  # fmt: skip


def _run(plan: Plan, heard: Callable[[dict[str, Any]], None]) -> str:
    """Runs the worker on a pseudo-terminal and hears its messages; returns what it wrote there."""
    ours, theirs = os.openpty()
    set_size(theirs, plan.sizes[0])
    messages, said = os.pipe()
    unwanted = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")
    environment = {name: text for name, text in os.environ.items() if name not in unwanted}
    environment |= {"TERM": "xterm-256color", "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "benchmarks.display_worker", str(said)]
    worker = subprocess.Popen(
        [*command, json.dumps(dataclasses.asdict(plan))],
        stdin=theirs, stdout=theirs, stderr=theirs, pass_fds=[said], env=environment,
    )  # fmt: skip
    os.close(theirs)
    os.close(said)
    try:
        text = _listen(ours, messages, heard)
    except BaseException:  # nobody is left to hear it
        worker.kill()
        raise
    finally:
        os.close(ours)
        os.close(messages)
    expect(worker.wait() == 0, f"display: the worker failed:\n{text[-3000:]}")
    return text


def _listen(terminal: int, messages: int, heard: Callable[[dict[str, Any]], None]) -> str:
    """Until the worker has closed both."""
    written, line = b"", b""
    with selectors.DefaultSelector() as waiting:
        for source in (terminal, messages):
            waiting.register(source, selectors.EVENT_READ)
        while waiting.get_map():
            for key, _ in waiting.select():
                try:
                    data = os.read(key.fd, 1 << 16)
                except OSError:  # how Linux says that nobody has a terminal's other end any more
                    data = b""
                if not data:
                    waiting.unregister(key.fd)
                elif key.fd == terminal:
                    written += data
                else:
                    *lines, line = (line + data).split(b"\n")
                    for one in lines:
                        heard(json.loads(one))
    return written.decode("utf-8", "replace")
