"""TorchScript, which torch calls deprecated and exports need."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def torchscript_is_meant() -> Iterator[None]:
    """Silences torch's word that TorchScript is deprecated, and nothing else."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning):
            warnings.filterwarnings(
                "ignore", message=r"`torch\.jit\.\w+` is deprecated\.", category=category
            )
        yield
