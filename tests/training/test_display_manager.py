"""What is shown, and what of it is kept."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from run_helpers import PLIES, tiny_config, trainer_of
from tiny_run import figures as figures_of

from keisei import Position
from keisei.config_schema import AppConfig, DisplayConfig, resolve
from keisei.evaluation.ladder import LadderRow
from keisei.evaluation.ratings import Rating
from keisei.training import Trainer
from keisei.training.display_manager import DisplayManager
from keisei.training.live_game import LiveGame
from keisei.training.terminal_screen import ENTER, LEAVE

NAMES = (
    "speed.positions_per_second", "speed.games_per_second", "speed.collect_seconds",
    "speed.learn_seconds", "learn.policy_loss", "learn.value_loss", "learn.entropy",
    "learn.approx_kl", "learn.explained_variance", "games.games", "games.mean_plies",
    "games.black_wins", "games.white_wins", "games.draws", "games.truncated",
    "games.ending_no_legal_move", "games.ending_declaration", "games.ending_repetition",
    "games.ending_perpetual_check", "games.ending_move_limit",
)  # fmt: skip
FIGURES = dict.fromkeys(NAMES, 4.0)


def manager(folder: Path, screen: io.StringIO, **display: Any) -> DisplayManager:
    settings = DisplayConfig(**{"refresh_rate": 60.0} | display)
    config = resolve(AppConfig(display=settings), device="cpu", compile_network=False)
    console = Console(
        file=screen, force_terminal=display.get("enabled") is True, width=140, height=40
    )
    return DisplayManager(config, folder / "train.log", console=console)


class Seen(io.StringIO):
    """Says when something was written."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.is_there = text, threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.text in text:
            self.is_there.set()
        return written


def test_on_a_terminal_a_thread_draws_figures_messages_and_ladder(tmp_path: Path) -> None:
    screen = Seen("7g7f")
    shown = manager(tmp_path, screen, enabled=True)
    log = logging.Logger("alone")
    log.addHandler(shown.rich_log_messages)
    log.info("said before")
    assert not shown.is_drawing and not shown.wants_game
    shown.start()
    assert shown.is_drawing
    shown.phase("collecting")
    log.info("a message")
    shown.update(1_000, 2.0, 60.0, FIGURES)
    shown.ladder([LadderRow(1, "random", Rating(0.0, 0.0, 0.0, 10, 0.5))])
    view = LiveGame(Position().sfen(), "7g7f", 0.25, 31, 4)
    shown.game(SimpleNamespace(views=(view,)))  # type: ignore[arg-type]
    assert screen.is_there.wait(60), "the board was not drawn"
    assert shown.take_processor_seconds() >= 0
    shown.finalize_display()
    shown.finalize_display()
    text = screen.getvalue()
    drawn, after = text.split(LEAVE)
    assert drawn.startswith(ENTER)
    for part in ("positions/s", "0:01:00 left", "ladder (Elo)", "a message", "said before"):
        assert part in drawn
    assert "a message" in after and "said before" not in after, "only what it has not seen"
    assert "learning" in after


@pytest.mark.parametrize("enabled", [False, "terminal"])
def test_elsewhere_a_line_is_logged(
    enabled: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    screen = io.StringIO()
    shown = manager(tmp_path, screen, enabled=enabled)
    shown.start()
    shown.update(1_000, 2.0, 60.0, FIGURES)
    assert not shown.is_drawing and not shown.wants_game
    shown.finalize_display()
    assert screen.getvalue() == "" and "step 1,000/2,000,000" in caplog.text


def test_the_console_is_saved_as_text_and_picture(tmp_path: Path) -> None:
    shown = manager(tmp_path, io.StringIO())
    log = logging.Logger("alone")
    log.addHandler(shown.rich_log_messages)
    log.info("a message")
    shown.update(1_000, 2.0, 60.0, FIGURES)
    assert shown.save_console_output() == tmp_path / "console.txt"
    text = (tmp_path / "console.txt").read_text()
    assert "a message" in text and "0.1%" in text and "declared" in text
    assert "\x1b" not in text, "expected plain text"
    assert (tmp_path / "console.svg").read_text().startswith("<svg")


def test_it_can_end_before_anything_was_shown(tmp_path: Path) -> None:
    shown = manager(tmp_path, io.StringIO(), enabled=True)
    shown.finalize_display()
    assert "0.0%" in shown.console_file_path.read_text()


def test_the_game_is_wanted_once_what_is_shown_of_it_ends(tmp_path: Path) -> None:
    screen = Seen("7g7f")
    shown = manager(tmp_path, screen, enabled=True, moves_per_second=0.001)
    shown.start()
    drawn = threading.Event()
    shown._tell(drawn.set)
    assert drawn.wait(60)
    while not shown._dashboard.shows_board:  # until the first screen is drawn
        pass
    assert shown.wants_game
    view = LiveGame(Position().sfen(), "7g7f", 0.25, 31, 4)
    shown.game(SimpleNamespace(views=(view,) * 9))  # type: ignore[arg-type]
    assert screen.is_there.wait(60)
    assert not shown.wants_game, "nine moves last for hours at this pace"
    shown.stop()
    assert not shown.wants_game


def test_a_fault_in_what_is_shown_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = manager(tmp_path, io.StringIO())

    def fail(*_: object, **__: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(shown._dashboard, "update", fail)
    monkeypatch.setattr(shown._dashboard, "block", fail)
    shown.update(1_000, 2.0, 60.0, FIGURES)
    shown.update(2_000, 2.0, 60.0, FIGURES)
    shown.finalize_display()
    assert caplog.text.count("the display failed") == 1
    assert (tmp_path / "console.txt").exists()


def test_a_configuration_that_is_not_settled_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="total_timesteps: expected a number, got 'auto'"):
        DisplayManager(AppConfig(), tmp_path / "train.log")


class Wanted(DisplayManager):
    """Draws as fast as it can and wants every game."""

    wants_game = True  # type: ignore[assignment]

    def update(self, step: int, seconds: float, left: float, metrics: Mapping[str, float]) -> None:
        assert self.is_drawing, "it stopped drawing"
        super().update(step, seconds, left, metrics)


def test_drawing_changes_no_figure_and_its_time_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = trainer_of(tiny_config(tmp_path / "plain", 6 * PLIES))
    plain.run_training_loop()
    monkeypatch.setattr("keisei.training.trainer.DisplayManager", Wanted)
    display = DisplayConfig(enabled=True, refresh_rate=60.0, game=3)
    config = tiny_config(tmp_path / "drawn", 6 * PLIES, display=display)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=200, height=60)
    drawn = Trainer(config, None, console)
    drawn.run_training_loop()
    ours, theirs = (Path(run.run_artifact_dir) for run in (drawn, plain))
    assert figures_of(ours) == figures_of(theirs)
    lines = (ours / "metrics.jsonl").read_text()
    assert "time.display_seconds" in lines and "time.drawing_seconds" in lines
    assert "time.drawing_seconds" not in (theirs / "metrics.jsonl").read_text()
    assert "game 3, ply" in screen.getvalue()
