"""Legal moves, check and made moves against cshogi and rsshogi, over random games."""

from __future__ import annotations

import pytest

import keisei

cshogi = pytest.importorskip("cshogi", reason="cshogi is not installed (extra: test)")
rsshogi_core = pytest.importorskip("rsshogi.core", reason="rsshogi is not installed (extra: test)")

from oracles import games, text  # noqa: E402  (needs cshogi)

ORDINARY_CHUNK = 2_500
ORDINARY_CHUNKS = 20
SLOW_CHUNK = 25_000
SLOW_CHUNKS = 40
SEEDS_APART = 1_000
SLOW_SEED = 1_000_000


def _compare_games(seed: int, count: int) -> None:
    """Plays games until `count` positions are compared: at each, everything that can be asked."""
    compared = in_check = 0
    while compared < count:
        start, game = games.play(seed)
        seed += 1
        position = keisei.Position.from_sfen(start)
        rs_board = rsshogi_core.Board(start)
        for cs_board, usi in game:
            sfen = cs_board.sfen()
            assert position.sfen() == sfen
            moves = position.legal_moves()
            assert len(set(moves)) == len(moves), sfen
            expected = {cshogi.move_to_usi(move) for move in cs_board.legal_moves}
            assert {move.to_usi() for move in rs_board.legal_moves()} == expected, sfen
            assert set(moves) == expected, sfen
            check = position.in_check
            assert (check, check) == (cs_board.is_check(), rs_board.is_in_check()), sfen
            in_check += check
            compared += 1
            position.push(usi)
            rs_board.push_usi(usi)
    # The games must reach what they are meant for.
    assert in_check > count // 50


@pytest.mark.parametrize("chunk", range(ORDINARY_CHUNKS))
def test_50_000_positions(chunk: int) -> None:
    _compare_games(chunk * SEEDS_APART, ORDINARY_CHUNK)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(SLOW_CHUNKS))
def test_1_000_000_positions(chunk: int) -> None:
    _compare_games(SLOW_SEED + chunk * SEEDS_APART, SLOW_CHUNK)


@pytest.mark.parametrize("seed", range(8))
def test_a_game_taken_back_and_read_again(seed: int) -> None:
    """`pop` restores each position, and its SFEN read anew is the same position."""
    start, game = games.play(seed, max_plies=200)
    position = keisei.Position.from_sfen(start)
    before: list[tuple[str, list[str], int, int, list[int]]] = []
    moves: list[str] = []

    def everything() -> tuple[str, list[str], int, int, list[int]]:
        return (
            position.sfen(),
            position.legal_moves(),
            position.key,
            position.occurrence,
            position.words().tolist(),
        )

    for _, usi in game:
        before.append(everything())
        moves.append(usi)
        again = keisei.Position.from_sfen(position.sfen())
        assert again == position
        assert again.key == position.key
        assert again.legal_labels() == position.legal_labels()
        position.push(usi)
    for state, usi in zip(reversed(before), reversed(moves), strict=True):
        assert position.pop() == usi
        assert everything() == state
    with pytest.raises(IndexError):
        position.pop()


def test_mate_problems_without_the_attackers_king() -> None:
    """The side to move has no king: nothing pins, nothing checks, the rest is as ever."""
    compared = 0
    for board in games.positions(77, 2_000, every=5):
        sfen = board.sfen()
        _, turn, hand, number = sfen.split()
        king = "K" if turn == "b" else "k"
        cells = {square: piece for square, piece in text.board_cells(sfen).items() if piece != king}
        problem = text.sfen_of(cells, turn, text.hands(hand), int(number))
        other_side = text.sfen_of(cells, "w" if turn == "b" else "b", text.hands(hand))
        if cshogi.Board(other_side).is_check():
            continue  # the king stood in the way of its own side's attack
        position = keisei.Position.from_sfen(problem, tsume=True)
        moves = set(position.legal_moves())
        assert not position.in_check
        assert moves == {cshogi.move_to_usi(m) for m in cshogi.Board(problem).legal_moves}, problem
        assert moves == {m.to_usi() for m in rsshogi_core.Board(problem).legal_moves()}, problem
        compared += 1
    assert compared > 1_900


def test_keys_are_equal_for_equal_positions_only() -> None:
    """Board, hands and side to move make the key; the move number does not."""
    keys: dict[str, int] = {}
    for board in games.positions(200_000, 10_000):
        sfen = board.sfen()
        fields, _ = sfen.rsplit(" ", 1)
        _, _, hand = fields.split()
        variants = [fields, text.turn_sfen(sfen).rsplit(" ", 1)[0]]
        # A piece of the first kind in hand taken out, and given to the other side.
        counts = text.hands(hand)
        for letter in list(counts)[:1]:
            fewer = counts | {letter: counts[letter] - 1}
            given = fewer | {letter.swapcase(): fewer.get(letter.swapcase(), 0) + 1}
            for changed in (fewer, given):
                variants.append(fields.rsplit(" ", 1)[0] + " " + text.hand_text(changed))
        for variant in variants:
            position = keisei.Position.from_sfen(f"{variant} 1")
            assert keys.setdefault(variant, position.key) == position.key
    assert len(keys) > 20_000
    assert len(set(keys.values())) == len(keys)
