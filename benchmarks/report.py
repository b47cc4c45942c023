"""What a run found: printed as Markdown tables, kept as JSON, drawn as a plot."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

import keisei
from benchmarks.measure import OURS, Row, share

PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
HEADERS = (
    "what",
    "size",
    "by",
    "rate",
    "time",
    "moved",
    "of ceiling",
    "spread",
    "keisei is",
    "note",
)


@dataclass
class Report:
    """One run of the program."""

    commit: str
    machine: str
    torch: str
    cuda: str
    python: str
    keisei: str
    command: str
    date: str
    ceilings: dict[str, float] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def add(self, line: Row) -> None:
        """Keep a row, with the share of its ceiling."""
        sustained = self.ceilings.get("sustained matmul")
        if line.ceiling == "matmul" and line.seconds and sustained:
            part = f"{100 * line.flops / line.seconds / sustained:.0f}% of sustained matmul"
            line = replace(line, note=f"{line.note}; {part}" if line.note else part)
        self.rows.append(replace(line, share=share(line, self.ceilings)))

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def read(path: Path) -> Report:
        """What ``write`` wrote."""
        values: dict[str, Any] = json.loads(path.read_text())
        rows = [Row(**line) for line in values.pop("rows")]
        return Report(rows=rows, **values)


def commit() -> str:
    """KEISEI_COMMIT, else git's, else ``unknown``."""
    if "KEISEI_COMMIT" in os.environ:
        return os.environ["KEISEI_COMMIT"]
    here = Path(__file__).parent
    ask = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(ask, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def new_report(device: torch.device) -> Report:
    """An empty report of this machine, commit and command."""
    cuda = device.type == "cuda"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    host = f"{_processor()}, {cores} cores, {torch.get_num_threads()} threads used"
    return Report(
        commit=commit(),
        machine=torch.cuda.get_device_name(device) if cuda else host,
        torch=str(torch.__version__),
        cuda=torch.version.cuda or "none" if cuda else "none",
        python=platform.python_version(),
        keisei=keisei.__version__,
        command=" ".join(["python -m benchmarks", *(Path(word).name for word in sys.argv[1:])]),
        date=time.strftime("%Y-%m-%d", time.gmtime()),
    )


def scaled(value: float, unit: str) -> str:
    """``4512345678.0, "plies/s"`` as ``4.51 G plies/s``: three digits and a prefix."""
    factor, prefix = next((p for p in PREFIXES if value >= p[0]), PREFIXES[-1])
    shown = value / factor
    digits = 2 if shown < 10 else 1 if shown < 100 else 0
    gap = "" if unit.startswith(("B", "FLOP")) else " "
    return f"{shown:.{digits}f} {prefix}{gap if prefix else ''}{unit}"


def _seconds(value: float) -> str:
    units = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
    factor, unit = next((u for u in units if abs(value) >= u[0]), units[-1])
    return f"{value / factor:.3g} {unit}"


def _rate(line: Row) -> str:
    if not line.unit:
        return ""
    if line.unit == "bytes":
        return scaled(line.rate, "B")
    if line.unit.startswith("%"):
        return f"{line.rate:.1f}{line.unit}"
    if line.unit in ("s", "bytes a game"):
        return f"{line.rate:,.2f} {line.unit}"
    return scaled(line.rate, f"{line.unit}/s")


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:,.0f} times as fast" if ratio >= 100 else f"{ratio:.2g} times as fast"


def cells(line: Row) -> tuple[str, ...]:
    """A row as texts, one per header."""
    moved = ""
    if line.seconds and line.ceiling == "matmul":
        moved = scaled(line.flops / line.seconds, "FLOP/s")
    elif line.seconds and line.ceiling:
        moved = scaled(line.bytes / line.seconds, "B/s")
    return (
        line.what,
        line.size,
        "" if line.by == OURS else line.by,
        _rate(line),
        _seconds(line.seconds) if line.seconds else "",
        moved,
        "" if line.share is None else f"{100 * line.share:.0f}% of {line.ceiling}",
        f"{100 * line.spread:.0f}%" if line.spread else "",
        _ratio(line.ratio),
        line.note,
    )


