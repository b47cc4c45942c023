"""``keisei.perft``, ``keisei.divide`` and the command ``keisei-perft``."""

from __future__ import annotations

import pytest
from batch_helpers import DEVICES

import keisei
from keisei._perft import main

MATE = "4k4/4G4/4G4/9/9/9/9/9/4K4 w - 1"  # no legal move


@pytest.mark.parametrize("device", DEVICES)
def test_counts(device: str) -> None:
    start = keisei.Position().sfen()
    assert [keisei.perft("startpos", depth, device) for depth in range(4)] == [1, 30, 900, 25470]
    assert keisei.perft(start, 3, device) == 25470
    assert keisei.perft(MATE, 0, device) == 1
    assert keisei.perft(MATE, 2, device) == 0


@pytest.mark.gpu
def test_deep_counts_take_one_first_move_at_a_time() -> None:
    assert keisei.perft("4k4/9/9/9/9/9/9/9/4K4 b - 1", 8, "cuda") == keisei.perft(
        "4k4/9/9/9/9/9/9/9/4K4 b - 1", 8
    )


@pytest.mark.parametrize("device", DEVICES)
def test_divide(device: str) -> None:
    moves = keisei.divide("startpos", 3, device)
    assert list(moves) == keisei.Position().legal_moves()
    assert sum(moves.values()) == 25470
    position = keisei.Position()
    position.push("7g7f")
    assert moves["7g7f"] == position.perft(2)
    assert keisei.divide(MATE, 3, device) == {}


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="depth: expected 0 or more, got -1"):
        keisei.perft("startpos", -1)
    with pytest.raises(ValueError, match="depth: expected 1 or more, got 0"):
        keisei.divide("startpos", 0)
    with pytest.raises(ValueError, match="device: expected cpu or cuda, got meta"):
        keisei.perft("startpos", 1, "meta")
    with pytest.raises(ValueError, match="sfen"):
        keisei.perft("startpo", 1)


def test_the_command(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    assert main(["startpos", "2"]) == 0
    assert capsys.readouterr().out.startswith("nodes 900, ")
    assert main(["startpos", "2", "--divide"]) == 0
    *moves, last = capsys.readouterr().out.splitlines()
    assert moves == [f"{move}: 30" for move in keisei.Position().legal_moves()]
    assert last.startswith("nodes 900, ")
    assert main(["4k4", "2"]) == 2
    assert caplog.messages[-1].startswith("keisei-perft: sfen")
