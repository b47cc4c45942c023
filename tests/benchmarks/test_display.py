"""The screen's cost: pairs of blocks, and a screen that was really there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import display
from benchmarks.display_worker import Block
from benchmarks.measure import Settings, WrongResultError

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
    assert on.note.startswith("costs +1.99% ± 1.6") and "(4 pairs)" in on.note
    assert "0.098% of the training thread's time, 0.49% of a processor" in on.note


def test_a_screen_that_was_not_drawn_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(plan: display.Plan, width: int, height: int) -> str:
        Path(plan.into).write_text(json.dumps({"blocks": [], "picture": ""}))
        return "\x1b[?1049h policy positions/s"

    monkeypatch.setattr(display, "_run", run)
    with pytest.raises(WrongResultError, match="expected '歩' on the terminal"):
        list(display.display(SMALL))


@pytest.mark.slow
def test_it_runs_and_gives_rows() -> None:
    off, on = display.display(SMALL)
    assert off.rate > 0 and on.rate > 0 and "costs" in on.note
