"""Opening books in YaneuraOu's form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from engine.driver import Engine, fields, score_line

Start = Callable[..., Engine]

HEADER = "#YANEURAOU-DB2016 1.00\n"
START = "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b -"
AFTER = "lnsgkgsnl/1r5b1/ppppppppp/9/9/2P6/PP1PPPPPP/1B5R1/LNSGKGSNL w -"
BOOK = f"""{HEADER}# a comment
sfen {START} 1
9g9f none -80 32 1
2g2f 8c8d 60 32 10
// another one
7g7f 3c3d 50 32 12
5a5b none 900 32 1
2g2f 3c3d 999 32 1
resign none 999 32 1

sfen {AFTER} 2
3c3d
sfen {START} 999
1g1f none 5000 1 1
"""


def with_book(start: Start, path: Path, text: str | bytes) -> Engine:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    engine = start("--model", "uniform")
    assert engine.ask(f"setoption name BookFile value {path}") == []
    assert engine.ask("setoption name NodesLimit value 2") == []
    return engine


def test_book_moves(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "my book.db"
    engine = with_book(start, path, BOOK)
    assert engine.ready() == [f"info string BookFile {path}: 2 positions", "readyok"]
    assert engine.ready() == ["readyok"]  # read once
    seen = set()
    for seed in range(20):
        answer = engine.think(f"setoption name Seed value {seed}", "position startpos", "go")
        shown = fields(score_line(answer), ["depth", "score", "pv"])
        seen.add((answer[-1], shown["depth"], shown["score"], shown["pv"]))
    # The best of the legal ones, and what is at most 30 centipawns worse; each with its reply.
    assert seen == {
        ("bestmove 2g2f ponder 8c8d", "32", "cp 60", "2g2f 8c8d"),
        ("bestmove 7g7f ponder 3c3d", "32", "cp 50", "7g7f 3c3d"),
    }
    engine.ask("setoption name BookEvalDiff value 9")
    assert {
        engine.best(f"setoption name Seed value {seed}", "position startpos", "go")
        for seed in range(20)
    } == {"2g2f"}
    # A move and nothing else; the move number does not count, but for BookMoves.
    assert engine.think("position startpos moves 7g7f", "go")[-1] == "bestmove 3c3d"
    assert engine.think(f"position sfen {AFTER} 16", "go")[-1] == "bestmove 3c3d"
    engine.quit()


@pytest.mark.parametrize(
    "lines",
    [
        ("setoption name USI_OwnBook value false",),
        ("setoption name OwnBook value false",),
        ("setoption name BookMoves value 0",),
        ("setoption name BookFile value <empty>", "isready"),
        ("setoption name BookFile value", "isready"),
        ("setoption name BookFile value no_book", "isready"),
    ],
)
def test_without_the_book(start: Start, tmp_path: Path, lines: tuple[str, ...]) -> None:
    engine = with_book(start, tmp_path / "book.db", BOOK)
    engine.ready()
    engine.ask(*lines)
    answer = engine.think("position startpos", "go")
    assert "nodes 2 " in score_line(answer)
    engine.quit()


def test_the_book_is_not_asked(start: Start, tmp_path: Path) -> None:
    """Not by an analysis, not where moves are prescribed, not in a position it does not know."""
    engine = with_book(start, tmp_path / "book.db", BOOK)
    engine.ready()
    engine.send("position startpos", "go infinite")
    engine.until("info depth ")
    assert "nodes 2 " in score_line(engine.think("stop"))
    assert engine.best("go searchmoves 9g9f") == "9g9f"
    assert "nodes 2 " in score_line(engine.think("position startpos moves 2g2f", "go"))
    engine.quit()


def test_a_book_of_windows(start: Start, tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf" + BOOK.replace("\n", "\r\n").encode()
    engine = with_book(start, tmp_path / "book.db", text)
    assert engine.ready()[0].endswith(": 2 positions")
    assert engine.best("position startpos", "go") in {"2g2f", "7g7f"}
    engine.quit()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: expected #YANEURAOU-DB2016, got ''"),
        ("hello\n", "line 1: expected #YANEURAOU-DB2016, got 'hello'"),
        (f"{HEADER}7g7f none 0 0 0\n", "line 2: expected sfen, got '7g7f none 0 0 0'"),
        (f"{HEADER}sfen nonsense\n7g7f\n", "line 2: sfen"),
        (f"{HEADER}sfen {START} 1\nmove none\nx y z\n", "line 4: expected a move, its reply"),
        (f"{HEADER}sfen {START} 1\n7g7f none 0 0 0 0 0\n", "line 3: expected a move, its reply"),
        (b"#YANEURAOU-DB2016 1.00\nsfen \xff\xfe\x00\n", "line 2: sfen"),
    ],
)
def test_malformed_books(start: Start, tmp_path: Path, text: str | bytes, expected: str) -> None:
    """Said, and the engine plays on without a book."""
    path = tmp_path / "book.db"
    engine = with_book(start, path, text)
    complaint, ready = engine.ready()
    assert complaint.startswith(f"info string Error! BookFile {path}: {expected}"), complaint
    assert complaint.endswith("; it plays without a book") and ready == "readyok"
    assert "nodes 2 " in score_line(engine.think("position startpos", "go"))
    # Mended, it is read by the next isready.
    path.write_text(BOOK)
    assert engine.ready()[0].endswith(": 2 positions")
    engine.quit()


def test_files_that_are_no_book(start: Start, tmp_path: Path) -> None:
    engine = start("--model", "uniform")
    for path in (tmp_path, tmp_path / "nothing.db", Path("/dev/zero")):
        engine.ask(f"setoption name BookFile value {path}")
        complaint, ready = engine.ready()
        assert "expected a file, found none of this name" in complaint and ready == "readyok"
    engine.quit()
