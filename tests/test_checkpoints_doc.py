"""docs/checkpoints.md says what is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from checkpoint_helpers import write

from keisei import train
from keisei.training.checkpoint import checkpoint_name
from keisei.training.resume import MAY_CHANGE

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "checkpoints.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_what_may_change_is_what_the_table_says() -> None:
    table = TEXT.partition("| section | may change |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [re.findall(r"`(\w+)`", line) for line in table.splitlines()]
    assert {section: tuple(keys) for section, *keys in rows} == MAY_CHANGE


def test_the_commands_are_taken() -> None:
    (commands,) = blocks("sh")
    lines = [shlex.split(line, comments=True) for line in commands.splitlines()]
    assert len(lines) == 4
    for words in lines:
        assert words[:3] == ["python", "-m", "keisei.train"]
        assert train.parse_arguments(words[3:]).resume is not None


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "runs" / "x" / "checkpoints" / checkpoint_name(16), 16)
    monkeypatch.chdir(tmp_path)
    (program,) = blocks("python")
    exec(program, {})
    assert capsys.readouterr().out == f"runs/x/checkpoints/{checkpoint_name(16)} 16 []\n"
