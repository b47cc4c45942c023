"""What is shown, and what of it is kept."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from keisei.config_schema import AppConfig, resolve
from keisei.training.display_manager import DisplayManager

NAMES = (
    "speed.positions_per_second", "speed.games_per_second", "speed.collect_seconds",
    "speed.learn_seconds", "learn.policy_loss", "learn.value_loss", "learn.entropy",
    "learn.approx_kl", "learn.explained_variance", "games.games", "games.mean_plies",
    "games.black_wins", "games.white_wins", "games.draws", "games.truncated",
    "games.ending_no_legal_move", "games.ending_declaration", "games.ending_repetition",
    "games.ending_perpetual_check", "games.ending_move_limit",
)  # fmt: skip


def manager(folder: Path, screen: io.StringIO, terminal: bool) -> DisplayManager:
    config = resolve(AppConfig(), device="cpu", compile_network=False)
    console = Console(file=screen, force_terminal=terminal, width=140)
    return DisplayManager(config, folder / "train.log", console=console)


@pytest.mark.parametrize("terminal", [False, True])
def test_figures_and_messages_are_shown_and_saved(
    terminal: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    screen = io.StringIO()
    shown = manager(tmp_path, screen, terminal)
    log = logging.Logger("alone")
    log.addHandler(shown.rich_log_messages)
    shown.start()
    shown.phase("collecting")
    log.info("a message")
    shown.update(1_000, 2.0, 60.0, dict.fromkeys(NAMES, 4.0))
    shown.finalize_display()
    shown.finalize_display()
    if terminal:
        assert "positions/s" in screen.getvalue() and "0:01:00 left" in screen.getvalue()
    else:
        assert screen.getvalue() == "" and "step 1,000/2,000,000" in caplog.text
    saved = shown.console_file_path
    assert saved.parent == tmp_path
    text = saved.read_text()
    assert "a message" in text and "1,000 / 2,000,000 plies" in text and "black won" in text
    assert "\x1b" not in text, "expected plain text"


def test_it_can_end_before_anything_was_shown(tmp_path: Path) -> None:
    shown = manager(tmp_path, io.StringIO(), terminal=True)
    shown.finalize_display()
    assert "0 / 2,000,000 plies" in shown.console_file_path.read_text()


def test_a_configuration_that_is_not_settled_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="total_timesteps: expected a number, got 'auto'"):
        DisplayManager(AppConfig(), tmp_path / "train.log")
