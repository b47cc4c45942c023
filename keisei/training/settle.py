"""From the configuration as given to the one that a run follows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from keisei.config_schema import FITTED, AppConfig, ConfigError, resolve
from keisei.core.determinism import DeterminismError, require_determinism
from keisei.core.ranks import SINGLE, Ranks
from keisei.training.autoscale import fit_sizes
from keisei.training.device import find_device, why_not_compiled
from keisei.training.distributed import check_alike, check_shares, rank_device
from keisei.training.past_selves import games_against_each
from keisei.training.resource_limits import apply_limits, check_memory


@dataclass(frozen=True)
class Settled:
    """A configuration with nothing ``auto``, where it runs, and what should be said about it."""

    config: AppConfig
    device: torch.device
    warnings: tuple[str, ...]


def settle(config: AppConfig, ranks: Ranks = SINGLE) -> Settled:
    """Finds the device and settles what depends on it; ConfigError if that cannot be.

    Nor may the ranks differ in what they train, or have unequal shares of it.
    """
    name, several = config.training.device, ranks.world_size > 1
    device = rank_device(name, ranks.local_rank) if several else find_device(name)
    if config.training.deterministic:  # before anything runs on the device
        try:
            require_determinism(device)
        except DeterminismError as error:
            raise ConfigError(str(error)) from error
    warnings = []
    compile_network = device.type == "cuda"
    if config.training.compile == "auto" and compile_network:
        reason = why_not_compiled(device)
        if reason:
            compile_network = False
            warnings.append(f"the network is not fused: {reason}")
    resolve_it = partial(
        resolve,
        config,
        device=str(device),
        compile_network=compile_network,
        ranks=ranks.world_size,
        local_ranks=int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if several else 1,
    )
    open_keys = [f"{section}.{key}" for section, key in FITTED if _is_to_fit(config, section, key)]
    # Something that fits anywhere stands in for what is measured below.
    resolved = resolve_it(fitted=dict.fromkeys(open_keys, 32 * ranks.world_size))
    if isinstance(resolved.resources.threads, int):
        torch.set_num_threads(resolved.resources.threads)
    apply_limits(resolved.resources, device)
    if open_keys:
        # Measured on one rank: all of them must go by the same figures.
        fitted = None
        if ranks.is_main:
            fitted = fit_sizes(resolved, device, frozenset(open_keys), ranks=ranks.world_size)
        fitted = ranks.share(fitted)
        resolved = resolve_it(fitted={key: size * ranks.world_size for key, size in fitted.items()})
    _check_command(resolved.alerts.command)
    check_shares(resolved, ranks)
    games_against_each(resolved)
    check_alike(resolved, ranks)
    check_memory(resolved, device, ranks.world_size)
    return Settled(resolved, device, tuple(warnings))


def _check_command(command: Sequence[str]) -> None:
    """A command of alerts that is not there shows now, not with the first alert hours later."""
    if command and shutil.which(command[0]) is None:
        raise ConfigError(
            f"alerts.command: expected a program that can be run and its arguments, one a word, "
            f"got {command[0]!r}"
        )


def unread_here(places: Mapping[str, str], device: torch.device, ranks: Ranks) -> list[str]:
    """Warnings of settings that were given (``places``: key to place) and that nothing reads here.

    The same settings are read elsewhere, so they are no error.
    """
    found = [(key, "there is one rank") for key in places if key.startswith("distributed.")]
    if ranks.world_size > 1:
        found = []
    if device.type != "cuda" and "resources.gpu_memory_fraction" in places:
        found.append(("resources.gpu_memory_fraction", f"the run is on {device}"))
    return [f"{places[key]}: {key}: nothing reads it, because {because}" for key, because in found]


def _is_to_fit(config: AppConfig, section: str, key: str) -> bool:
    return bool(getattr(getattr(config, section), key) == "fit")
