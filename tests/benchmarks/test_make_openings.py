"""Openings are made, added to, and checked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from peers.table import PEERS

from benchmarks import make_openings
from keisei.evaluation.openings import load_openings


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["make_openings", *words])
    make_openings.main()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> str:
    """Fairy-Stockfish, which is asked for much less than usual."""
    (peer,) = (peer for peer in PEERS if peer.name == "Fairy-Stockfish")
    if peer.why_absent is not None:
        pytest.skip(peer.why_absent)
    for name, value in (("MOVE", 200), ("GLANCE", 300), ("JUDGE", 1000)):
        monkeypatch.setattr(make_openings, f"{name}_NODES", value)
    monkeypatch.setattr(make_openings, "BALANCED", 300)
    monkeypatch.setattr(make_openings, "PLIES", range(6, 8))
    return peer.settings().command


def test_made_added_to_and_checked(
    engine: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "openings.sfen"
    given = ("--engine", engine)
    run(monkeypatch, str(path), *given, "--count", "1")
    (first,) = path.read_text().splitlines()
    run(monkeypatch, str(path), *given, "--count", "3", "--seed", "2")
    lines = path.read_text().splitlines()
    assert len(lines) == 3 and lines[0] == first
    assert {len(opening.moves) for opening in load_openings(path)} <= {6, 7}

    with pytest.raises(SystemExit, match="0"):
        run(monkeypatch, str(path), *given, "--check")
    path.write_text("\n".join(["# a bishop ahead, and one line twice", *lines, first, LOST]))
    capsys.readouterr()
    with pytest.raises(SystemExit, match="1"):
        run(monkeypatch, str(path), *given, "--check")
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("line 5: the position of line 2, or its mirror image")
    assert said[1].endswith("line 6: not balanced") and said[2].endswith(
        ": 2 lines are not as they should be"
    )


LOST = "startpos moves 9g9f 3c3d 1g1f 2b7g+ 8i7g"


def test_a_position_and_its_mirror_image() -> None:
    one, other = (
        make_openings._keys(make_openings.Position.from_sfen(f"{board} b Rp 1"))
        for board in ("3+b1k3/9/9/9/9/9/9/2S6/4K4", "3k1+b3/9/9/9/9/9/9/6S2/4K4")
    )
    assert one == other and len(one) == 2
