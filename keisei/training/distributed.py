"""A run that several ranks share: joining, what they must agree on, and taking shares of it."""

from __future__ import annotations

import atexit
import gc
import logging
import math
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from keisei.config_schema import AppConfig, ConfigError
from keisei.core.model_file import CheckpointError
from keisei.core.ranks import SINGLE, Ranks, join_ranks
from keisei.envs.sharding import join_states, split_state
from keisei.training.checkpoint import TrainingState
from keisei.training.peer_watch import PeerWatch

_GAMES = "env."
_PARTING_SECONDS = 10.0

_log = logging.getLogger(__name__)


class _Joined:
    """What this process is part of, once; torch.distributed has one state a process as well."""

    ranks: Ranks | None = None
    watch: PeerWatch | None = None


def join(config: AppConfig, *, world_size: int | None = None, rank: int | None = None) -> Ranks:
    """This process's ranks: those that torchrun started, or ``SINGLE``.

    ``world_size`` and ``rank`` are taken from torchrun's environment unless they are given; the
    address of the first rank (MASTER_ADDR, MASTER_PORT) always is. Joins once; later calls return
    the same. Raises ConfigError if the environment or the device does not fit, RuntimeError if the
    other ranks are not met.
    """
    if _Joined.ranks is not None:
        expected = (_Joined.ranks.world_size, _Joined.ranks.rank)
        if (world_size or expected[0], expected[1] if rank is None else rank) != expected:
            raise RuntimeError(
                f"this process is rank {expected[1]} of {expected[0]} already, got rank {rank} of "
                f"{world_size}"
            )
        return _Joined.ranks
    size = _number("WORLD_SIZE", 1) if world_size is None else world_size
    if size == 1:
        return SINGLE
    local_rank = _number("LOCAL_RANK", 0)
    device = rank_device(config.training.device, local_rank)
    distributed = config.distributed
    ranks = join_ranks(
        distributed.backend, device, distributed.timeout_seconds, world_size=size, rank=rank
    )
    _Joined.ranks, _Joined.watch = ranks, PeerWatch(ranks)
    atexit.register(_leave_at_exit)
    return ranks


def leave(*, failed: bool) -> None:
    """Parts from the other ranks; ``failed``: this one ends by an error, so they are to end too.

    Nothing of the run may be used any more. Called twice, once counts.
    """
    watch, _Joined.watch, _Joined.ranks = _Joined.watch, None, None
    if watch is None:
        return
    watch.close(failed=failed)
    if not failed:
        gc.collect()
        # NCCL waits here for graphs that are still alive; a run that is over must not wait for it.
        thread = threading.Thread(target=dist.destroy_process_group, daemon=True)
        thread.start()
        thread.join(_PARTING_SECONDS)


def _leave_at_exit() -> None:
    """For who never calls ``leave``; Python keeps an exception that nobody caught."""
    leave(failed=hasattr(sys, "last_value"))