def table(headers: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns that are empty throughout are left out."""
    lines = [tuple(line) for line in lines]
    kept = [i for i, _ in enumerate(headers) if any(line[i] for line in lines)]
    shown = [[headers[i] for i in kept], *([line[i] for i in kept] for line in lines)]
    widths = [max(len(line[i]) for line in shown) for i in range(len(kept))]
    text = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in shown
    ]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(text)


def heading(report: Report) -> str:
    """One paragraph: where the figures come from."""
    cuda = "" if report.cuda == "none" else f", CUDA {report.cuda}"
    ceilings = ", ".join(
        f"{name} {scaled(value, 'FLOP/s' if 'matmul' in name else 'B/s')}"
        for name, value in report.ceilings.items()
    )
    return (
        f"Commit {report.commit}, {report.machine}, torch {report.torch}{cuda}, "
        f"Python {report.python}, {report.date}: `{report.command}`\n"
        + (f"\nMeasured ceilings: {ceilings}.\n" if ceilings else "")
    )


def bench_table(bench: str, rows: Sequence[Row]) -> str:
    """One benchmark's rows under a heading."""
    return f"### {bench}\n\n{table(HEADERS, [cells(line) for line in rows])}\n"


def tables(report: Report) -> str:
    """The whole report as Markdown: a heading and a table per benchmark."""
    benches = dict.fromkeys(line.bench for line in report.rows)
    parts = [bench_table(bench, [r for r in report.rows if r.bench == bench]) for bench in benches]
    return "\n".join([heading(report), *parts])


def insert(document: str, name: str, text: str) -> str:
    """``document`` with ``text`` between its lines ``<!-- begin NAME -->``, ``<!-- end NAME -->``.

    Raises ValueError if they are not there.
    """
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
    head, found, rest = document.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"expected the lines {begin.strip()} and {end.strip()}, got none")
    return f"{head}{begin}\n{text}\n{end}{tail}"


def _tick(value: float) -> str:
    factor, prefix = next((p for p in PREFIXES if value >= p[0]), PREFIXES[-1])
    return f"{value / factor:g} {prefix}".strip()


def plot(reports: Sequence[Report], path: Path) -> None:
    """Draw the curves of all reports into one picture: PNG or SVG, as the name says."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    panels = [
        (x, y, lines)
        for unit, x, y in CURVES
        if (lines := list(_lines(reports, unit)))  # a panel for what was measured
    ]
    if not panels:
        raise ValueError("plot: expected rows of curves, got none")
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(4.4 * len(panels), 3.8), layout="constrained", squeeze=False
    )
    for axis, (x, y, lines) in zip(axes[0], panels, strict=True):
        for label, points in lines:
            axis.plot(*zip(*points, strict=True), "o-", label=label, markersize=4)
        axis.set(xscale="log", yscale="log", xlabel=x, title=y)
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
        axis.minorticks_off()
        axis.margins(y=0.15)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, loc="lower right")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


CURVES = (
    ("plies", "games", "plies a second"),
    ("bytes", "games", "memory of the games, bytes"),
    ("iterations", "weights of the network", "seconds an iteration"),
)


def _lines(reports: Sequence[Report], unit: str) -> Iterable[tuple[str, list[tuple[float, float]]]]:
    """The curves whose rows are in ``unit``: a label and points each."""
    for report in reports:
        rows = [line for line in report.rows if line.bench == "curves" and line.unit == unit]
        machine = report.machine.split(",")[0]
        for what in dict.fromkeys(line.what for line in rows):
            chosen = sorted((line for line in rows if line.what == what), key=lambda r: r.count)
            value = "seconds" if unit == "iterations" else "rate"
            points = [(float(line.count), float(getattr(line, value))) for line in chosen]
            yield f"{machine}: {what}", points
