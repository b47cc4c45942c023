"""Work that is recorded once as a CUDA graph and then started by one call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable

import torch

_log = logging.getLogger(__name__)


class Captured:
    """A function of no arguments that always works on the same tensors.

    On CUDA its first call runs it as it stands, which loads and chooses kernels; the second records
    it as a graph; from then on a call starts the graph, and no Python of the function runs. Another
    ``key`` than last time begins anew. Where recording fails, a warning says so and the function
    goes on running as it stands. Elsewhere a call is a call.
    """

    def __init__(self, name: str, device: torch.device, function: Callable[[], None]) -> None:
        self._name = name
        self._function = function
        self._key: Hashable = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm = False
        self._possible = device.type == "cuda"
        self._device = device

    @property
    def recorded(self) -> bool:
        """Whether the next call with the same key starts a graph."""
        return self._graph is not None

    def __call__(self, key: Hashable = None) -> None:
        """Runs the function or its graph; ``key`` names all that the recording depends on."""
        if not self._possible:
            self._function()
            return
        if key != self._key:
            self._key, self._graph, self._warm = key, None, False
        if self._graph is None and self._warm:
            self._graph = self._record()
        if self._graph is not None:
            self._graph.replay()
        else:
            self._function()
            self._warm = True

    def _record(self) -> torch.cuda.CUDAGraph | None:
        graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.current_stream(self._device)
        try:
            # Other threads may evaluate and save meanwhile: what they do is no part of it.
            with (
                torch.cuda.device(self._device),
                torch.cuda.graph(graph, capture_error_mode="thread_local"),
            ):
                self._function()
        except RuntimeError as error:
            self._possible = False
            torch.cuda.set_stream(stream)  # a recording that fails leaves its own behind
            line = str(error).strip().partition("\n")[0]
            _log.warning("%s runs without a CUDA graph: %s", self._name, line)
            return None
        return graph
