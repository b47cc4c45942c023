"""`python -m benchmarks [--device cuda] [--games 16384 131072] [--json out.json]`."""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import keisei
from benchmarks import cases
from benchmarks.timing import time_calls

PERFT_DEPTH = 5
PERFT_NODES = 19_861_490  # from the start position, agreed by six independent programs


def all_cases(games: int, device: torch.device) -> Iterator[cases.Case]:
    """Every case of one size, made (and so checked) only when it is asked for."""
    yield cases.legal_mask(games, device)
    yield cases.step(games, device)
    for dtype in (torch.float32, torch.bfloat16):
        yield cases.planes(games, device, dtype, channels_last=dtype is torch.bfloat16)
        yield cases.masked_sample(games, device, dtype)
    yield cases.gae(128, games, device)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    unit: str
    rate: float  # units per second
    seconds: float  # of one call
    games: int | None = None
    bytes_per_second: float = 0.0
    spread: float | None = None  # of the runs, as a share of the median


def perft() -> Row:
    """One thread of the host counts moves from the start."""
    start = time.perf_counter()
    nodes = keisei.Position().perft(PERFT_DEPTH)
    seconds = time.perf_counter() - start
    cases.expect(nodes == PERFT_NODES, f"perft({PERFT_DEPTH}): expected {PERFT_NODES}, got {nodes}")
    return Row(f"perft({PERFT_DEPTH}), one thread", "nodes", nodes / seconds, seconds)


def cshogi_plies(plies: int = 200_000) -> Row | None:
    """Uniform play from Python over cshogi, a fast peer: legal moves, choice, step."""
    try:
        import cshogi
    except ImportError:
        return None
    choose = random.Random(1)
    board = cshogi.Board()
    start = time.perf_counter()
    for _ in range(plies):
        moves = list(board.legal_moves)
        if not moves or board.move_number > 512:
            board.reset()
            continue
        board.push(choose.choice(moves))
    seconds = time.perf_counter() - start
    return Row("cshogi uniform play, Python", "plies", plies / seconds, seconds)


def main() -> None:
    """Check, time, print a table; write JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default)
    parser.add_argument("--games", type=int, nargs="+", default=None)
    parser.add_argument("--calls", type=int, default=10, help="calls timed together in one run")
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    device = torch.device(args.device)
    sizes = args.games or ([16_384, 131_072] if device.type == "cuda" else [1_024])

    rows = [row for row in (perft(), cshogi_plies()) if row is not None]
    for games in sizes:
        for case in all_cases(games, device):
            timing = time_calls(case.call, device, calls=args.calls)
            rows.append(
                Row(
                    case.name,
                    case.unit,
                    case.work / timing.median,
                    timing.median,
                    games,
                    case.bytes / timing.median,
                    (timing.high - timing.low) / timing.median,
                )
            )
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    threads = "" if device.type == "cuda" else f", {torch.get_num_threads()} threads"
    print(f"keisei {keisei.__version__}, torch {torch.__version__}, {where}{threads}\n")
    print(f"| {'what':36} | {'games':>9} | {'million/s':>11} |      GB/s | spread |")
    print(f"|{'-' * 38}|{'-' * 11}|{'-' * 13}|{'-' * 11}|{'-' * 8}|")
    for row in rows:
        games_shown = "" if row.games is None else str(row.games)
        spread = "" if row.spread is None else f"{100 * row.spread:.0f}%"
        print(
            f"| {row.name:36} | {games_shown:>9} | {row.rate / 1e6:11.3f} |"
            f" {row.bytes_per_second / 1e9:9.1f} | {spread:>6} |"
        )
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
