"""From the configuration as given to the one that a run follows."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from keisei.config_schema import AppConfig, resolve
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
    return Settled(resolved, device, tuple(warnings))
