"""Where the time of an iteration went: the bookkeeping, then a real run."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from keisei.config_schema import config_from_dict
from keisei.training import Trainer
from keisei.training.profiling import PARTS, Activity, account, part_of, table, without_overlap


def test_overlap_counts_once() -> None:
    found = without_overlap(
        [Activity("b", 1.0, 3.0), Activity("a", 0.0, 2.0), Activity("c", 1.5, 1.0)]
    )
    assert found == [Activity("a", 0.0, 2.0), Activity("b", 2.0, 2.0)]


@pytest.mark.parametrize(
    ("phase", "name", "on_cuda", "expected"),
    [
        ("play", "step_kernel", True, "play"),
        ("play", "sm90_xmma_fprop_implicit_gemm_bf16", True, "network"),
        ("play", "norm_relu_forward", True, "network"),
        ("play", "gae_walk_kernel", True, "GAE"),
        ("learn", "sm90_xmma_dgrad_implicit_gemm_bf16", True, "update: network"),
        ("learn", "multi_tensor_apply_kernel", True, "update"),
        ("play", "keisei::gae", False, "GAE"),
        ("play", "keisei::step", False, "play"),
        ("play", "aten::mkldnn_convolution", False, "network"),
        ("learn", "aten::convolution_backward", False, "update: network"),
        ("learn", "Optimizer.step#AdamW.step", False, "update"),
        ("write", "aten::copy_", False, "logging"),
    ],
)
def test_parts_by_name(phase: str, name: str, on_cuda: bool, expected: str) -> None:
    assert part_of(phase, name, on_cuda) == expected


def test_all_of_the_time_is_accounted_for() -> None:
    spans = [
        Activity("play", 0.0, 4.0),
        Activity("callbacks", 4.0, 1.0),
        Activity("write", 4.5, 0.5),  # inside of the callbacks
        Activity("learn", 5.0, 4.0),
    ]
    activities = [
        Activity("step_kernel", 0.5, 1.0),
        Activity("a_gemm", 1.5, 1.5),
        Activity("gae_walk", 3.0, 0.25),
        Activity("a_gemm", 5.5, 2.0),
        Activity("multi_tensor_apply", 7.5, 0.5),
        Activity("a_gemm", 9.5, 9.0),  # after the last span
    ]
    parts = account(10.0, spans, activities, on_cuda=True)
    assert parts == {
        "play": 1.0,
        "network": 1.5,
        "GAE": 0.25,
        "update: network": 2.0,
        "update": 0.5,
        "logging": 1.0,
        "idle": 3.75,
    }
    lines = table(parts, iterations=2).splitlines()
    assert [line.split("  ")[0].strip() for line in lines[1:-1]] == list(PARTS)
    assert lines[-1].split() == ["all", "5000.00", "100.0%"]


def train(tmp_path: Path, profile: int | None, iterations: int) -> Trainer:
    settings = {
        "training": {
            "total_timesteps": 32 * 4 * iterations,
            "rollout_length": 4,
            "batch_size": 64,
            "device": "cpu",
            "compile": False,
        },
        "env": {"num_games": 32},
        "model": {"tower_depth": 1, "tower_width": 8},
        "logging": {"run_root": str(tmp_path), "run_name": "run"},
    }
    trainer = Trainer(
        config_from_dict(settings, "test"),
        SimpleNamespace(resume=None, profile=profile),
        console=Console(file=io.StringIO()),
    )
    trainer.run_training_loop()
    return trainer


def test_a_run_with_profile_leaves_trace_and_table(tmp_path: Path) -> None:
    train(tmp_path, profile=2, iterations=6)
    folder = tmp_path / "run" / "profile"
    text = (folder / "table-000004.txt").read_text()  # two to warm up, two traced
    for part in (*PARTS, "all"):
        assert f"\n{part} " in text, text
    shares = {
        line[:16].strip(): float(line[17:29]) for line in text.splitlines()[1:] if line[:1] != "m"
    }
    for part in ("play", "network", "update: network", "update", "logging"):
        assert shares[part] > 0, text
    assert sum(shares[part] for part in PARTS) == pytest.approx(shares["all"], abs=0.1)
    assert "main memory" in text
    with gzip.open(folder / "trace-000004.json.gz") as file:
        spans = Counter(event.get("name") for event in json.load(file)["traceEvents"])
    # Two iterations of four plies each.
    assert spans["keisei.play"] == spans["keisei.learn"] == 2, spans
    assert spans["keisei::step"] == 2 * 4, spans
    assert spans["aten::convolution_backward"] > 0, spans


def test_a_run_that_ends_early_says_so(tmp_path: Path) -> None:
    train(tmp_path, profile=9, iterations=4)
    assert (tmp_path / "run" / "profile" / "table-000004.txt").is_file()
    assert "profile: expected 9 iterations, got 2" in (tmp_path / "run" / "train.log").read_text()


def test_without_profile_there_is_none(tmp_path: Path) -> None:
    train(tmp_path, profile=None, iterations=2)
    assert not (tmp_path / "run" / "profile").exists()
    record = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["time.play_seconds"] > 0
    assert record["time.learn_seconds"] > 0
    assert record["resources.memory_gb"] > 0.01
