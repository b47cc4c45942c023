"""Coins that are thrown alike on every run, device and number of ranks: no generator, no state."""

from __future__ import annotations

from torch import Tensor

_NUMBER = 0x9E3779B97F4A7C15
_THROW = 0xD1342543DE82EF95
_SEED = 0xF1357AEA2E62A9C5
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def coins(seed: int, throw: Tensor, numbers: Tensor) -> Tensor:
    """Throws N coins, bool [N]: each True with probability 1/2, from (seed, throw, number) alone.

    ``throw`` is int64, a scalar or [N], and ``numbers`` int64 [N], on one device; nothing waits.
    The mixing is that of SplitMix64 (Steele et al., "Fast splittable pseudorandom number
    generators", 2014), of which the highest bit is taken.
    """
    x = numbers * _signed(_NUMBER) + (throw * _signed(_THROW) + _signed(seed * _SEED))
    for shift, factor in zip((30, 27), _MIX, strict=True):
        # A shift of int64 copies the sign down: the mask makes it a shift of 64 plain bits.
        x = (x ^ ((x >> shift) & ((1 << (64 - shift)) - 1))) * _signed(factor)
    return x < 0


def _signed(number: int) -> int:
    """The int64 with the same lowest 64 bits."""
    return (number + 2**63) % 2**64 - 2**63
