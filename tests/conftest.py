"""What all tests share: the oracle helpers on the import path, and settings for hypothesis."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The helpers in tests/oracles are imported as `oracles`; import-mode importlib adds no path.
sys.path.insert(0, str(Path(__file__).parent))

# Deterministic, and no deadline: CI machines are slow and shared.
settings.register_profile(
    "keisei",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("keisei")


# cuBLAS reads it when it starts: later it is too late for tests of ``training.deterministic``.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.fixture
def determinism_as_before() -> Iterator[None]:
    """Takes back what ``training.deterministic`` sets in the whole process."""
    import torch

    enabled = torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    cudnn = torch.backends.cudnn
    flags = cudnn.benchmark, cudnn.deterministic
    yield
    torch.use_deterministic_algorithms(enabled)
    torch.utils.deterministic.fill_uninitialized_memory = fill
    cudnn.benchmark, cudnn.deterministic = flags


@cache
def why_no_gpu() -> str | None:
    """The reason why GPU tests cannot run here; None if they can."""
    import torch

    from keisei import _build

    if not _build.CUDA_KERNELS:
        return f"no CUDA kernels were built: {_build.CUDA_REASON}"
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is not None:
        reason = why_no_gpu()
        if reason is not None:
            pytest.skip(reason)
