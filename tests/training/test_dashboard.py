"""The screen fits the terminal, whatever its size, and shows what it should."""

from __future__ import annotations

import io
import logging
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from keisei import Position
from keisei.evaluation.ladder import LadderRow
from keisei.evaluation.ratings import Rating
from keisei.training import dashboard as dashboard_module
from keisei.training.blocks import plain
from keisei.training.dashboard import Dashboard
from keisei.training.live_game import LiveGame
from keisei.training.message_panel import MessagePanel

MESSAGES = ["a short one", "対局の棋譜を保存しました " * 9, "a long one that " * 12]
LADDER = [
    LadderRow(1, "one-ply", Rating(540.0, 500.0, 580.0, 400, 0.9)),
    LadderRow(2, "step 40000", Rating(312.4, 280.0, 345.0, 400, 0.6)),
    LadderRow(3, "greedy", Rating(20.0, -10.0, float("inf"), 400, 1.0)),
    LadderRow(4, "random", Rating(0.0, 0.0, 0.0, 800, 0.1)),
]


def figures(number: int) -> dict[str, float]:
    learned = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction",
               "explained_variance", "gradient_norm", "learning_rate")  # fmt: skip
    found = {f"learn.{name}": 0.5 / (i + number) for i, name in enumerate(learned, start=1)}
    counted = ("black_wins", "white_wins", "draws", "truncated", "ending_repetition",
               "ending_declaration", "ending_perpetual_check")  # fmt: skip
    found |= {f"games.{name}": float(i) for i, name in enumerate(counted, start=1)}
    found |= {"games.games": 10.0, "games.mean_plies": 100.0 - number}
    found |= {"speed.positions_per_second": 1.2e6, "speed.games_per_second": 8400.0}
    found |= {"speed.collect_seconds": 0.5, "speed.learn_seconds": 0.25, "resources.memory_gb": 3}
    return found


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def filled(clock: Clock | None = None, *, ladder: bool = True, game: bool = True) -> Dashboard:
    messages = MessagePanel()
    for text in MESSAGES:
        messages.handle(logging.makeLogRecord({"msg": text}))
    shown = Dashboard(
        "a run: 6x128 on cuda:0", 1_000_000, messages,
        clock=clock or Clock(), time_of_day=lambda: "12:34:56",
    )  # fmt: skip
    shown.phase = "learning"
    for number in range(1, 60):
        shown.update(number * 10_000, 2.0 * number, 3600.0, figures(number))
    if ladder:
        shown.ladder(LADDER)
    if game:
        view = LiveGame(Position().sfen(), "7g7f", 0.25, 31, 4)
        shown.game(SimpleNamespace(views=(view,)))  # type: ignore[arg-type]
    return shown


def screen(shown: Dashboard, width: int, height: int, **others: Any) -> list[str]:
    block = shown.block(width, height, **others)
    lines = list(plain(block))
    assert len(lines) == height, f"expected {height} lines, got {len(lines)}"
    assert {cell_len(line) for line in lines} <= {width}
    return lines


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 260), st.integers(1, 90), st.booleans(), st.booleans(), st.booleans())
def test_it_has_exactly_the_size_of_the_terminal(
    width: int, height: int, ascii_only: bool, ladder: bool, game: bool
) -> None:
    lines = screen(filled(ladder=ladder, game=game), width, height, ascii_only=ascii_only)
    if ascii_only:
        assert all(line.isascii() for line in lines if not re.search("[対局]", line)) or width < 30


