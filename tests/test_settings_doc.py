"""The settings in docs/training.md are those that keisei takes; its errors are real ones."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from keisei import train
from keisei.config_schema import ConfigError, load_config

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "training.md").read_text()
REFUSED = TEXT.partition("### What is refused")[2].partition("\n### ")[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


COMMANDS = [
    line.partition("#")[0].strip()
    for block in blocks(TEXT, "sh")
    for line in block.splitlines()
    if "keisei.train" in line
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_taken(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    for word in words:
        if re.match(r"KEISEI_\w+=", word):
            monkeypatch.setenv(*word.split("=", 1))
    train.parse_arguments(words[words.index("keisei.train") + 1 :])


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 4


def test_the_errors_are_those_that_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (text,) = blocks(REFUSED, "yaml")
    shown = [block.strip() for block in blocks(REFUSED, "text")]
    assert len(shown) == 3
    cures = [("batch_sice", "batch_size"), ("gamma: 2", "gamma: 1")]
    for number, message in enumerate(shown):
        Path("mine.yaml").write_text(text)
        with pytest.raises(ConfigError) as caught:
            load_config("mine.yaml", environment={})
        if message.endswith("..."):
            assert str(caught.value).startswith(message.removesuffix("..."))
        else:
            assert str(caught.value) == message
        if number < len(cures):
            text = text.replace(*cures[number])


def test_every_recipe_is_named() -> None:
    for path in (ROOT / "configs").glob("*.yaml"):
        assert f"| `{path.name}` |" in TEXT, f"docs/training.md does not name {path.name}"
