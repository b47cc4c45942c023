"""No secret of the environment reaches a log."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from keisei.training.message_panel import MessagePanel
from keisei.utils import TrainingLogger
from keisei.utils.masking import mask_secrets, mask_texts

SECRET = "a1b2c3d4e5f6a7b8"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("SERVICE_TOKEN", "run")  # too short to be told from a word
    monkeypatch.setenv("KEYBOARD", "an ordinary value")


def test_values_of_secret_variables_are_masked() -> None:
    assert mask_secrets(f"the key {SECRET}, {SECRET}!") == "the key ***, ***!"
    assert mask_secrets("run with an ordinary value") == "run with an ordinary value"


def test_texts_within_plain_data_are_masked() -> None:
    given = {"a": [f"x{SECRET}", 1.5, None], f"{SECRET}": {"b": (True, SECRET)}}
    assert mask_texts(given) == {"a": ["x***", 1.5, None], "***": {"b": [True, "***"]}}


@pytest.mark.parametrize("terminal", [False, True])
def test_console_file_and_messages_show_the_mask(terminal: bool, tmp_path: Path) -> None:
    screen, panel = io.StringIO(), MessagePanel()
    console = Console(file=screen, force_terminal=terminal, width=200)
    with TrainingLogger(tmp_path / "log", console, extra=[panel]) as logger:
        logger.warning("no access with %s", SECRET)
        try:
            raise RuntimeError(f"refused: {SECRET}")
        except RuntimeError:
            logging.getLogger("keisei.x").exception("it failed")
    for text in (screen.getvalue(), (tmp_path / "log").read_text(), "\n".join(panel)):
        assert SECRET not in text
        assert "no access with ***" in text and "refused: ***" in text
