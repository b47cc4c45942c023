"""Declaration by the 27-point rule against cshogi and nshogi, on positions made for it; and by the
24-point rule.

rsshogi's Python binding has no rule set and no way to set one (`evaluate_declaration()` says
NO_RULE, `can_declare_win()` is always False), so nshogi is the second program here.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import keisei

cshogi = pytest.importorskip("cshogi", reason="cshogi is not installed (extra: test)")

from oracles import entering  # noqa: E402  (needs cshogi)

CSRC = Path(__file__).parents[2] / "csrc"
CHUNK = 2_000
CHUNKS = 10
SEED = 27


def _failures(found: entering.Conditions) -> tuple[str, ...]:
    return tuple(
        name
        for name, failed in (
            ("zone", not found.in_zone),
            ("pieces", found.pieces < 10),
            ("points", found.points < found.required),
            ("check", found.in_check),
        )
        if failed
    )


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_20_000_entering_king_positions(chunk: int) -> None:
    failures: Counter[tuple[str, ...]] = Counter()
    edges: Counter[str] = Counter()
    for sfen in entering.entering_king_positions(SEED + chunk, CHUNK):
        position = keisei.Position.from_sfen(sfen)
        declares = position.can_declare
        assert declares == bool(cshogi.Board(sfen).is_nyugyoku()), sfen
        found = entering.conditions(sfen)
        assert declares == found.met, (sfen, found)
        # No legal move would come first; no such position is among these.
        outcome = position.outcome()
        if declares:
            assert outcome is not None
            assert (outcome.ending, outcome.winner) == ("declaration", position.turn), sfen
        else:
            assert outcome is None or outcome.ending == "no_legal_move", sfen

        failed = _failures(found)
        failures[failed] += 1
        colour = "black" if position.turn == 0 else "white"
        if failed in ((), ("points",)):
            edges[f"{colour} {found.points - found.required:+d} points"] += 1
        if failed in ((), ("pieces",)):
            edges[f"{found.pieces} pieces"] += 1
    # A good share lies on each side of every condition, and right at the edges.
    assert failures[()] > CHUNK // 5
    for name in ("zone", "pieces", "points", "check"):
        assert failures[(name,)] > CHUNK // 20, (name, failures)
    for edge in (
        "black +0 points",
        "black -1 points",
        "white +0 points",
        "white -1 points",
        "10 pieces",
        "9 pieces",
    ):
        assert edges[edge] > CHUNK // 25, (edge, edges)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_20_000_entering_king_positions_and_nshogi(chunk: int) -> None:
    nshogi = pytest.importorskip("nshogi", reason="nshogi is not installed (extra: test)")
    for sfen in entering.entering_king_positions(SEED + chunk, CHUNK):
        state = nshogi.io.sfen.make_state_from_sfen(sfen)
        assert keisei.Position.from_sfen(sfen).can_declare == state.can_declare(), sfen


PROGRAM = r"""
#include <iostream>
#include <string>

#include "notation/sfen.h"
#include "shogi/declaration.h"

int main() {
    using keisei::shogi::DeclarationRule;
    for (std::string sfen; std::getline(std::cin, sfen);) {
        const auto position = keisei::notation::parse_sfen(sfen, nullptr);
        for (const auto rule :
             {DeclarationRule::none, DeclarationRule::points24, DeclarationRule::points27}) {
            std::cout << keisei::shogi::can_declare(position, rule);
        }
        std::cout << '\n';
    }
}
"""


def test_the_24_point_rule(tmp_path: Path) -> None:
    """31 points win for either side. No program on the registries knows this rule, so its
    conditions are counted from the SFEN."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    source, program = tmp_path / "declare.cpp", tmp_path / "declare"
    source.write_text(PROGRAM, encoding="utf-8")
    sfen_source = CSRC / "notation" / "sfen.cpp"
    command = [compiler, "-std=c++20", f"-I{CSRC}", source, sfen_source, "-o", program]
    subprocess.run(command, check=True)
    sfens = list(entering.entering_king_positions(SEED, CHUNK, 31, 31))
    done = subprocess.run(
        [program], input="\n".join(sfens), capture_output=True, text=True, check=True
    )
    edges: Counter[str] = Counter()
    for sfen, got in zip(sfens, done.stdout.split(), strict=True):
        found = entering.conditions(sfen)
        others = found.in_zone and found.pieces >= 10 and not found.in_check
        assert got == f"0{int(others and found.points >= 31)}{int(found.met)}", (sfen, found)
        if others:
            edges[f"{sfen.split()[1]} {found.points}"] += 1
    assert all(edges[f"{side} {points}"] > CHUNK // 25 for side in "bw" for points in (30, 31)), (
        edges
    )
