"""The same bits on every run."""

from __future__ import annotations

import os

import torch

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
INDUCTOR = "TORCHINDUCTOR_DETERMINISTIC"
# What cuBLAS asks for: workspaces of fixed sizes, so that it always takes the same kernels.
_WORKSPACES = (":4096:8", ":16:8")


class DeterminismError(RuntimeError):
    """Something that is set, or has happened, stands in the way of the same bits on every run."""


def require_determinism(device: torch.device) -> None:
    """From now on torch, in the whole process, takes only algorithms that give the same bits.

    Call it before there is any tensor on ``device``. An operation that has no such algorithm then
    raises RuntimeError where it is used. keisei's own kernels always give the same bits: they add
    up floats in a fixed order, and what they do with atomics is integer sums, minima and bits.

    Raises DeterminismError if cuBLAS is set up otherwise, or if it is too late for that.
    """
    if device.type == "cuda":
        setting = os.environ.get(WORKSPACE)
        if setting is None:
            # Read when cuBLAS starts, which it does once.
            if _was_used(device):
                raise DeterminismError(
                    f"training.deterministic: expected {WORKSPACE} in the environment or a process "
                    f"that has made no tensor on {device} yet; set {WORKSPACE}={_WORKSPACES[0]}"
                )
            os.environ[WORKSPACE] = _WORKSPACES[0]
        elif setting not in _WORKSPACES:
            raise DeterminismError(
                f"training.deterministic: {WORKSPACE}: expected {' or '.join(_WORKSPACES)}, "
                f"got {setting!r}"
            )
    # Else torch.compile would choose among its kernels by timing them.
    os.environ.setdefault(INDUCTOR, "1")
    torch.use_deterministic_algorithms(True)
    # Else every new tensor would be filled first; what is made here is written whole.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def _was_used(device: torch.device) -> bool:
    """Whether there ever was a tensor on a CUDA device; without one there was no product."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return False
    return bool(torch.cuda.memory_stats(device).get("allocation.all.allocated", 0))
