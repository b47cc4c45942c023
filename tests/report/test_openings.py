"""How games began, counted over the parts of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keisei.evaluation.game_record import START_SFEN
from keisei.report.openings import collect_openings, first_moves_json, tree_html
from keisei.report.run_files import RunFiles


def line(step: int, openings: dict[str, int], others: int = 0) -> dict[str, Any]:
    games = sum(openings.values()) + others
    return {"step": step, "games": games, "starts": {START_SFEN: openings}, "others": others}


RUN = [
    line(10, {"7g7f 3c3d": 3, "2g2f 8c8d": 1}),
    line(20, {"7g7f 8c8d": 2, "5g5f": 2}, others=1),
    line(40, {"2g2f 8c8d 2f2e": 8}),
]


def run_of(lines: list[Any]) -> RunFiles:
    return RunFiles(Path("x"), openings=lines)


def test_counts_by_part_of_the_run() -> None:
    found = collect_openings(run_of(RUN), bins=2)
    assert found is not None
    assert (found.steps, found.games, found.others) == ([20, 40], 16, 1)
    assert found.root.counts == [8, 8]
    first = found.root.replies["7g7f"]
    assert first.counts == [5, 0] and first.replies["3c3d"].counts == [3, 0]
    shares = first_moves_json(found, count=2)
    assert [one["name"] for one in shares["series"]] == ["P2g-2f", "P7g-7f", "others"]
    assert [one["mean"] for one in shares["series"]] == [[0.125, 1.0], [0.625, 0.0], [0.25, 0.0]]


def test_the_tree_shows_shares_of_the_games_that_came_there() -> None:
    found = collect_openings(run_of(RUN), bins=2)
    assert found is not None
    text = str(tree_html(found))
    assert text.index("P2g-2f") < text.index("P7g-7f") < text.index("P5g-5f")
    assert "☖８四歩(83)" in text and 'title="62% of 8"' in text


def test_the_start_that_most_games_had_is_shown() -> None:
    other = "4k4/9/4P4/9/9/9/9/9/4K4 b G 1"
    lines = [{"step": 1, "games": 5, "starts": {other: {"G*5b": 3}, START_SFEN: {"7g7f": 2}}}]
    found = collect_openings(run_of(lines))
    assert found is not None
    assert (found.start, found.games, found.others) == (other, 3, 2)


def test_what_is_no_opening_is_left_out() -> None:
    assert collect_openings(run_of([])) is None
    assert collect_openings(run_of([{"step": 1, "starts": {START_SFEN: {"7g7f": "x"}}}])) is None
    run = run_of([{"step": 1, "starts": {"<b>": {"7g7f": 1}}}])
    assert collect_openings(run) is None and "openings.jsonl" in run.problems[0]
    found = collect_openings(run_of([line(1, {"<b>": 4, "1a1b": 2, "7g7f": 1})]))
    assert found is not None
    assert [node.move for node in found.root.best(_position(), 9)] == ["7g7f"]
    assert "&lt;b&gt;" not in tree_html(found)


def _position() -> Any:
    from keisei import Position

    return Position()
