"""What a match came to, as text for a terminal of any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from keisei.evaluation.match import MatchResult, match_result
from keisei.evaluation.match_tables import Pairing, show_pairings

LONG = "runs/eight-minutes-and-a-bit"
ENGINE = "usi:/opt/engines/somewhere/else/an-engine-with-a-name;Threads=1;go=nodes 1000000"


def result() -> MatchResult:
    results = [1, 1, 1, 0, 1, -1] * 40
    endings = ["no_legal_move" if one else "repetition" for one in results]
    return match_result(results, endings, [90] * len(results))


def shown(width: int, *pairings: Pairing) -> list[str]:
    out = io.StringIO()
    show_pairings(Console(file=out, width=width), pairings, 400)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_wide_terminal_has_a_line_for_each_pairing() -> None:
    lines = shown(160, Pairing("greedy", "random", result()))
    (row,) = [line for line in lines if "greedy" in line and "%" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[:4] == ["greedy", "random", "240", "+160 =40 -40"]
    assert cells[4].startswith("75.0% [") and len(cells) == 8
    (heading,) = [line for line in lines if "won =drawn lost" in line]
    assert heading.split()[-4:] == ["black", "┃", "white", "┃"]


@pytest.mark.parametrize("second", ["random", ENGINE])
def test_a_narrow_one_cuts_nothing_off(second: str) -> None:
    pairings = Pairing(LONG, "random", result()), Pairing(LONG, second, result(), complete=False)
    lines = shown(80, *pairings)
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert "…" not in text
    # Where a name is longer than a line, it goes on in the next.
    assert f"{LONG} against {second}, 240 of 400 games".replace(" ", "") in text.replace(" ", "")
    assert f"{LONG} against random, 240 games" in lines
    start = lines.index(f"{LONG} against random, 240 games") + 1
    assert [line.split()[:4] for line in lines[start : start + 3]] == [
        ["all", "+160", "=40", "-40"],
        ["as", "black", "+120", "=0"],
        ["as", "white", "+40", "=40"],
    ]
    assert " Elo +" in lines[start] and " Elo " not in lines[start + 1]
    assert (
        lines[start + 3] == "  no_legal_move +160 =0 -40, repetition +0 =40 -0; 90.0 plies a game"
    )


def test_the_width_that_is_there_decides() -> None:
    pairing = Pairing("greedy_capture", "random", result())
    wide = shown(160, pairing)
    needed = max(map(len, wide))
    assert needed > 100
    assert shown(needed, pairing)[1:] == wide[1:]  # but for the title, which is centred
    assert "greedy_capture against random, 240 games" in shown(needed - 1, pairing)
