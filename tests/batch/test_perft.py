"""Leaf counts of many positions at once, against keisei.Position and tests/data/perft.tsv."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
import torch
from batch_helpers import DEVICES, played_positions

from keisei import Position, ops

GAMES = 24


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_each_position_of_a_batch(device: str, depth: int) -> None:
    rows = torch.cat([played_positions(GAMES, steps) for steps in (31, 60, 90)])
    expected = [Position.from_words(row).perft(depth) for row in rows.numpy()]
    for given in (rows, rows.t().contiguous().t()):
        nodes = ops.perft(given.to(device), depth)
        assert nodes.dtype == torch.int64
        assert nodes.tolist() == expected


@pytest.mark.parametrize("device", DEVICES)
def test_no_positions(device: str) -> None:
    assert ops.perft(played_positions(0).to(device), 3).tolist() == []


def _rows_by_depth() -> dict[int, list[tuple[str, int]]]:
    text = (Path(__file__).parents[1] / "data" / "perft.tsv").read_text(encoding="utf-8")
    rows = defaultdict(list)
    for line in text.splitlines():
        if not line.startswith("#"):
            sfen, depth, nodes, *_ = line.split("\t")
            rows[int(depth)].append((sfen, int(nodes)))
    return rows


@pytest.mark.gpu
@pytest.mark.parametrize("depth", sorted(_rows_by_depth()))
def test_the_whole_table(depth: int) -> None:
    sfens, nodes = zip(*_rows_by_depth()[depth], strict=True)
    words = torch.stack([torch.from_numpy(Position.from_sfen(sfen).words()) for sfen in sfens])
    for sfen, found, expected in zip(
        sfens, ops.perft(words.cuda(), depth).tolist(), nodes, strict=True
    ):
        assert found == expected, f"{sfen} at depth {depth}: expected {expected}, got {found}"


@pytest.mark.gpu
def test_more_positions_than_a_chunk_holds() -> None:
    rows = played_positions(64).repeat(5000, 1)  # 320,000
    found = ops.perft(rows.cuda(), 2).view(5000, 64)
    assert (found == found[0]).all()
    assert found[0].cpu().equal(ops.perft(rows[:64], 2))


@pytest.mark.gpu
def test_words_that_are_no_position() -> None:
    # Six rooks, horses and dragons, a full hand and no king: 646 moves.
    own = [0, 655364, 16777856]
    row = [*own, 0, 0, 0, *own, *own, 0, 0, 16777344, 2**21 - 1, 0]
    words = torch.tensor([row] * 1000)
    assert ops.unpack_mask(ops.legal_mask(words.int())).sum(1).tolist() == [646] * 1000
    with pytest.raises(ValueError, match="expected at most 593 legal moves in each on average"):
        ops.perft(words.to(torch.int32).cuda(), 2)
