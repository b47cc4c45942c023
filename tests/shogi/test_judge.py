"""The verdict on a game's standing, compiled from its header, over a grid of standings.

No position is known in which both sides check each other for ever (a long search found none), so
that rule, and the order of the ends, are also tested on the function that judges.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"

PROGRAM = r"""
#include "shogi/outcome.h"

#include <cstdio>

int main() {
    using namespace keisei::shogi;
    int legal, declare, before, since, mover, opponent, ply, max_plies;
    while (std::scanf("%d %d %d %d %d %d %d %d", &legal, &declare, &before, &since, &mover,
                      &opponent, &ply, &max_plies) == 8) {
        const Verdict verdict = judge({legal != 0, declare != 0, before, since, {mover, opponent},
                                       ply, max_plies});
        std::printf("%d %d\n", static_cast<int>(verdict.ending), verdict.mover_result);
    }
}
"""

NONE, NO_LEGAL_MOVE, DECLARATION, REPETITION, PERPETUAL_CHECK, MOVE_LIMIT = range(6)

Standing = tuple[int, int, int, int, int, int, int, int]


def verdict(standing: Standing) -> tuple[int, int]:
    """The ending and the result of the player to move, by the words of the rules."""
    legal, declare, before, since, mover, opponent, ply, max_plies = standing
    if not legal:
        return NO_LEGAL_MOVE, -1
    if declare:
        return DECLARATION, 1
    if before >= 3:
        # Each side made half of the moves since the first occurrence, all of them checks or not.
        guilty = (mover >= since // 2, opponent >= since // 2)
        if guilty == (True, False):
            return PERPETUAL_CHECK, -1
        if guilty == (False, True):
            return PERPETUAL_CHECK, 1
        return REPETITION, 0
    if max_plies and ply >= max_plies:
        return MOVE_LIMIT, 0
    return NONE, 0


STANDINGS: list[Standing] = [
    (legal, declare, before, since, mover, opponent, ply, max_plies)
    for legal, declare in itertools.product((0, 1), repeat=2)
    for before, since in ((0, 0), (1, 4), (2, 8), (2, 12), (3, 12), (3, 16), (4, 16))
    for mover, opponent in itertools.product((0, 2, 5, 6, 7, 8, 9), repeat=2)
    for ply, max_plies in ((40, 0), (40, 41), (40, 40), (40, 39))
]


def test_judge(tmp_path: Path) -> None:
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    source = tmp_path / "judge.cpp"
    source.write_text(PROGRAM, encoding="utf-8")
    program = tmp_path / "judge"
    command = [compiler, "-std=c++20", f"-I{CSRC}", str(source), "-o", str(program)]
    subprocess.run(command, check=True)
    lines = "\n".join(" ".join(map(str, standing)) for standing in STANDINGS)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    got = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(got) == len(STANDINGS)
    for standing, seen in zip(STANDINGS, got, strict=True):
        assert seen == verdict(standing), standing


def test_both_sides_checking_is_a_draw() -> None:
    assert (1, 0, 3, 12, 6, 6, 40, 0) in STANDINGS
    assert verdict((1, 0, 3, 12, 6, 6, 40, 0)) == (REPETITION, 0)
    assert verdict((1, 0, 3, 12, 6, 5, 40, 0)) == (PERPETUAL_CHECK, -1)
    assert verdict((1, 0, 3, 12, 5, 6, 40, 0)) == (PERPETUAL_CHECK, 1)
