"""The device of a run, and what is in the way of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from keisei.config_schema import ConfigError
from keisei.training.device import find_device

PROGRAM = "from keisei.training.device import find_device; print(find_device('auto'))"


def test_the_device_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("auto") == find_device("cuda") == torch.device("cuda", 0)
    assert find_device("cuda:1") == torch.device("cuda", 1)


def test_only_devices_that_are_visible_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch counts what CUDA_VISIBLE_DEVICES leaves."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"device: expected one of 2 CUDA devices, got 'cuda:2'"):
        find_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="expected cpu, got 'cuda', and there is no CUDA device"):
        find_device("cuda")


@pytest.mark.gpu
@pytest.mark.parametrize(("visible", "expected"), [("", "cpu"), ("0", "cuda:0")])
def test_cuda_visible_devices_hides_a_device(visible: str, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": visible},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected
