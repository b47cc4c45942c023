"""Numbers that a device computes, brought to the host without making either wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


class HostCopy:
    """A place on the host for tensors of one shape and type that ``device`` computes.

    ``start`` enqueues a copy behind the work that makes the tensor; ``wait`` gives the numbers once
    it is done. Call ``wait`` after something else has waited for that work: then it need not.
    """

    def __init__(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._host = torch.zeros(tuple(shape), dtype=dtype, pin_memory=self._cuda)
        self._copied: torch.cuda.Event | None = None

    @property
    def is_done(self) -> bool:
        """Whether ``wait`` would not wait."""
        return self._copied is None or self._copied.query()  # type: ignore[no-untyped-call]

    def start(self, numbers: Tensor) -> None:
        """Starts a copy of what ``numbers`` will be once all that was enqueued so far is done."""
        self._host.copy_(numbers, non_blocking=self._cuda)
        if self._cuda:
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record()

    def wait(self) -> NDArray[Any]:
        """The numbers of the last copy, zeros before the first; the next one overwrites them."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._host.numpy()
