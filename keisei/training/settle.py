"""From the configuration as given to the one that a run follows."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from keisei.config_schema import AppConfig, ConfigError, resolve
from keisei.core.determinism import DeterminismError, require_determinism
from keisei.core.ranks import SINGLE, Ranks
from keisei.training.device import find_device, why_not_compiled


@dataclass(frozen=True)
class Settled:
    """A configuration with nothing ``auto``, where it runs, and what should be said about it."""

    config: AppConfig
    device: torch.device
    warnings: tuple[str, ...]


def settle(config: AppConfig, ranks: Ranks = SINGLE) -> Settled:
    """Finds the device and settles what depends on it; ConfigError if that cannot be."""
    device = find_device(config.training.device)
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
    resolved = resolve(
        config, device=str(device), compile_network=compile_network, ranks=ranks.world_size
    )
    if isinstance(resolved.resources.threads, int):
        torch.set_num_threads(resolved.resources.threads)
    return Settled(resolved, device, tuple(warnings))
