"""The same bits on every run, where that is asked for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from keisei.core.determinism import INDUCTOR, WORKSPACE, DeterminismError, require_determinism

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "deterministic_run.py"


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch, determinism_as_before: None) -> Iterator[None]:
    """Takes back what a test sets in the whole process."""
    monkeypatch.delenv(WORKSPACE, raising=False)
    monkeypatch.setenv(INDUCTOR, "1")
    yield
    os.environ.pop(WORKSPACE, None)


def run(device: str, updates: int) -> list[str]:
    environment = {k: v for k, v in os.environ.items() if k not in (WORKSPACE, INDUCTOR)}
    done = subprocess.run(
        [sys.executable, PROGRAM, device, str(updates)],
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sums = done.stdout.splitlines()
    assert len(set(sums)) == updates, f"each update changes something: {sums}"
    return sums


@pytest.mark.parametrize(
    ("device", "updates"), [("cpu", 2), pytest.param("cuda:0", 6, marks=pytest.mark.gpu)]
)
def test_two_runs_end_with_the_same_bits(device: str, updates: int) -> None:
    assert run(device, updates) == run(device, updates)


def test_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    # Joining ranks starts CUDA without making a tensor.
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda _: {})
    require_determinism(torch.device("cuda"))
    assert os.environ[WORKSPACE] == ":4096:8"
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
    assert not torch.utils.deterministic.fill_uninitialized_memory
    require_determinism(torch.device("cuda"))  # again: it is set already


def test_too_late_or_set_up_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    used = {"allocation.all.allocated": 3}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda _: used)
    with pytest.raises(DeterminismError, match="or a process that has made no tensor on cuda yet"):
        require_determinism(torch.device("cuda"))
    monkeypatch.setenv(WORKSPACE, ":0:0")
    with pytest.raises(DeterminismError, match="expected :4096:8 or :16:8, got ':0:0'"):
        require_determinism(torch.device("cuda"))
    assert not torch.are_deterministic_algorithms_enabled()
    require_determinism(torch.device("cpu"))
    assert torch.are_deterministic_algorithms_enabled()


def test_own_kernels_add_up_floats_in_one_order() -> None:
    """Atomics, whose order is that of chance, are there for integers and bits alone."""
    kernels = (ROOT / "keisei" / "core" / "fused_kernels.py").read_text()
    assert "atomic" not in kernels, "a Triton kernel with atomics: is its result always the same?"
    known = {
        "game_warp.cuh": ["mask + game * kMaskWords", "&count, __popc(which)"],
        "perft.cu": ["moves.count, total", "reinterpret_cast<unsigned long long*>(nodes + game)"],
        "planes.cu": ["to + i, bits"],  # atomicOr
        "random_play.cu": [
            "&block.tally[static_cast<int>(judged.verdict.ending)], 1",
            "&block.tally[0], moves",
            "reinterpret_cast<unsigned long long*>(args.tally + thread)",
        ],
        "step.cu": ["reinterpret_cast<long long*>(cell)"],  # atomicMin
    }
    sources = [p for p in (ROOT / "csrc").rglob("*") if p.suffix in (".cu", ".cuh", ".h")]
    assert sources
    for path in sources:
        for call in re.findall(r"\batomic[A-Z]\w*\((.*)", path.read_text()):
            assert any(call.startswith(text) for text in known.get(path.name, [])), (
                f"{path.name}: atomic on ({call}: if it adds floats, its result is not always the "
                "same; else name it in this test"
            )
