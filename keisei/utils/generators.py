"""The random generators that everybody in a process shares: Python's, NumPy's and torch's."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def kept_generators() -> Iterator[None]:
    """Puts the generators of Python, NumPy and torch (all devices) back when the block ends.

    So code of others that draws from them changes no draw of the run. Nothing waits for a device.
    """
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    there = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if there else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if not torch.equal(torch.get_rng_state(), cpu):
            torch.set_rng_state(cpu)
        for device, state in enumerate(cuda):
            if not torch.equal(torch.cuda.get_rng_state(device), state):
                torch.cuda.set_rng_state(state, device)
