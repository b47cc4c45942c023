"""Coins: fair, independent, and always the same."""

from __future__ import annotations

import torch

from keisei.core.coins import coins

ROWS, THROWS = 4096, 64


def thrown(seed: int) -> torch.Tensor:
    """bool [THROWS, ROWS]"""
    numbers = torch.arange(ROWS)
    return torch.stack([coins(seed, torch.tensor(throw), numbers) for throw in range(THROWS)])


def in_plain_integers(seed: int, throw: int, number: int) -> bool:
    mask = 2**64 - 1
    x = number * 0x9E3779B97F4A7C15 + throw * 0xD1342543DE82EF95 + seed * 0xF1357AEA2E62A9C5
    x &= mask
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & mask
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & mask
    return bool(x >> 63)


def test_they_are_what_is_documented() -> None:
    for seed in (0, 1, 2**62 - 1):
        for throw in (0, 7, 2**40):
            numbers = torch.tensor([0, 1, 2, 131071, 2**33, -1])
            got = coins(seed, torch.tensor(throw), numbers).tolist()
            assert got == [in_plain_integers(seed, throw, int(n)) for n in numbers]


def test_they_are_fair_and_independent() -> None:
    flips = thrown(0).double() * 2 - 1
    count = ROWS * THROWS
    assert abs(float(flips.sum())) < 4 * count**0.5
    # Neighbours in a throw, the same row in the next throw, the same coin of another seed.
    for name, product in {
        "rows": flips[:, 1:] * flips[:, :-1],
        "throws": flips[1:] * flips[:-1],
        "seeds": flips * (thrown(1).double() * 2 - 1),
    }.items():
        assert abs(float(product.sum())) < 4 * product.numel() ** 0.5, name
    for axis in (0, 1):  # no row and no throw is biased
        sums = flips.sum(axis)
        spread = float((sums.square() / flips.shape[axis]).mean())
        assert abs(spread - 1) < 6 * (2 / len(sums)) ** 0.5, f"axis {axis}: {spread}"
