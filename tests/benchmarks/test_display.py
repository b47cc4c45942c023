"""The screen's cost: pairs of blocks, and a screen that was really there."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from benchmarks import display
from benchmarks.__main__ import parse
from benchmarks.display_worker import Block
from benchmarks.measure import Settings, WrongResultError
from keisei.training.terminal_screen import ENTER, LEAVE

SMALL = Settings(torch.device("cpu"), small=True)


def blocks(*costs: float) -> list[Block]:
    """Pairs of ten iterations, of which those that draw take more by these shares."""
    return [
        Block(drawn, 10, 2.0 * (1 + cost) if drawn else 2.0, 0.002 * drawn, 0.01 * drawn)
        for cost in costs
        for drawn in (False, True)
    ]


def test_the_cost_is_that_of_pairs() -> None:
    off, on = display._rows(blocks(0.02, 0.0, 0.04, 0.02), "a job", "80x24")
    assert (off.rate, off.what) == (pytest.approx(5.0), "a job, screen off")
    assert on.seconds == pytest.approx(0.204) and on.what == "a job, screen on"
    assert on.note.startswith("costs +2.00% [+0.00, +4.00] (4 pairs, +0.00% to +4.00%); ")
    assert "0.098% of the training thread's time, 0.49% of a processor" in on.note


def pretend(monkeypatch: pytest.MonkeyPatch, screens: list[str], pairs: int) -> None:
    """A worker that says so many pairs at the first size, and writes these screens."""

    def run(plan: display.Plan, heard: Callable[[dict[str, Any]], None]) -> str:
        for _ in range(pairs):
            found = [dataclasses.asdict(block) for block in blocks(0.01)]
            heard({"size": list(plan.sizes[0]), "blocks": found})
        return "starting" + "".join(f"{ENTER}{screen}{LEAVE}" for screen in screens)

    monkeypatch.setattr(display, "_run", run)


WHOLE = "policy 歩 positions/s"


def test_each_pair_is_told_as_it_comes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, ["when it began", WHOLE], 2)
    assert len(list(display.display(SMALL))) == 2
    told = [line.partition(" s: ")[2] for line in capsys.readouterr().err.splitlines()]
    assert told == [f"200x60: pair {number} of 2: +1.00%" for number in (1, 2)]


@pytest.mark.parametrize(
    ("screens", "pairs", "missing"),
    [
        ([WHOLE, "policy positions/s"], 2, "200x60: expected '歩' on the terminal"),
        ([], 2, "200x60: expected 'policy' on the terminal"),
        ([WHOLE], 1, "200x60: expected 2 pairs or more, got 1"),
    ],
)
def test_what_was_not_drawn_or_not_timed_has_no_row(
    screens: list[str], pairs: int, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, screens, pairs)
    with pytest.raises(WrongResultError, match=re.escape(missing)):
        list(display.display(SMALL))


def test_it_takes_as_many_pairs_as_are_asked_for() -> None:
    assert parse(["display", "--pairs", "3", "--seconds", "0.5"]).pairs == 3
    settings = dataclasses.replace(SMALL, pairs=3, seconds=0.0)
    off, on = display.display(settings)
    assert off.rate > 0 and on.rate > 0 and "(3 pairs, " in on.note


def test_when_the_time_is_over_two_pairs_are_enough(capsys: pytest.CaptureFixture[str]) -> None:
    _, on = display.display(dataclasses.replace(SMALL, pairs=5, limit=0.0))
    assert "(2 pairs, " in on.note
    assert "200x60: no more pairs, the time is over" in capsys.readouterr().err


@pytest.mark.slow
def test_each_size_has_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "_SIZES", ((160, 48), (80, 24)))
    settings = Settings(torch.device("cpu"), pairs=2, seconds=0.0)
    rows = list(display.display(settings))
    assert [row.size for row in rows] == ["160x48"] * 2 + ["80x24"] * 2
