"""Declaration by the 27-point rule against cshogi and nshogi, on positions made for it.

rsshogi's Python binding has no rule set and no way to set one (`evaluate_declaration()` says
NO_RULE, `can_declare_win()` is always False), so nshogi is the second program here.
"""

from __future__ import annotations

from collections import Counter

import pytest

import keisei

cshogi = pytest.importorskip("cshogi", reason="cshogi is not installed (extra: test)")

from oracles import entering  # noqa: E402  (needs cshogi)

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
