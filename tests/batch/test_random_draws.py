"""The counter-based generator behind all sampling, against an implementation in plain Python."""

from __future__ import annotations

import pytest
import torch
from batch_helpers import DEVICES, clocks, pack, played_masks, random_masks, unpack

from keisei import ops

WORD = 2**32


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10, after the paper."""
    c, k = counter[:], key[:]
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c[0], WORD)
        high1, low1 = divmod(0xCD9E8D57 * c[2], WORD)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % WORD, (k[1] + 0xBB67AE85) % WORD]
    return c


def draw(seed: int, game: int, clock: int, stream: int, index: int) -> list[int]:
    """The four words of one block, as csrc/batch/random.h lays out key and counter."""
    return philox(
        [stream << 24 | index, clock % WORD, game % WORD, game // WORD],
        [seed % WORD, seed // WORD % WORD],
    )


def test_the_reference_has_the_published_vectors() -> None:
    assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox([WORD - 1] * 4, [WORD - 1] * 2) == [
        0x408F276D,
        0x41C83B0E,
        0xA20BC7C6,
        0x6D5451FD,
    ]
    assert philox([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]) == [
        0xD16CFE09,
        0x94FDCCEB,
        0x5001E420,
        0x24126EA1,
    ]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("seed", "first_game"), [(0, 0), (-5, 2**40 + 3), (2**63 - 1, 77)])
def test_uniform_sample_is_the_drawn_legal_label(device: str, seed: int, first_game: int) -> None:
    mask = torch.cat(
        [
            played_masks(100),
            random_masks(50, 0.5, seed=1),
            random_masks(50, 0.002, seed=2),
            pack(torch.ones(1, ops.LABELS, dtype=torch.bool)),
            torch.zeros(1, 81, dtype=torch.int32),
        ]
    )
    clock = clocks(len(mask), first=2**31 - 300)
    action = ops.uniform_sample(mask.to(device), clock.to(device), seed, first_game).cpu()
    for game, legal in enumerate(unpack(mask)):
        labels = legal.nonzero().flatten().tolist()
        word = draw(seed, first_game + game, int(clock[game]), 0, 0)[0]
        expected = labels[word * len(labels) // WORD] if labels else -1
        assert action[game] == expected, f"row {game}"


@pytest.mark.parametrize("device", DEVICES)
def test_uniform_sample_is_uniform(device: str) -> None:
    rows = 300_000
    mask = played_masks(1).expand(rows, 81).contiguous()
    labels = unpack(mask[:1]).flatten().nonzero().flatten()
    action = ops.uniform_sample(mask.to(device), clocks(rows).to(device), 11).cpu()
    counts = torch.bincount(action, minlength=ops.LABELS)[labels].double()
    assert counts.sum() == rows, "an illegal label was drawn"
    expected = rows / len(labels)
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    degrees = len(labels) - 1
    assert chi_square < degrees + 4 * (2 * degrees) ** 0.5
    # Neighbouring clocks are independent: pairs of draws are uniform over a 2 x 2 table.
    half = (action > labels[len(labels) // 2]).double()
    assert abs(float(torch.corrcoef(torch.stack([half[:-1], half[1:]]))[0, 1])) < 0.01


def test_every_part_of_the_key_counts() -> None:
    rows = 4000
    mask = played_masks(1).expand(rows, 81).contiguous()
    same = torch.zeros(rows, dtype=torch.int32)
    base = ops.uniform_sample(mask, same, 1, 0)
    assert torch.equal(base, ops.uniform_sample(mask, same, 1, 0))
    assert torch.equal(base[10:], ops.uniform_sample(mask[10:], same[10:], 1, 10))
    others = [
        ops.uniform_sample(mask, same, 2, 0),
        ops.uniform_sample(mask, same, 1 + 2**32, 0),
        ops.uniform_sample(mask, same, 1, 2**32),
        ops.uniform_sample(mask, same + 1, 1, 0),
    ]
    chance = 1 / int(unpack(mask[:1]).sum())
    for other in others:
        assert float((base == other).double().mean()) < 3 * chance


@pytest.mark.parametrize("device", DEVICES)
def test_bits_above_the_labels_of_a_word_say_nothing(device: str) -> None:
    mask = played_masks(64)
    noisy = mask | (-1 << 27)
    noisy[0] = -1 << 27
    mask[0] = 0
    clock = clocks(64).to(device)
    logits = torch.zeros(64, ops.LABELS, device=device)
    for draw in (
        lambda m: ops.uniform_sample(m, clock, 3),
        lambda m: ops.masked_sample(logits, m, clock, 3)[0],
        ops.unpack_mask,
    ):
        assert torch.equal(draw(noisy.to(device)), draw(mask.to(device)))
