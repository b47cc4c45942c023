"""The processes that train one network together, as the learner sees them.

Started by torchrun there is a process for each device, a rank; otherwise there is one, ``SINGLE``.
Code that is the same for one rank and for many calls these methods: with one rank they do nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from keisei.core.meeting import store_of

Backend = Literal["auto", "nccl", "gloo"]


class RanksError(ValueError):
    """Processes that cannot train together; the text names what was expected and what came."""


@dataclass(frozen=True)
class Ranks:
    """This process among ``world_size`` that run the same program.

    Every rank must call the collective methods in the same order. ``sum_``, ``max_`` and
    ``broadcast_`` work on the default group, on tensors of the CPU or of this rank's device; on
    CUDA they are enqueued on the current stream, nothing waits for the device, and a CUDA graph may
    record them (NCCL). ``barrier``, ``gather_objects`` and ``share`` run on a group of their own on
    the CPU, so that one other thread may call them meanwhile.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """which of this machine's devices is this rank's"""
    control: dist.ProcessGroup | None = field(default=None, repr=False, compare=False)

    @property
    def is_main(self) -> bool:
        """Whether this rank logs, and writes what all ranks have in common."""
        return self.rank == 0

    def sum_(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks, in place; also returned."""
        if self.world_size > 1:
            dist.all_reduce(tensor, dist.ReduceOp.SUM)
        return tensor

    def max_(self, tensor: Tensor) -> Tensor:
        """The greatest of all ranks, element by element, in place; also returned."""
        if self.world_size > 1:
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor

    def broadcast_(self, tensor: Tensor, source: int = 0) -> Tensor:
        """What rank ``source`` has, in place; also returned."""
        if self.world_size > 1:
            dist.broadcast(tensor, source)
        return tensor

    def barrier(self) -> None:
        """Returns once every rank has called it. Does not wait for the device."""
        if self.world_size > 1:
            dist.barrier(group=self.control)

    def gather_objects(self, value: Any) -> list[Any] | None:
        """The values of all ranks, in order, on rank 0; None on the others."""
        if self.world_size == 1:
            return [value]
        values: list[Any] | None = [None] * self.world_size if self.is_main else None
        dist.gather_object(value, values, dst=0, group=self.control)
        return values

    def share(self, value: Any) -> Any:
        """Rank 0's value, on every rank; what the others give does not count."""
        if self.world_size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self.control)
        return values[0]


SINGLE = Ranks()


def join_ranks(
    backend: Backend,
    device: torch.device,
    timeout_seconds: float = 600.0,
    *,
    world_size: int | None = None,
    rank: int | None = None,
) -> Ranks:
    """Meets the other processes that torchrun started; ``SINGLE`` where there are none.

    ``world_size`` and ``rank`` come from torchrun's environment unless they are given.
    ``backend`` is what tensors of a CUDA ``device`` travel by; those of the CPU always take gloo.
    ``auto``: NCCL on CUDA, gloo on a CPU. A rank that waits longer than the timeout for the others
    fails. Raises RanksError if the environment or the backend does not fit, RuntimeError if the
    others are not met.
    """
    size = _from_environment("WORLD_SIZE", 1) if world_size is None else world_size
    if size == 1:
        return SINGLE
    rank = _from_environment("RANK") if rank is None else rank
    if rank >= size:
        raise RanksError(f"rank: expected less than the {size} ranks, got {rank}")
    local_rank = _from_environment("LOCAL_RANK", 0)
    if backend == "auto":
        backend = "nccl" if device.type == "cuda" else "gloo"
    if backend == "nccl" and device.type != "cuda":
        raise RanksError(f"distributed.backend: expected gloo on {device}, got nccl")
    for variable in ("MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(variable):
            raise RanksError(f"{variable}: expected the address of rank 0, as torchrun sets it")
    timeout = timedelta(seconds=timeout_seconds)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        f"cpu:gloo,cuda:{backend}" if device.type == "cuda" else "gloo",
        timeout=timeout,
        store=store_of(rank, size, timeout),
        rank=rank,
        world_size=size,
        # With a device NCCL connects now, not in the first step.
        device_id=device if backend == "nccl" else None,
    )
    control = dist.new_group(backend="gloo", timeout=timeout)
    return Ranks(rank, size, local_rank, control)


def _from_environment(name: str, default: int | None = None) -> int:
    text = os.environ.get(name)
    if text is None and default is not None:
        return default
    try:
        value = int(text or "")
    except ValueError:
        value = -1
    if value < 0:
        raise RanksError(f"{name}: expected a number as torchrun sets it, got {text!r}")
    return value
