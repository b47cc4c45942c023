"""The figures of a run."""

from __future__ import annotations

import json
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
