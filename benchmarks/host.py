"""What the processor does: one position, an environment on the CPU, and how long things start."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

import keisei
from benchmarks import peers
from benchmarks.games import Recorded, expect_planes, time_recorded
from benchmarks.measure import Row, Settings, expect, games_text, missing, row, time_calls

PERFT = {3: 25_470, 5: 19_861_490}
"""Leaves from the start position, agreed by six independent programs."""


def cpu_perft(settings: Settings) -> Iterator[Row]:
    """One thread of the host counts moves from the start."""
    depth = 3 if settings.small else 5
    position = keisei.Position()
    nodes = position.perft(depth)
    expect(nodes == PERFT[depth], f"perft({depth}): expected {PERFT[depth]}, got {nodes}")
    timing = time_calls([lambda: position.perft(depth)], torch.device("cpu"))
    size = f"depth {depth}"
    ours = row("cpu-perft", "perft from the start, one thread", size, timing, nodes, "nodes")
    yield ours
    if settings.compare:
        if settings.cshogi_source is None:
            yield missing("cpu-perft", "cshogi, C++", "no --cshogi-source", ours.what)
            return
        found = peers.ask("cshogi_perft", source=settings.cshogi_source, depth=depth)
        if "nodes" in found:
            expect(found["nodes"] == nodes, f"cshogi counts {found['nodes']}, keisei {nodes}")
        yield peers.peer_row("cpu-perft", ours.what, size, "cshogi", found, ours)


def cpu_env(settings: Settings) -> Iterator[Row]:
    """An environment on the CPU: steps given actions, alone and with uint8 planes."""
    device = torch.device("cpu")
    threads = torch.get_num_threads()
    bare: Row | None = None
    for games in settings.sizes(256, 4_096):
        recorded = Recorded(games, 1, 4 if settings.small else 32, device)
        timing = time_recorded(recorded, device)
        ours = row(
            "cpu-env", "step + mask", games_text(games), timing, games, "plies",
            count=games, note=f"{threads} threads",
        )  # fmt: skip
        yield ours
        bare = ours if bare is None or ours.rate > bare.rate else bare
    games = 16 if settings.small else 256
    recorded = Recorded(games, 1, 4 if settings.small else 32, device)
    env = recorded.envs[0]
    expect_planes(env.planes(torch.uint8), env.positions)
    timing = time_recorded(recorded, device, lambda env: env.planes(torch.uint8))
    seen = row(
        "cpu-env", "step + mask + uint8 planes", games_text(games), timing, games, "plies",
        count=games, note=f"{threads} threads",
    )  # fmt: skip
    yield seen
    if not settings.compare or bare is None:
        return
    batches = [2] if settings.small else [1, 16, 64]
    found = peers.ask("pgx", {"JAX_PLATFORMS": "cpu"}, batches=batches)
    yield peers.peer_row("cpu-env", seen.what, "", "Pgx", found, seen)
    found = peers.ask("envpool", games=games, threads=threads)
    yield peers.peer_row("cpu-env", seen.what, games_text(games), "EnvPool", found, seen)
    plies = 1_000 if settings.small else 200_000
    found = peers.ask("cshogi", plies=plies, features=False)
    yield peers.peer_row("cpu-env", bare.what, "1 game", "cshogi", found, bare)
    found = peers.ask("cshogi", plies=plies // 5, features=True)
    yield peers.peer_row("cpu-env", seen.what, "1 game", "cshogi", found, seen)


IMPORTS = (
    ("import torch", "torch", ""),
    ("import keisei, torch loaded before", "keisei", "import torch"),
    ("import keisei.envs, torch loaded before", "keisei.envs", "import torch"),
    ("import keisei.training, torch loaded before", "keisei.training.trainer", "import torch"),
)


def _import_seconds(module: str, before: str) -> float:
    program = (
        f"{before}\nimport time\nstart = time.perf_counter()\nimport {module}\n"
        "print(time.perf_counter() - start)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _first_update(seconds: float = 180.0) -> tuple[float, float]:
    """Seconds from the start of a training command to the figures of its first update, and plies.

    The command has no arguments but where to write: what it trains is what it chooses itself.
    """
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "keisei.train", "--logging.run-root", scratch]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KEISEI_")}
        start = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            while time.perf_counter() - start < seconds:
                for path in Path(scratch).glob("*/metrics.jsonl"):
                    text = path.read_text()
                    if text.endswith("\n"):
                        spent = time.perf_counter() - start
                        return spent, float(json.loads(text.splitlines()[0])["step"])
                if process.poll() is not None:
                    break
                time.sleep(0.02)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            _, errors = process.communicate()
    why = f"status {process.returncode}: {errors[-300:]}" if errors else f"none in {seconds:.0f} s"
    raise RuntimeError(f"startup: expected a first update of keisei.train, got {why}")


def startup(settings: Settings) -> Iterator[Row]:
    """Import times above torch's, and the first update of ``python -m keisei.train``."""
    runs = 1 if settings.small else 5
    for what, module, before in IMPORTS[:2] if settings.small else IMPORTS:
        found = [_import_seconds(module, before) for _ in range(runs)]
        middle = statistics.median(found)
        expect(middle > 0, f"startup: {what} took {middle} s")
        yield Row(
            "startup", what, f"{runs} processes", middle, "s", middle,
            spread=(max(found) - min(found)) / middle,
        )  # fmt: skip
    if settings.small:
        return
    updates = sorted(_first_update() for _ in range(3))
    middle, plies = updates[1]
    expect(plies > 0, "startup: the first update learned from no ply")
    yield Row(
        "startup", "python -m keisei.train to its first finished update", f"{plies:,.0f} plies",
        middle, "s", middle, spread=(updates[2][0] - updates[0][0]) / middle, note="median of 3",
    )  # fmt: skip
