"""The figures of a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from keisei.config_schema import AppConfig, LoggingConfig
from keisei.utils.metrics_writer import MetricsWriter


def test_records_of_a_lost_future_go_and_others_stay(tmp_path: Path) -> None:
    config = AppConfig()
    with MetricsWriter(tmp_path, config, iteration=0, step=0) as writer:
        for iteration in (1, 2, 3):
            writer.write(iteration, 10 * iteration, {"learn.loss": iteration / 2})
    with MetricsWriter(tmp_path, config, iteration=2, step=20) as writer:
        writer.write(3, 31, {"learn.loss": 9.0})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"iteration": 1, "step": 10, "learn.loss": 0.5},
        {"iteration": 2, "step": 20, "learn.loss": 1.0},
        {"iteration": 3, "step": 31, "learn.loss": 9.0},
    ]


def test_weights_and_biases_gets_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Any]] = []

    def init(**arguments: Any) -> SimpleNamespace:
        calls.append(("init", arguments["project"]))
        return SimpleNamespace(
            log=lambda metrics, step: calls.append(("log", (metrics, step))),
            finish=lambda: calls.append(("finish", None)),
        )

    module = ModuleType("wandb")
    module.init = init  # type: ignore[attr-defined]
    module.__spec__ = SimpleNamespace()  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "wandb", module)
    config = AppConfig(logging=LoggingConfig(wandb_enabled=True, wandb_project="p"))
    with MetricsWriter(tmp_path, config, iteration=0, step=0) as writer:
        writer.write(1, 10, {"learn.loss": 0.5})
    assert calls == [("init", "p"), ("log", ({"learn.loss": 0.5}, 10)), ("finish", None)]
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["learn.loss"] == 0.5
