"""What a run may take, checked before it is taken."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from keisei import ops
from keisei.config_schema import AppConfig, ConfigError, ModelConfig, ResourcesConfig
from keisei.core.network import build_network
from keisei.training.resource_monitor import memory_held

_GB = 1e9
# Of one row of a rollout: position, action, log-probability, value, reward, ending, valid, length,
# advantage, return.
_ROW_BYTES = 4 * ops.POSITION_WORDS + 2 + 4 + 4 + 4 + 1 + 1 + 4 + 4 + 4


def apply_limits(resources: ResourcesConfig, device: torch.device) -> None:
    """Bounds the GPU memory that torch may take of ``device``; for a CPU there is nothing to do."""
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(resources.gpu_memory_fraction, device)


def bytes_of_games(num_games: int, max_plies: int, rollout_length: int) -> int:
    """Bytes that so many games and their rollout take, history included."""
    game = 4 * (ops.POSITION_WORDS + ops.PROGRESS_ROWS + ops.MASK_WORDS)
    game += 2 * ops.bucket_count(max_plies)
    history = 8 * torch.Size(ops.history_shape(num_games, max_plies)).numel()
    return history + num_games * (game + rollout_length * _ROW_BYTES)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: torch has no class of its own for that on a CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "torage size calculation overflowed" in text
    )


def available(resources: ResourcesConfig, device: torch.device) -> int:
    """Bytes that this run may still take where its games live.

    On CUDA what is free and within ``gpu_memory_fraction``; on a CPU what the system has left,
    within ``memory_limit_gb``.
    """
    return _available(resources, device)[0]


def _available(resources: ResourcesConfig, device: torch.device) -> tuple[int, str | None]:
    """``available``, and the setting that bounds it, if one does."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device)
        share = int(resources.gpu_memory_fraction * total)
        return min((free + held, None), (share, "gpu_memory_fraction"), key=lambda pair: pair[0])
    lines = Path("/proc/meminfo").read_text().splitlines()
    left = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    if resources.memory_limit_gb is None:
        return left, None
    share = max(0, int(resources.memory_limit_gb * _GB) - memory_held())
    return min((left, None), (share, "memory_limit_gb"), key=lambda pair: pair[0])


def _bytes_of_network(config: ModelConfig) -> int:
    """What training the built-in network takes at least: weights, gradients and two moments."""
    if config.type != "resnet":
        return 0  # another's constructor may do what it likes
    with torch.device("meta"):
        network = build_network(config)
    return 4 * sum(4 * parameter.numel() for parameter in network.parameters())


def check_memory(config: AppConfig, device: torch.device, ranks: int = 1) -> None:
    """Raises ConfigError if a rank's games alone, or its network's weights, would not fit.

    ``config`` is resolved.
    """
    env, training = config.env, config.training
    if isinstance(env.num_games, str) or isinstance(training.rollout_length, str):
        raise TypeError("check_memory: expected a resolved configuration")
    games = env.num_games // ranks
    needed = bytes_of_games(games, env.max_plies, training.rollout_length)
    left, limit = _available(config.resources, device)
    weights = _bytes_of_network(config.model)
    if weights > left and limit is not None:
        raise ConfigError(
            f"resources.{limit}: expected room for the network, which takes {weights / _GB:.3g} GB "
            f"to train, got {getattr(config.resources, limit):g}, of which {left / _GB:.3g} GB are "
            f"left on {device}"
        )
    if weights > left:
        raise ConfigError(
            f"model.tower_width: expected a network that fits in the {left / _GB:.3g} GB that are "
            f"left on {device}, got {config.model.tower_width} (with tower_depth "
            f"{config.model.tower_depth}), which takes {weights / _GB:.3g} GB to train"
        )
    if needed > left and limit is not None:
        raise ConfigError(
            f"resources.{limit}: expected room for the {games:,} games of env.num_games, which "
            f"take {needed / _GB:.3g} GB, got {getattr(config.resources, limit):g}, of which "
            f"{left / _GB:.3g} GB are left on {device}"
        )
    if needed > left:
        raise ConfigError(
            f"env.num_games: expected games that fit in the {left / _GB:.2f} GB that are left on "
            f"{device}, got {games:,}, which take {needed / _GB:.2f} GB"
        )


def check_disk(folder: Path, needed: int, reserve_gb: float) -> None:
    """Raises OSError if writing ``needed`` bytes to ``folder`` would leave less than the reserve.

    ``reserve_gb`` is in 10^9 bytes. A folder that is not there yet counts as its nearest parent.
    """
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if free - needed < reserve_gb * _GB:
        raise OSError(
            f"{folder}: resources.disk_reserve_gb: expected {reserve_gb:g} GB to stay free after "
            f"{needed / _GB:.3f} GB are written, got {free / _GB:.3f} GB free"
        )
