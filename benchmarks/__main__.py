"""`python -m benchmarks NAME`: checks a result, then times it; `table` and `plot` show results."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import display, games, host, iteration, learning, report
from benchmarks.measure import Row, Settings, ceilings

Bench = Callable[[Settings], Iterator[Row]]


@dataclass(frozen=True)
class Entry:
    """A benchmark and the devices on which `all` runs it."""

    bench: Bench
    devices: tuple[str, ...] = ("cuda", "cpu")


def curves(settings: Settings) -> Iterator[Row]:
    """Steps a second and memory over the number of games; an iteration over the network's size."""
    yield from games.curves(settings)
    yield from iteration.curve(settings)


ENTRIES = {
    "cpu-perft": Entry(host.cpu_perft, ("cpu",)),
    "cpu-env": Entry(host.cpu_env, ("cpu",)),
    "startup": Entry(host.startup, ("cpu",)),
    "masks": Entry(games.masks),
    "step": Entry(games.step),
    "random-play": Entry(games.random_play),
    "perft": Entry(games.perft),
    "planes": Entry(games.planes),
    "memory": Entry(games.memory),
    "gae": Entry(learning.gae),
    "sampling": Entry(learning.sampling),
    "ppo-loss": Entry(learning.ppo_loss),
    "network": Entry(iteration.network),
    "iteration": Entry(iteration.iteration),
    "past-selves": Entry(iteration.past_selves),
    "display": Entry(display.display, ()),
    "curves": Entry(curves),
}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="NAME")
    several = {"all": "every benchmark of the device"}
    for name, text in (several | {n: e.bench.__doc__ or "" for n, e in ENTRIES.items()}).items():
        command = commands.add_parser(name, help=text, description=text)
        default = "cuda" if torch.cuda.is_available() and not name.startswith("cpu-") else "cpu"
        command.add_argument("--device", default=default)
        command.add_argument("--games", type=int, nargs="+", help="batch sizes, instead of its own")
        command.add_argument("--compare", action="store_true", help="measure peers as well")
        command.add_argument("--json", type=Path, help="write the figures here")
        command.add_argument("--threads", type=int, help="torch's threads on the CPU")
        command.add_argument("--small", action="store_true", help="tiny sizes: a test of itself")
        command.add_argument("--cshogi-source", help="folder of an unpacked cshogi source archive")
        if name == "display":
            command.add_argument("--pairs", type=int, help="of blocks, for each size, at most (8)")
            command.add_argument("--seconds", type=float, help="of a block, at least (1)")
            command.add_argument("--limit", type=float, help="seconds until no more begin (80)")
        if name == "all":
            command.add_argument(
                "--skip", nargs="+", default=[], choices=[*ENTRIES], metavar="NAME"
            )
    shown = commands.add_parser("table", help="print the tables of JSON files")
    shown.add_argument("json", type=Path, nargs="+")
    shown.add_argument("--into", type=Path, help="replace the tables in this document instead")
    drawn = commands.add_parser("plot", help="draw the curves of JSON files")
    drawn.add_argument("json", type=Path, nargs="+")
    drawn.add_argument("--out", type=Path, required=True, help="picture to write, PNG or SVG")
    return parser.parse_args(argv)


def measure(args: argparse.Namespace) -> int:
    """Run one benchmark or all; print as they come, write JSON; 1 if one of them failed."""
    device = torch.device(args.device)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    settings = Settings(
        device=device,
        games=None if args.games is None else tuple(args.games),
        compare=args.compare,
        small=args.small,
        cshogi_source=args.cshogi_source,
        pairs=getattr(args, "pairs", None),
        seconds=getattr(args, "seconds", None),
        limit=getattr(args, "limit", None),
    )
    if args.command == "all":
        chosen = [n for n, e in ENTRIES.items() if device.type in e.devices and n not in args.skip]
    else:
        chosen = [args.command]
    found = report.new_report(device)
    found.ceilings = ceilings(settings)
    print(report.heading(found))
    failed = []
    for name in chosen:
        start, first = time.perf_counter(), len(found.rows)
        try:
            for line in ENTRIES[name].bench(settings):
                found.add(line)
        except Exception as error:
            if args.command != "all":
                raise
            failed.append(name)
            found.add(Row(name, "failed", "", 0.0, "", 0.0, note=learning.reason(error)))
        print(report.bench_table(name, found.rows[first:]))
        print(f"({time.perf_counter() - start:.1f} s)\n", flush=True)
        if args.json is not None:
            found.write(args.json)  # after each, so that a run that is cut off leaves something
        if device.type == "cuda":
            torch.cuda.empty_cache()
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    args = parse(argv)
    if args.command not in ("table", "plot"):
        return measure(args)
    reports = [report.Report.read(path) for path in args.json]
    if args.command == "plot":
        report.plot(reports, args.out)
        return 0
    if args.into is None:
        for one in reports:
            print(report.tables(one))
        return 0
    text = args.into.read_text()
    for path, one in zip(args.json, reports, strict=True):
        text = report.insert(text, path.name, report.tables(one))
    args.into.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