LEARNED = ("policy", "value", "entropy", "KL", "clipped", "explained", "gradient", "rate")
PLAYED = ("plies", "black", "white", "drawn", "cut off", "repeated", "declared", "perpetual")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 34), (120, 40), (200, 60)])
def test_everything_is_there_from_80x24_on(width: int, height: int) -> None:
    lines = screen(filled(), width, height)
    text = "\n".join(lines)
    assert lines[0].startswith("a run: 6x128 on cuda:0") and lines[0].endswith("learning  12:34:56")
    for part in ("59.0%", "1:00:00 left", "1.2M positions/s", "8.4k games/s"):
        assert part in lines[1]
    for title in ("game 4, ply 31", "learning", "games", "speed", "messages"):
        assert f"── {title} ─" in text, f"no {title}"
    for name in LEARNED + PLAYED:
        # A curve of several lines may begin below the line of its name.
        curve = " *[▁▂▃▄▅▆▇█]" if height < 60 else ""
        assert re.search(rf"(^|\s){name} +\S+{curve}", text, re.M), f"{name}: no value, no curve"
    assert "v香" in text and "7g7f black █████░░░ +0.25" in text
    assert "a long one that a long one" in text
    if width >= 150:
        assert "┌────┬" in text


def test_the_ladder_stands_beside_the_messages() -> None:
    text = "\n".join(screen(filled(), 100, 30))
    order = [text.index(row.name) for row in LADDER]
    assert order == sorted(order)
    for row in ("+540 ±40", "+312 ±32", "greedy                         +20", "random  "):
        assert row in text
    assert "ladder (Elo)" in text and "inf" not in text
    assert "ladder" not in "\n".join(screen(filled(ladder=False), 100, 30))


def test_columns_of_the_board_stand_below_each_other() -> None:
    """Whatever wide characters stand before them on their lines."""
    lines = screen(filled(), 80, 24)
    ranks = zip(lines[5:14], "abcdefghi", strict=True)
    assert {cell_len(line[: line.index(f" {rank} ")]) for line, rank in ranks} == {27}


def test_small_terminals_show_the_most_telling() -> None:
    lines = screen(filled(), 40, 8)
    assert "59.0%" in lines[1] and any("policy" in line for line in lines)
    assert filled().shows_board is False
    shown = filled()
    screen(shown, 40, 10)
    assert not shown.shows_board
    screen(shown, 80, 24)
    assert shown.shows_board


def test_nothing_came_yet() -> None:
    shown = Dashboard("a run", 100, MessagePanel(), clock=Clock(), time_of_day=lambda: "")
    text = "\n".join(screen(shown, 80, 24))
    assert "0.0%" in text and "- left" in text and "no game is watched yet" in text


def test_only_what_has_changed_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    for name in ("group_block", "board_block"):
        real = getattr(dashboard_module, name)

        def note(*given: Any, name: str = name, real: Any = real, **others: Any) -> Any:
            drawn.append(name)
            return real(*given, **others)

        monkeypatch.setattr(dashboard_module, name, note)
    clock = Clock()
    shown = filled(clock)
    shown.block(80, 24)
    assert sorted(drawn) == ["board_block", *["group_block"] * 3]
    drawn.clear()
    shown.phase = "playing"
    shown.block(80, 24)
    assert not drawn
    shown.update(600_000, 9.0, 9.0, figures(60))
    shown.block(80, 24)
    assert not drawn, "curves follow once a second"
    clock.now += 1.0
    shown.block(80, 24)
    assert drawn == ["group_block"] * 3
    drawn.clear()
    shown.update(610_000, 9.0, 9.0, figures(61))
    shown.block(80, 24, fresh=True)
    assert drawn == ["group_block"] * 3
    shown.block(81, 24)
    assert len(drawn) == 6 and "board_block" not in drawn, "the board has its own size"


def test_rich_prints_it_in_the_console_s_size() -> None:
    file = io.StringIO()
    Console(file=file, width=90, height=26, color_system=None).print(filled())
    lines = file.getvalue().splitlines()
    assert len(lines) == 26 and {cell_len(line) for line in lines} == {90}
    assert "\x1b" not in file.getvalue()


def test_a_summary_in_a_few_lines() -> None:
    lines = list(plain(filled().summary(80)))
    assert len(lines) == 12 and all(cell_len(line) == 80 for line in lines)
    assert "59.0%" in lines[1] and any("declared" in line for line in lines)
