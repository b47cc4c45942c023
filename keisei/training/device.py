"""The device that a run computes on."""

from __future__ import annotations

import torch

from keisei.config_schema import ConfigError


def find_device(name: str) -> torch.device:
    """The device that ``training.device`` names; ConfigError if it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"training.device: expected auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = device.index or 0
    if index >= count:
        raise ConfigError(
            f"training.device: expected one of {count} CUDA devices, got {name!r}"
            if count
            else f"training.device: expected cpu, got {name!r}, and there is no CUDA device (no "
            "GPU, no driver, or a CPU build of torch)"
        )
    return torch.device("cuda", index)


def why_not_compiled(device: torch.device) -> str:
    """Why kernels cannot be compiled for ``device``, in one line; empty if a trial of it worked.

    It takes Triton, a C compiler and Python's headers, and nothing tells beforehand.
    """
    try:
        if device.type == "cuda":
            from keisei.core.fused import try_kernel

            try_kernel(device)
        else:
            torch.compile(lambda x: x * 2 + 1)(torch.ones(8, device=device))
    except Exception as error:  # of three other programs' making; it is the answer
        lines = [line for line in str(error).splitlines() if line.strip()]
        return f"{type(error).__name__}: {lines[0] if lines else ''}"
    return ""
