"""The last messages of a run."""

from __future__ import annotations

import io
import logging
import re

from rich.console import Console

from keisei.training.message_panel import MessagePanel


def test_it_keeps_the_last_messages_and_says_how_many_went() -> None:
    panel = MessagePanel(limit=2)
    logger = logging.Logger("alone")
    logger.addHandler(panel)
    for number in range(5):
        logger.info("message %d [bold]", number)
    assert len(panel) == 2 and panel.dropped == 3
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d message [34] \[bold\]", line) for line in panel)
    screen = io.StringIO()
    Console(file=screen, width=60).print(panel)
    text = screen.getvalue()
    assert "(3 earlier messages)" in text and "message 4 [bold]" in text
    assert "message 2" not in text
