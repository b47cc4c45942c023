"""The figures of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from keisei.utils.metrics_writer import MetricsWriter


def test_records_of_a_lost_future_go_and_others_stay(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path, iteration=0, step=0) as writer:
        for iteration in (1, 2, 3):
            writer.write(iteration, 10 * iteration, {"learn.loss": iteration / 2})
    with MetricsWriter(tmp_path, iteration=2, step=20) as writer:
        writer.write(3, 31, {"learn.loss": 9.0})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"iteration": 1, "step": 10, "learn.loss": 0.5},
        {"iteration": 2, "step": 20, "learn.loss": 1.0},
        {"iteration": 3, "step": 31, "learn.loss": 9.0},
    ]


FULL = """
import resource, signal, sys
from pathlib import Path
from keisei.utils.metrics_writer import MetricsWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = MetricsWriter(Path(sys.argv[1]), iteration=0, step=0)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
for act in (*[lambda: writer.write(1, 1, {f"a.{i}": 1.0 for i in range(40)})] * 99, writer.close):
    try:
        act()
    except OSError as error:
        sys.stdout.write(f"{error}\\n")
"""


def test_a_full_disk_is_an_error_of_the_one_who_writes(tmp_path: Path) -> None:
    """TensorBoard's thread says nothing by itself, and nothing else is raised than OSError."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Exception in thread" not in done.stderr and "Traceback" not in done.stderr
    said = set(done.stdout.splitlines())
    assert said
    assert all("File too large" in line for line in said), said
    assert any("events cannot be written" in line for line in said), said
