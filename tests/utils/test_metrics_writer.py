"""The figures of a run."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

from event_files import assert_each_point_once, curves

from keisei.utils.metrics_writer import MetricsWriter, read_metrics


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


def test_twenty_sessions_that_are_killed_leave_each_point_once(tmp_path: Path) -> None:
    """Each dies somewhere past its last checkpoint, some in the middle of a record."""
    draw, saved = random.Random(0), 0
    for _ in range(20):
        writer = MetricsWriter(tmp_path, iteration=saved, step=10 * saved)
        last = saved + draw.randint(0, 5)
        for iteration in range(saved + 1, last + 1):
            writer.write(iteration, 10 * iteration, {"a.b": iteration / 4})
        # As a process leaves it that is killed: nothing is closed, something is half written.
        saved = draw.randint(saved, last)
        if last > saved:
            newest = max((tmp_path / "tensorboard").iterdir(), key=lambda path: path.name)
            for path in (newest, tmp_path / "metrics.jsonl"):
                size = path.stat().st_size - draw.randint(0, 9)
                os.truncate(path, size)
    with MetricsWriter(tmp_path, iteration=saved, step=10 * saved) as writer:
        writer.write(saved + 1, 10 * saved + 10, {"a.b": (saved + 1) / 4})
    assert saved > 20
    read = assert_each_point_once(tmp_path)
    assert curves(read) == {"a/b": [(10 * i, i / 4) for i in range(1, saved + 2)]}


def test_a_run_that_begins_anew_shows_nothing_of_before(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        with MetricsWriter(tmp_path, iteration=0, step=0) as writer:
            writer.write(1, 10, {"a.b": value})
    assert curves(assert_each_point_once(tmp_path)) == {"a/b": [(10, 2.0)]}


def test_records_are_read_up_to_one_that_is_torn(tmp_path: Path) -> None:
    assert list(read_metrics(tmp_path)) == []
    (tmp_path / "metrics.jsonl").write_text('{"iteration": 1, "a.b": NaN}\n{"iteration": 2, "a')
    (record,) = read_metrics(tmp_path)
    assert record["iteration"] == 1 and math.isnan(record["a.b"])


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
