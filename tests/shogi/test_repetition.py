"""Fourfold repetition and perpetual check against rsshogi, on random games that run in circles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

import keisei

pytest.importorskip("cshogi", reason="cshogi is not installed (extra: test)")
rsshogi_core = pytest.importorskip("rsshogi.core", reason="rsshogi is not installed (extra: test)")
rsshogi_types = pytest.importorskip("rsshogi.types", reason="rsshogi is not installed")

from oracles import loops, text  # noqa: E402  (needs cshogi)

CHUNK = 150
CHUNKS = 16

STATE = rsshogi_types.RepetitionState


def expected_end(state: object, turn: int) -> tuple[str, int | None] | None:
    """What rsshogi's state means for a game, with `turn` to move.

    SUPERIOR and INFERIOR tell a search that the board came back with better or worse hands: no rule
    of the game, and no repetition of the position.
    """
    if state == STATE.DRAW:
        return "repetition", None
    if state == STATE.WIN:
        return "perpetual_check", turn
    if state == STATE.LOSE:
        return "perpetual_check", 1 - turn
    assert state in (STATE.NONE, STATE.SUPERIOR, STATE.INFERIOR)
    return None


def _follow(start: str, game: Iterable[str], ends: Counter[object]) -> None:
    """Plays a game on both sides and compares after each move, until it ends."""
    position = keisei.Position.from_sfen(start)
    board = rsshogi_core.Board(start)
    before: Counter[str] = Counter([position.sfen().rsplit(" ", 1)[0]])
    for usi in game:
        position.push(usi)
        board.push_usi(usi)
        here = position.sfen().rsplit(" ", 1)[0]
        assert position.occurrence == min(before[here], 3), (start, position.moves)
        before[here] += 1

        state = board.repetition_state()
        outcome = position.outcome()
        if outcome is not None and outcome.ending == "no_legal_move":
            ends["no_legal_move"] += 1
            return
        got = None if outcome is None else (outcome.ending, outcome.winner)
        assert got == expected_end(state, position.turn), (start, position.moves)
        if state in (STATE.SUPERIOR, STATE.INFERIOR):
            ends["other hands"] += 1
        if got is not None:
            assert before[here] == 4
            ends[got] += 1
            return


CHECK = "4h5h 5a4a 5h4h 4a5a"
REST = "4h3h 5a6a 3h4h 6a5a"
HALF_REST = "4h3h 5a4a 3h4h 4a5a"
DETOUR = "4h5h 5a6a 5h6h 6a5a 6h5h 5a4a 5h4h 4a5a"
ROOK_AND_KING = "4k4/9/9/9/9/9/9/K4R3/9 b - 1"
QUIET = "2h3h 8b7b 3h2h 7b8b"
STARTPOS = loops.STARTS[-1]

SCRIPTS = {
    "quiet": (STARTPOS, [QUIET] * 5),
    "quiet after other moves": (STARTPOS, ["7g7f 3c3d", *[QUIET] * 4]),
    "interrupted": (STARTPOS, [QUIET, QUIET, "2h3h 8b7b 3h4h 7b6b 4h2h 6b8b", QUIET]),
    "a bishop taken and dropped": (
        STARTPOS,
        ["7g7f 3c3d 8h2b 3a2b B*8h 2b3a 2h3h B*2b 3h2h 8b7b", *["2h3h 7b8b 3h2h 8b7b"] * 3],
    ),
    "checks": (ROOK_AND_KING, [CHECK] * 3),
    "checks, then rest": (ROOK_AND_KING, [CHECK, CHECK, REST]),
    "rest, then checks": (ROOK_AND_KING, [REST, CHECK, CHECK]),
    "checks with a rest between": (ROOK_AND_KING, [CHECK, REST, CHECK]),
    "one quiet move": (ROOK_AND_KING, [HALF_REST, CHECK, CHECK]),
    "checks along a detour": (ROOK_AND_KING, [DETOUR, CHECK, DETOUR, CHECK]),
}


@pytest.mark.parametrize("turned", [False, True], ids=["black", "white"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_scripted_loops(name: str, turned: bool) -> None:
    start, parts = SCRIPTS[name]
    moves = " ".join(parts).split()
    if turned:
        start, moves = text.turn_sfen(start), [text.turn_usi(move) for move in moves]
    ends: Counter[object] = Counter()
    _follow(start, moves, ends)
    assert len(ends) == 1 or "other hands" in ends, ends


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_loops(chunk: int) -> None:
    ends: Counter[object] = Counter()
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        _follow(*loops.play(seed), ends)
    assert ends["repetition", None] > CHUNK // 6, ends
    assert ends["perpetual_check", 0] >= 8, ends
    assert ends["perpetual_check", 1] >= 8, ends