def rank_device(name: str, local_rank: int) -> torch.device:
    """The device of a rank: on CUDA the one with its local number, else the CPU.

    ``name`` is ``training.device``: auto, cpu, cuda, or cuda:0 (as a checkpoint of rank 0 says).
    Raises ConfigError.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if name not in ("cuda", "cuda:0"):
        raise ConfigError(
            f"training.device: expected auto, cpu or cuda with several ranks, each of which takes "
            f"the device of its LOCAL_RANK, got {name!r}"
        )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if local_rank >= count:
        raise ConfigError(
            f"training.device: expected a CUDA device for each rank of this machine, got {count} "
            f"for local rank {local_rank}"
        )
    return torch.device("cuda", local_rank)


def check_shares(config: AppConfig, ranks: Ranks) -> None:
    """ConfigError unless games and their blocks can be shared equally; ``config`` is resolved."""
    world, blocks = ranks.world_size, config.training.shuffle_blocks
    for name, value in (
        ("env.num_games", config.env.num_games),
        ("training.shuffle_blocks", blocks),
    ):
        if isinstance(value, str) or value % world:
            raise ConfigError(f"{name}: expected a multiple of {world} ranks, got {value!r}")
    games = config.env.num_games
    assert isinstance(games, int) and isinstance(blocks, int)
    if games % blocks:
        raise ConfigError(
            f"training.shuffle_blocks: expected a number that divides env.num_games, {games}, "
            f"got {blocks}"
        )
    if config.display.game >= games // world:
        raise ConfigError(
            f"display.game: expected one of the first rank's games, 0 to {games // world - 1}, "
            f"got {config.display.game}"
        )


def fit_shuffle_blocks(saved: AppConfig, ranks: Ranks) -> AppConfig:
    """A checkpoint's configuration with shuffle blocks that this many ranks can share.

    As they are if that is so already: the minibatches are then those of the former ranks.
    """
    blocks = saved.training.shuffle_blocks
    if isinstance(blocks, str) or blocks % ranks.world_size == 0:
        return saved
    fitting = math.lcm(blocks, ranks.world_size)
    training = saved.training.model_copy(update={"shuffle_blocks": fitting})
    return saved.model_copy(update={"training": training})


def check_alike(config: AppConfig, ranks: Ranks) -> None:
    """ConfigError on every rank unless all have the same configuration but for their device.

    Environment variables and files may differ from machine to machine.
    """
    kind = config.training.device.partition(":")[0]
    values = config.model_dump()
    values["training"]["device"] = kind
    # What a machine may have of its own.
    del values["resources"]["threads"]
    flat = {
        f"{section}.{key}": repr(value)
        for section, keys in values.items()
        for key, value in keys.items()
    }
    gathered = ranks.gather_objects(flat)
    errors: list[str] | None = None
    if gathered is not None:
        errors = [
            f"rank {rank}: {name}: expected {flat[name]} as on rank 0, got {other[name]}"
            for rank, other in enumerate(gathered)
            for name in flat
            if other[name] != flat[name]
        ]
    errors = ranks.share(errors)
    if errors:
        raise ConfigError("\n".join(errors))


def any_rank(ranks: Ranks, flag: bool) -> bool:
    """Whether ``flag`` is true on any rank; the same on all."""
    if ranks.world_size == 1:
        return flag
    return bool(ranks.max_(torch.tensor([int(flag)], dtype=torch.int32)))


def slowest(ranks: Ranks, *seconds: float) -> tuple[float, ...]:
    """Each time as the rank has it that took longest; the same on all."""
    if ranks.world_size == 1:
        return seconds
    return tuple(ranks.max_(torch.tensor(seconds, dtype=torch.float64)).tolist())


def state_of_rank(states: Sequence[TrainingState], ranks: Ranks, source: Path) -> TrainingState:
    """What this rank goes on from, of the states of all ranks that saved.

    With as many ranks as saved each takes its own. With another number the games are put together
    and shared anew; every rank takes rank 0's random generators then (the games' randomness is
    keyed by their global index and goes on as it was). Raises CheckpointError if that cannot be.
    """
    if len(states) == ranks.world_size:
        return states[ranks.rank]
    try:
        games = split_state(join_states([_games(state) for state in states]), ranks.world_size)
    except ValueError as error:
        raise CheckpointError(f"{source}: saved by {len(states)} ranks: {error}") from error
    own: dict[str, Tensor] = {f"{_GAMES}{name}": t for name, t in games[ranks.rank].items()}
    common = {
        name: tensor for name, tensor in states[0].tensors.items() if not name.startswith(_GAMES)
    }
    return replace(states[0], tensors=common | own)


def _games(state: TrainingState) -> dict[str, Tensor]:
    return {
        name.removeprefix(_GAMES): tensor
        for name, tensor in state.tensors.items()
        if name.startswith(_GAMES)
    }


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise ConfigError(f"{name}: expected a number as torchrun sets it, got {text!r}")
    return int(text)
