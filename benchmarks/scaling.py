"""`python -m benchmarks.scaling --ranks 1 2`: how much faster training is with more devices.

Weak scaling: each rank has the same number of games and the same share of a minibatch, however
many there are. Each count is one run of `python -m keisei.train` under torchrun, as anybody would
start it; the figures are those of its own metrics, without its first iterations, which compile and
record.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

WARM_UP = 5
"""iterations before those that count: the first four load, compile and record"""


@dataclass(frozen=True)
class Load:
    """What each rank does."""

    device: str
    depth: int
    width: int
    games: int
    plies: int
    batch: int
    epochs: int
    iterations: int


@dataclass(frozen=True)
class Pace:
    """How fast so many ranks were together: medians over the iterations that count."""

    ranks: int
    positions_per_second: float
    collect_seconds: float
    learn_seconds: float
    slowest: float
    """positions per second of the slowest iteration"""

    def scaling(self, one: Pace) -> float:
        """The part of ``one``'s pace that each rank has."""
        return self.positions_per_second / one.positions_per_second * one.ranks / self.ranks


def run_name(ranks: int) -> str:
    """The folder of a run."""
    return f"ranks-{ranks}"


def command(load: Load, ranks: int, folder: Path) -> list[str]:
    """What is run; it writes its metrics below ``folder``."""
    iterations = WARM_UP + load.iterations
    settings = {
        "training.device": load.device,
        "training.total-timesteps": iterations * load.games * load.plies * ranks,
        "training.rollout-length": load.plies,
        "training.batch-size": load.batch * ranks,
        "training.ppo-epochs": load.epochs,
        "training.target-kl": "None",  # every pass is made
        "training.compile": str(load.device != "cpu"),
        "env.num-games": load.games * ranks,
        "model.tower-depth": load.depth,
        "model.tower-width": load.width,
        "logging.checkpoint-interval": 10**15,
        "logging.run-root": folder,
        "logging.run-name": run_name(ranks),
    }
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    options = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    return [sys.executable, *launcher, "-m", "keisei.train", *options]


def read_pace(metrics: Path, ranks: int) -> Pace:
    """The pace in a run's metrics; RuntimeError if there are too few iterations."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    counted = lines[WARM_UP:]
    if not counted:
        raise RuntimeError(f"{metrics}: expected more than {WARM_UP} iterations, got {len(lines)}")

    def median(name: str) -> float:
        return statistics.median([float(line[f"speed.{name}"]) for line in counted])

    return Pace(
        ranks,
        median("positions_per_second"),
        median("collect_seconds"),
        median("learn_seconds"),
        min(line["speed.positions_per_second"] for line in counted),
    )


def measure(load: Load, ranks: int, folder: Path) -> Pace:
    """Runs so many ranks; RuntimeError with their last words if they fail."""
    done = subprocess.run(command(load, ranks, folder), capture_output=True, text=True)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
        raise RuntimeError(f"{ranks} ranks: status {done.returncode}\n{tail}")
    for line in (done.stdout + done.stderr).splitlines():
        if "CUDA graph" in line:  # a step that could not be recorded
            print(line)
    return read_pace(folder / run_name(ranks) / "metrics.jsonl", ranks)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cuda" if cuda else "cpu", choices=["cuda", "cpu"])
    parser.add_argument("--depth", type=int, default=6 if cuda else 2)
    parser.add_argument("--width", type=int, default=128 if cuda else 32)
    parser.add_argument("--games", type=int, default=4096 if cuda else 64, help="per rank")
    parser.add_argument("--plies", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8192 if cuda else 256, help="per rank")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=20, help="that count")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args(argv)
    load = Load(
        args.device, args.depth, args.width, args.games, args.plies, args.batch, args.epochs,
        args.iterations,
    )  # fmt: skip
    print(
        f"{load.depth}x{load.width} on {load.device}; a rank has {load.games:,} games x "
        f"{load.plies} plies and {load.batch:,} rows of each minibatch, {load.epochs} epochs"
    )
    print("| ranks | positions/s | of linear | collecting | learning | slowest iteration |")
    print("|-------|-------------|-----------|------------|----------|-------------------|")
    paces: list[Pace] = []
    with tempfile.TemporaryDirectory() as folder:
        for ranks in args.ranks:
            pace = measure(load, ranks, Path(folder))
            paces.append(pace)
            print(
                f"| {ranks} | {pace.positions_per_second:,.0f} | {pace.scaling(paces[0]):.1%} | "
                f"{pace.collect_seconds:.3f} s | {pace.learn_seconds:.3f} s | "
                f"{pace.slowest:,.0f} |",
                flush=True,
            )
    if args.json is not None:
        found = {"load": asdict(load), "paces": [asdict(pace) for pace in paces]}
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
