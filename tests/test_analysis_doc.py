"""What docs/analysis.md shows is what its command prints and writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from engine.driver import run

from keisei.evaluation.analysis import MARKS

PAGE = (Path(__file__).parent.parent / "docs" / "analysis.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_command_prints_and_writes_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = " ".join(PAGE.split())
    game, arguments = re.findall(
        r"`(startpos moves[^`]*2b3c|keisei_play --analyse game\.sfen .*?)`", words
    )
    Path("game.sfen").write_text(game + "\n")
    done = run(*arguments.split()[1:], "--device", "cpu", "--kif", "annotated.kifu")
    assert (done.returncode, done.stderr) == (0, "")
    _, table, comments = BLOCKS
    # A change of the search may change it: then write the page anew, as the search's signature.
    assert done.stdout.rstrip("\n") == table.rstrip("\n")
    assert comments in Path("annotated.kifu").read_text(encoding="utf-8")


def test_the_marks_are_those_of_the_page() -> None:
    for mark in MARKS:
        assert re.search(rf"`{re.escape(mark.sign)}` {mark.name} from {mark.loss:.0%}", PAGE)
        assert f"`{mark.japanese}` " in PAGE
