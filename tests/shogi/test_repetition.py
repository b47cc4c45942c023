"""Fourfold repetition and perpetual check against rsshogi, on random games that run in circles."""

from __future__ import annotations

from collections import Counter

import pytest

import keisei

pytest.importorskip("cshogi", reason="cshogi is not installed (extra: test)")
rsshogi_core = pytest.importorskip("rsshogi.core", reason="rsshogi is not installed (extra: test)")
rsshogi_types = pytest.importorskip("rsshogi.types", reason="rsshogi is not installed")

from oracles import loops  # noqa: E402  (needs cshogi)

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


def _game(seed: int, ends: Counter[object]) -> None:
    start, game = loops.play(seed)
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


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_loops(chunk: int) -> None:
    ends: Counter[object] = Counter()
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        _game(seed, ends)
    assert ends["repetition", None] > CHUNK // 6, ends
    assert ends["perpetual_check", 0] >= 8, ends
    assert ends["perpetual_check", 1] >= 8, ends
