"""Positions in 32 and 40 bytes, against cshogi."""

from __future__ import annotations

import random
from collections.abc import Iterator

import cshogi
import numpy as np
import pytest

import keisei

# All forty pieces, promoted ones and full hands of both sides among them.
RICH = "l3k2nl/1r1s2g2/p2p1p1pp/2+B1p4/1N7/2P1P1P2/PP1+p1P1PP/2GS1K3/LN1+r4L b GSNbgs3p 61"
HANDICAP = "lnsgkgsnl/9/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1"


def positions(games: int, seed: int) -> Iterator[keisei.Position]:
    """Each position of some random games."""
    chance = random.Random(seed)
    for _ in range(games):
        position = keisei.Position()
        while position.outcome(200) is None:
            yield position
            position.push(chance.choice(position.legal_moves()))


def board_of(position: keisei.Position) -> cshogi.Board:
    return cshogi.Board(position.sfen())


def hcp_of(board: cshogi.Board) -> bytes:
    record = np.zeros(1, dtype=cshogi.HuffmanCodedPos)
    board.to_hcp(record)
    return record.tobytes()


def packed_sfen_of(board: cshogi.Board) -> bytes:
    record = np.zeros(1, dtype=cshogi.PackedSfen)
    board.to_psfen(record)
    return record.tobytes()


def test_every_position_of_random_games_is_cshogi_s() -> None:
    count = 0
    for position in positions(8, 1):
        board = board_of(position)
        sfen = position.sfen()
        hcp, psv = position.to_hcp(), position.to_psv()
        assert hcp == hcp_of(board), f"hcp of {sfen}"
        assert psv[:32] == packed_sfen_of(board), f"psv of {sfen}"
        assert keisei.Position.from_hcp(hcp, position.ply).sfen() == sfen
        back, move, score, result = keisei.Position.from_psv(psv)
        assert (back.sfen(), move, score, result) == (sfen, None, 0, 0)
        count += 1
    assert count > 500


def test_cshogi_reads_what_is_written() -> None:
    position = keisei.Position.from_sfen(RICH)
    board = cshogi.Board()
    board.set_hcp(np.frombuffer(position.to_hcp(), dtype=cshogi.HuffmanCodedPos))
    assert board.sfen().rsplit(" ", 1)[0] == RICH.rsplit(" ", 1)[0]
    board.set_psfen(np.frombuffer(position.to_psv()[:32], dtype=cshogi.PackedSfen))
    assert board.sfen().rsplit(" ", 1)[0] == RICH.rsplit(" ", 1)[0]


def test_a_psv_says_what_cshogi_s_record_says() -> None:
    for position in positions(2, 2):
        for usi in position.legal_moves():
            data = position.to_psv(usi, score=-1234, result=-1)
            (record,) = np.frombuffer(data, dtype=cshogi.PackedSfenValue)
            board = board_of(position)
            move = board.move_from_psv(int(record["move"]))
            assert cshogi.move_to_usi(move) == usi, f"{usi} in {position.sfen()}"
            assert (record["score"], record["game_result"]) == (-1234, -1)
            assert record["gamePly"] == position.ply
            assert keisei.Position.from_psv(data)[1:] == (usi, -1234, -1)


def test_records_of_an_array_are_read() -> None:
    data = np.frombuffer(keisei.Position().to_psv("7g7f"), dtype=cshogi.PackedSfenValue)
    assert keisei.Position.from_psv(data[0])[1] == "7g7f"
    assert keisei.Position.from_psv(memoryview(data.tobytes()))[1] == "7g7f"


@pytest.mark.parametrize("write", [keisei.Position.to_hcp, keisei.Position.to_psv])
def test_a_handicap_cannot_be_packed(write) -> None:
    with pytest.raises(ValueError, match="expected a position with all 40 pieces, got 38"):
        write(keisei.Position.from_sfen(HANDICAP))


@pytest.mark.parametrize(
    ("read", "data", "text"),
    [
        (keisei.Position.from_hcp, b"", "hcp: expected 32 bytes, got 0"),
        (keisei.Position.from_hcp, bytes(33), "hcp: expected 32 bytes, got 33"),
        (keisei.Position.from_psv, bytes(32), "psv: expected 40 bytes, got 32"),
        (keisei.Position.from_hcp, bytes(32), "two kings on squares of their own, got square 0"),
        (keisei.Position.from_hcp, b"\xff" * 32, "on squares of their own, got square 127"),
        (keisei.Position.from_psv, b"\xff" * 40, "on squares of their own, got square 127"),
    ],
)
def test_what_is_no_position_is_refused(read, data: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        read(data)


def test_text_is_no_data() -> None:
    with pytest.raises(TypeError, match="data: expected bytes, got text"):
        keisei.Position.from_hcp("x" * 32)  # type: ignore[arg-type]


def test_damaged_bytes_are_a_position_or_an_error() -> None:
    """Every single flipped bit: what is accepted packs to the same bytes again."""
    good = keisei.Position.from_sfen(RICH)
    refused = 0
    for size, data, read, write in (
        (32, good.to_hcp(), keisei.Position.from_hcp, keisei.Position.to_hcp),
        (
            32,
            good.to_psv(),
            lambda data: keisei.Position.from_psv(data)[0],
            keisei.Position.to_psv,
        ),
    ):
        for bit in range(8 * size):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            try:
                position = read(bytes(damaged))
            except ValueError:
                refused += 1
            else:
                assert write(position)[:32] == damaged[:32] or _same_hands(position, read, write)
    assert refused > 100


def _same_hands(position, read, write) -> bool:
    """Hands may stand in any order in what is read; written, they have one."""
    return read(write(position)) == position


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"score": 32768}, "score: expected -32768 to 32767, got 32768"),
        ({"result": 2}, "result: expected -1, 0 or 1, got 2"),
        ({"move": "7g7e"}, "7g7e"),
    ],
)
def test_facts_that_do_not_fit(change: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        keisei.Position().to_psv(**change)


def test_a_move_that_is_not_legal_is_refused() -> None:
    data = bytearray(keisei.Position().to_psv("7g7f"))
    data[34] ^= 1
    with pytest.raises(ValueError, match="psv: move: expected a legal one"):
        keisei.Position.from_psv(bytes(data))


def test_no_move_number() -> None:
    data = bytearray(keisei.Position().to_psv())
    data[36] = data[37] = 0
    with pytest.raises(ValueError, match="psv: move number: expected 1 to 65535, got 0"):
        keisei.Position.from_psv(bytes(data))
    with pytest.raises(ValueError, match="ply: expected 1 to 1000000, got 0"):
        keisei.Position.from_hcp(keisei.Position().to_hcp(), 0)
