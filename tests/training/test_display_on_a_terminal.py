"""The command on a terminal: what a person sees, and what stays when it ends."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from terminal import Emulator, Terminal

SMALL = (
    "--training.rollout-length=4", "--training.batch-size=16", "--env.num-games=8",
    "--env.max-plies=20", "--model.tower-depth=1", "--model.tower-width=8",
    "--training.device=cpu", "--logging.run-name=run", "--display.moves-per-second=20",
)  # fmt: skip


@pytest.fixture
def terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    options = [*SMALL, f"--training.total-timesteps={request.param}"]
    shown = Terminal([sys.executable, "-m", "keisei.train", *options], tmp_path)
    yield shown
    shown.close()


def is_drawn(shows: Emulator) -> bool:
    """Whether every line is there and the board shows a move and a value."""
    lines = shows.screen()
    return (
        shows.is_other
        and {cell_len(line) for line in lines} == {shows.width}
        and any(re.search(r"black [█░]{8} [+-]\d", line) for line in lines)
        and any(re.search(r"policy +[+-]0\.\d+ .*[▁▂▃▄▅▆▇█]", line) for line in lines)
    )


def check_given_back(terminal: Terminal) -> None:
    shows = terminal.shows
    assert not shows.is_other and shows.cursor_is_shown, "the terminal was not given back"
    assert terminal.settings == terminal.before


@pytest.mark.parametrize("terminal", [10**9], indirect=True)
def test_it_is_watched_resized_and_stopped_by_ctrl_c(terminal: Terminal, tmp_path: Path) -> None:
    terminal.wait_for("a screen", is_drawn)
    shows = terminal.shows
    assert not shows.cursor_is_shown
    lines = shows.screen()
    assert len(lines) == 24 and lines[0].startswith("run: 1x8 on cpu")
    messages = lines[next(i for i, line in enumerate(lines) if line.startswith("── messages ")) :]
    assert any(re.match(r"\d\d:\d\d:\d\d \w", line) for line in messages), "no message is shown"
    terminal.resize(170, 50)
    terminal.wait_for("a larger screen", lambda s: is_drawn(s) and "┌────┬" in "".join(s.screen()))
    terminal.resize(80, 20)
    terminal.wait_for("a smaller screen", is_drawn)
    terminal.type(b"\x03")
    assert terminal.wait() == 0
    check_given_back(terminal)
    text = shows.text()
    assert "SIGINT: this iteration is finished and saved" in text
    assert "training has stopped" in text and "--resume runs/run" in text
    assert "── learning ─" in text, "the last figures stay on the usual screen"
    saved = (tmp_path / "runs" / "run" / "console.txt").read_text()
    assert "training has stopped" in saved and "┌────┬" in saved and "\x1b" not in saved
    picture = (tmp_path / "runs" / "run" / "console.svg").read_text()
    assert (
        picture.startswith("<svg") and "歩" in picture and "http" not in picture.partition(">")[2]
    )


@pytest.mark.parametrize("terminal", [10**9], indirect=True)
def test_sigterm_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.wait_for("a screen", is_drawn)
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.wait() == 0
    check_given_back(terminal)
    assert "SIGTERM: this iteration is finished and saved" in terminal.shows.text()
