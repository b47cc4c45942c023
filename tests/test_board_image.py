"""The picture of a board in letters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keisei import Position
from keisei.board_image import board_image

START = Position().sfen()


def changed(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.bool_]:
    assert one.shape == other.shape
    found: NDArray[np.bool_] = (one != other).any(axis=2)
    return found


def test_it_is_a_picture_and_the_same_each_time() -> None:
    picture = board_image(START)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert min(picture.shape[:2]) > 300
    assert np.array_equal(picture, board_image(START))


def test_a_move_changes_its_two_squares_and_who_is_to_move() -> None:
    position = Position()
    position.push("7g7f")
    before, after = board_image(START), board_image(position.sfen())
    rows, columns = np.nonzero(changed(before, after))
    assert len(rows) > 100
    marked = changed(after, board_image(position.sfen(), "7g7f"))
    rows, columns = np.nonzero(marked)
    # Two squares of one file, one above the other.
    assert 30 <= np.ptp(columns) <= 42 and 70 <= np.ptp(rows) <= 82
    dropped = changed(after, board_image(position.sfen(), "P*5e"))
    rows, columns = np.nonzero(dropped)
    assert np.ptp(columns) <= 42 and np.ptp(rows) <= 42


def test_pieces_in_hand_titles_and_promotions_are_seen() -> None:
    kings = "4k4/9/9/9/9/9/9/9/4K4 b {} 1"
    empty = board_image(kings.format("-"))
    own, other = (changed(empty, board_image(kings.format(hand))) for hand in ("2P", "2p"))
    width = empty.shape[1]
    assert np.nonzero(own)[1].min() > width / 2 > np.nonzero(other)[1].max()
    assert changed(empty, board_image(kings.format("-"), title="a title"))[:30].any()
    promoted = board_image("4k4/9/9/9/4+P4/9/9/9/4K4 b - 1")
    plain = board_image("4k4/9/9/9/4P4/9/9/9/4K4 b - 1")
    assert changed(promoted, plain).any()


def test_white_points_down() -> None:
    black = board_image("9/9/9/9/4L4/9/9/9/9 b - 1").astype(int)
    white = board_image("9/9/9/9/4l4/9/9/9/9 b - 1").astype(int)
    difference = (black != white).any(axis=2)
    rows, columns = np.nonzero(difference)
    assert len(rows) > 50 and np.ptp(rows) <= 40 and np.ptp(columns) <= 40
