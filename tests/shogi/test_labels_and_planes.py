"""The 2,187 labels, the legal mask and the feature planes against cshogi.dlshogi and rsshogi."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import keisei

cshogi = pytest.importorskip("cshogi", reason="cshogi is not installed (extra: test)")
dlshogi = pytest.importorskip("cshogi.dlshogi", reason="cshogi is not installed (extra: test)")
rsshogi_policy = pytest.importorskip("rsshogi.policy", reason="rsshogi is not installed")
rsshogi_types = pytest.importorskip("rsshogi.types", reason="rsshogi is not installed")

from oracles import games, text  # noqa: E402  (needs cshogi)

CHUNK = 2_000
CHUNKS = 10
SEED = 500_000
SEEDS_APART = 1_000
DLSHOGI_PLANES = 119


def dlshogi_planes(board: object) -> np.ndarray:
    """float32 [119, 9, 9]: plane, file - 1, rank - 1."""
    first = np.zeros((dlshogi.FEATURES1_NUM, 9, 9), dtype=np.float32)
    second = np.zeros((dlshogi.FEATURES2_NUM, 9, 9), dtype=np.float32)
    dlshogi.make_input_features(board, first, second)
    return np.concatenate([first, second])


def mask_labels(mask: np.ndarray) -> list[int]:
    """The labels whose bit is set in a packed mask of 81 words of 27 bits."""
    words = np.asarray(mask, dtype=np.int64)
    assert words.shape == (81,)
    assert (words >> 27 == 0).all()
    bits = (words[:, None] >> np.arange(27)) & 1
    return np.flatnonzero(bits).tolist()


def _chunk(chunk: int) -> Iterator[tuple[object, keisei.Position]]:
    for board in games.positions(SEED + chunk * SEEDS_APART, CHUNK, every=3):
        yield board, keisei.Position.from_sfen(board.sfen())


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_labels_and_mask_on_20_000_positions(chunk: int) -> None:
    whites = 0
    for board, position in _chunk(chunk):
        sfen = board.sfen()
        whites += board.turn
        color = rsshogi_types.Color.WHITE if board.turn else rsshogi_types.Color.BLACK
        expected = {}
        for move in board.legal_moves:
            usi = cshogi.move_to_usi(move)
            expected[usi] = dlshogi.make_move_label(move, board.turn)
            assert rsshogi_policy.move_label(usi, color) == expected[usi], (sfen, usi)
        assert dict(zip(position.legal_moves(), position.legal_labels(), strict=True)) == expected
        assert position.legal_labels() == sorted(expected.values()), sfen
        assert mask_labels(position.legal_mask()) == sorted(expected.values()), sfen
        for usi, label in list(expected.items())[:: 1 + len(expected) // 8]:
            assert position.label(usi) == label, (sfen, usi)
            assert position.move(label) == usi, (sfen, label)
    assert whites > CHUNK // 3


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_planes_on_20_000_positions(chunk: int) -> None:
    for board, position in _chunk(chunk):
        planes = position.planes()
        assert planes.shape == (121, 9, 9)
        assert planes.dtype == np.float32
        expected = dlshogi_planes(board)
        if not np.array_equal(planes[:DLSHOGI_PLANES], expected):
            wrong = np.flatnonzero((planes[:DLSHOGI_PLANES] != expected).any(axis=(1, 2)))
            pytest.fail(f"planes {wrong.tolist()} differ in {board.sfen()}")
        assert not planes[DLSHOGI_PLANES:].any()


@pytest.mark.parametrize("chunk", range(2))
def test_neither_planes_nor_labels_are_left_unturned(chunk: int) -> None:
    """White's planes and labels are those of the turned position, and not those of the board.

    An implementation that turns the planes but not the labels, or the reverse, fails here: each is
    compared with the black twin, and with cshogi for the white position itself.
    """
    planes_tell = labels_tell = 0
    for board, position in _chunk(chunk):
        if board.turn == cshogi.BLACK:
            continue
        sfen = board.sfen()
        twin_sfen = text.turn_sfen(sfen)
        twin = keisei.Position.from_sfen(twin_sfen)
        assert (position.turn, twin.turn) == (1, 0)

        planes = position.planes()
        assert np.array_equal(planes, twin.planes()), sfen
        assert np.array_equal(planes[:DLSHOGI_PLANES], dlshogi_planes(board)), sfen
        planes_tell += not np.array_equal(planes, planes[:, ::-1, ::-1])

        for move in board.legal_moves:
            usi = cshogi.move_to_usi(move)
            label = position.label(usi)
            assert label == twin.label(text.turn_usi(usi)), (sfen, usi)
            assert label == dlshogi.make_move_label(move, cshogi.WHITE), (sfen, usi)
            labels_tell += label != dlshogi.make_move_label(move, cshogi.BLACK)
        assert np.array_equal(position.legal_mask(), twin.legal_mask()), sfen
    # Nearly every position and move can tell turned from unturned.
    assert planes_tell > CHUNK // 4
    assert labels_tell > CHUNK


def test_planes_of_earlier_occurrences() -> None:
    """Planes 119 and 120: the position has occurred at least once, twice before in its game."""
    position = keisei.Position()
    loop = ["2h3h", "8b7b", "3h2h", "7b8b"]
    seen = []
    for _ in range(4):
        planes = position.planes()
        assert planes[DLSHOGI_PLANES:].reshape(2, 81).min(axis=1).tolist() == (
            planes[DLSHOGI_PLANES:].reshape(2, 81).max(axis=1).tolist()
        )
        seen.append((position.occurrence, *planes[DLSHOGI_PLANES:, 0, 0].tolist()))
        for usi in loop:
            position.push(usi)
    assert seen == [(0, 0.0, 0.0), (1, 1.0, 0.0), (2, 1.0, 1.0), (3, 1.0, 1.0)]
