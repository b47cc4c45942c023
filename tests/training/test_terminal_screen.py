"""The thread that draws: it writes what has changed, and what it raises stays its own."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable

import pytest
from rich.console import Console

from keisei.training.blocks import Block, text_line
from keisei.training.terminal_screen import ENTER, LEAVE, TerminalScreen, give_back_at_once


def console(file: io.StringIO) -> Console:
    return Console(file=file, width=20, height=4, force_terminal=True, color_system=None)


class Drawn:
    """Draws numbered screens, and says when so many were drawn."""

    def __init__(self, least: int, fail_at: int = -1) -> None:
        self.count = 0
        self.least, self.fail_at = least, fail_at
        self.enough = threading.Event()

    def __call__(self, width: int, height: int) -> Block:
        self.count += 1
        if self.count >= self.least:
            self.enough.set()
        if self.count == self.fail_at:
            raise ZeroDivisionError("no such figure")
        lines = [text_line("stays", width) for _ in range(height - 1)]
        return [*lines, text_line(f"screen {self.count}", width)]


def test_only_lines_that_change_are_written() -> None:
    file, drawn = io.StringIO(), Drawn(least=4)
    screen = TerminalScreen(console(file), drawn, 1000.0, lambda _: None)
    screen.start()
    screen.start()
    assert drawn.enough.wait(60) and screen.active
    screen.stop()
    screen.stop()
    text = file.getvalue()
    assert text.startswith(ENTER) and text.endswith(LEAVE) and text.count(LEAVE) == 1
    assert text.count("stays") == 3, "lines that are as they were are not written again"
    assert "\x1b[4;1Hscreen 2" in text and not screen.active
    assert screen.processor_seconds > 0


def test_what_drawing_raises_is_logged_once_and_the_terminal_given_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    file, drawn = io.StringIO(), Drawn(least=2, fail_at=2)
    screen = TerminalScreen(console(file), drawn, 1000.0, lambda _: None)
    screen.start()
    thread = screen._thread
    assert thread is not None
    thread.join(60)
    assert not screen.active
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "the display is off: no such figure"
    screen.stop()
    assert file.getvalue().count(LEAVE) == 1 and drawn.count == 2


def test_a_terminal_that_is_gone_is_nobody_s_failure(caplog: pytest.LogCaptureFixture) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            if text != ENTER:
                raise OSError("input/output error")
            return 0

    screen = TerminalScreen(console(Gone()), Drawn(least=1), 1000.0, lambda _: None)
    screen.start()
    thread = screen._thread
    assert thread is not None
    thread.join(60)
    screen.stop()
    assert [r.getMessage() for r in caplog.records] == ["the display is off: input/output error"]


def test_what_others_print_becomes_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = io.StringIO()
    monkeypatch.setattr(sys, "stdout", ours)
    noted: list[str] = []
    drawn = Drawn(least=1)
    screen = TerminalScreen(console(io.StringIO()), drawn, 1000.0, noted.append)
    screen.start()
    for text in ("a line\n", "another, ", "in two parts\n\nand a rest"):
        sys.stdout.write(text)
    screen.stop()
    assert noted == ["a line", "another, in two parts", "and a rest"]
    sys.stdout.write("afterwards\n")
    assert sys.stdout is ours and ours.getvalue() == "afterwards\n"


def on_pseudo_terminal(use: Callable[[TerminalScreen], None]) -> str:
    """What a screen on a pseudo-terminal has written once it was used."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as file:
        shown = Console(file=file, width=20, height=4, color_system=None)
        drawn = Drawn(least=1)
        screen = TerminalScreen(shown, drawn, 1000.0, lambda _: None)
        screen.start()
        assert drawn.enough.wait(60)
        use(screen)
        text = b""
        while LEAVE.encode() not in text:  # a drawing that was under way may still follow it
            text += os.read(ours, 65536)
        screen.stop()
    os.close(ours)
    return text.decode()


def test_a_process_that_ends_at_once_gives_the_terminal_back() -> None:
    def end(screen: TerminalScreen) -> None:
        give_back_at_once()
        assert not screen.active, "what is logged now must reach the terminal"

    assert LEAVE in on_pseudo_terminal(end)
    give_back_at_once()  # nobody has it
