"""Labels and planes against Pgx: vectors it produced, kept in tests/data, and Pgx itself if here.

tests/data/make_pgx_vectors.py makes the vectors. Pgx allows some pawn drops that mate; those, and
nothing else, may differ.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
from oracles import text

import keisei

DATA = Path(__file__).parents[1] / "data"
POSITIONS = 2_000
PAWN_DROP_PLANE = 20
CHUNKS = 4


class Vectors(NamedTuple):
    sfens: list[str]
    masks: np.ndarray  # bool [N, 2187]
    planes: np.ndarray  # bool [N, 119, 9, 9]: plane, file - 1, rank - 1


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    with np.load(DATA / "pgx_vectors.npz") as stored:
        sfens = stored["sfen"].tobytes().decode().split("\n")
        masks = np.unpackbits(stored["mask"], axis=1, count=text.LABELS).astype(bool)
        planes = np.unpackbits(stored["observation"], axis=1, count=119 * 81).astype(bool)
    return Vectors(sfens, masks, planes.reshape(-1, 119, 9, 9))


def own_mask(position: keisei.Position) -> np.ndarray:
    mask = np.zeros(text.LABELS, dtype=bool)
    mask[position.legal_labels()] = True
    return mask


def is_mating_pawn_drop(position: keisei.Position, label: int) -> bool:
    """Whether the label drops a pawn that mates: the drop is made as text, then the rules asked."""
    plane, square = divmod(label, text.SQUARES)
    if plane != PAWN_DROP_PLANE:
        return False
    if position.turn == 1:
        square = text.SQUARES - 1 - square
    usi = f"P*{square // 9 + 1}{text.RANKS[square % 9]}"
    after = keisei.Position.from_sfen(text.drop_on(position.sfen(), usi))
    return after.in_check and not after.legal_moves()


def test_the_vectors_are_whole(vectors: Vectors) -> None:
    assert len(vectors.sfens) == len(vectors.masks) == len(vectors.planes) == POSITIONS
    assert len(set(vectors.sfens)) > POSITIONS * 9 // 10
    assert sum(sfen.split()[1] == "w" for sfen in vectors.sfens) > POSITIONS // 3


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_labels(vectors: Vectors, chunk: int) -> None:
    for index in range(chunk, POSITIONS, CHUNKS):
        position = keisei.Position.from_sfen(vectors.sfens[index])
        mine = own_mask(position)
        theirs = vectors.masks[index]
        assert not (mine & ~theirs).any(), vectors.sfens[index]
        for label in np.flatnonzero(theirs & ~mine).tolist():
            assert is_mating_pawn_drop(position, label), (vectors.sfens[index], label)


def test_pgx_differs_where_it_is_known_to(vectors: Vectors) -> None:
    """The first vector is a drop-pawn mate that Pgx allows, and there are more of them."""
    wrong = [
        index
        for index in range(200)
        if (vectors.masks[index] & ~own_mask(keisei.Position.from_sfen(vectors.sfens[index]))).any()
    ]
    assert wrong[0] == 0
    assert len(wrong) > 5


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_planes(vectors: Vectors, chunk: int) -> None:
    for index in range(chunk, POSITIONS, CHUNKS):
        planes = keisei.Position.from_sfen(vectors.sfens[index]).planes()[:119]
        assert np.array_equal(planes, vectors.planes[index]), vectors.sfens[index]


def test_pgx_itself(vectors: Vectors) -> None:
    """The vectors are what Pgx says, on a sample and in their first positions."""
    pytest.importorskip("pgx", reason="pgx is not installed; its stored vectors were tested")
    pytest.importorskip("cshogi", reason="cshogi is not installed (extra: test)")
    maker = _maker()
    picked = [*range(20), *range(20, POSITIONS, 25)]
    masks, planes = maker.ask_pgx([vectors.sfens[index] for index in picked])
    assert np.array_equal(masks, vectors.masks[picked])
    assert np.array_equal(planes, vectors.planes[picked])


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pgx_vectors", DATA / "make_pgx_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
