"""Leaf counts of the move tree, against tests/data/perft.tsv."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

import keisei

ORDINARY_NODES = 3_000_000


class Row(NamedTuple):
    sfen: str
    depth: int
    nodes: int
    name: str


def _rows() -> list[Row]:
    text = (Path(__file__).parents[1] / "data" / "perft.tsv").read_text(encoding="utf-8")
    rows = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        sfen, depth, nodes, _agree, _disagree, name = line.split("\t")
        rows.append(Row(sfen, int(depth), int(nodes), name))
    return rows


ROWS = _rows()


def _parameter(number: int, row: Row) -> object:
    marks = [pytest.mark.slow] if row.nodes >= ORDINARY_NODES else []
    return pytest.param(row, id=f"{number}-{row.name}-depth{row.depth}", marks=marks)


def test_the_table_is_whole() -> None:
    assert len(ROWS) == 295
    assert sum(row.nodes < ORDINARY_NODES for row in ROWS) == 274
    assert max(row.nodes for row in ROWS) == 15_086_269_607


@pytest.mark.parametrize("row", [_parameter(i, row) for i, row in enumerate(ROWS)])
def test_perft(row: Row) -> None:
    assert keisei.Position.from_sfen(row.sfen).perft(row.depth) == row.nodes
