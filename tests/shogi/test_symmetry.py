"""Left-right mirror and colour turn: the rules do not tell the transformed board from the first."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import text

import keisei

STARTS = (
    "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1",
    "l6nl/5+P1gk/2np1S3/p1p4Pp/3P2Sp1/1PPb2P1P/P5GS1/R8/LN4bKL w RGgsn5p 1",
    "l8/1r1gk3+L/p1Npp2S1/2Psnpg2/5+r2N/PP1P2pS1/1pG1BP3/4P1G2/LN3KB1+p b S2Pl3p 1",
    "4k4/9/9/9/9/9/9/9/4K4 b RBGSNL9Prbgsnl9p 1",
    "ln1g5/1r4k2/p2pppn2/2ps2p2/1p7/2P6/PPSPPPPLP/2G2K1pr/LN4G1b b BG2SLPnp 61",
    "7nk/9/7PG/9/9/9/9/9/4K4 b 2P2r2b3g4s3n4l15p 1",
    "K+L+N6/GS+P6/1+P2R4/9/4b4/6p2/7g1/5g+n1s/3r4k b BG2S2N3L12P 200",
)

games = st.tuples(
    st.sampled_from(STARTS), st.lists(st.integers(min_value=0, max_value=599), max_size=60)
)


def _play(start: str, choices: list[int]) -> keisei.Position:
    position = keisei.Position.from_sfen(start)
    for choice in choices:
        moves = position.legal_moves()
        if not moves:
            break
        position.push(moves[choice % len(moves)])
    return position


def _replay(position: keisei.Position, start: str, moves: list[str]) -> keisei.Position:
    again = keisei.Position.from_sfen(start)
    for move in moves:
        again.push(move)
    assert again.plies_played == position.plies_played
    return again


@settings(max_examples=300)
@given(games)
def test_the_mirrored_game(game: tuple[str, list[int]]) -> None:
    start, choices = game
    position = _play(start, choices)
    mirrored = _replay(
        position, text.mirror_sfen(start), [text.mirror_usi(move) for move in position.moves]
    )
    assert mirrored.sfen() == text.mirror_sfen(position.sfen())
    assert set(mirrored.legal_moves()) == {text.mirror_usi(m) for m in position.legal_moves()}
    assert set(mirrored.legal_labels()) == {text.mirror_label(n) for n in position.legal_labels()}
    for move in position.legal_moves()[::7]:
        assert mirrored.label(text.mirror_usi(move)) == text.mirror_label(position.label(move))
    assert np.array_equal(mirrored.planes(), position.planes()[:, ::-1, :])
    assert mirrored.in_check == position.in_check
    assert mirrored.can_declare == position.can_declare
    assert mirrored.occurrence == position.occurrence
    assert mirrored.outcome() == position.outcome()
    assert mirrored.perft(2) == position.perft(2)


@settings(max_examples=300)
@given(games)
def test_the_game_with_colours_exchanged(game: tuple[str, list[int]]) -> None:
    start, choices = game
    position = _play(start, choices)
    turned = _replay(
        position, text.turn_sfen(start), [text.turn_usi(move) for move in position.moves]
    )
    assert turned.sfen() == text.turn_sfen(position.sfen())
    assert turned.turn == 1 - position.turn
    assert turned.key != position.key
    assert set(turned.legal_moves()) == {text.turn_usi(m) for m in position.legal_moves()}
    assert turned.legal_labels() == position.legal_labels()
    for move in position.legal_moves()[::7]:
        assert turned.label(text.turn_usi(move)) == position.label(move)
    assert np.array_equal(turned.planes(), position.planes())
    assert np.array_equal(turned.legal_mask(), position.legal_mask())
    assert turned.in_check == position.in_check
    assert turned.occurrence == position.occurrence
    assert turned.perft(2) == position.perft(2)


@settings(max_examples=300)
@given(games)
def test_the_text_transforms_undo_themselves(game: tuple[str, list[int]]) -> None:
    """A transform that did nothing would make the two tests above empty."""
    position = _play(*game)
    sfen = position.sfen()
    assert text.mirror_sfen(text.mirror_sfen(sfen)) == sfen
    assert text.turn_sfen(text.turn_sfen(sfen)) == sfen
    assert text.turn_sfen(sfen) != sfen
    for move in position.legal_moves():
        assert text.mirror_usi(text.mirror_usi(move)) == move
        assert text.turn_usi(text.turn_usi(move)) == move
        assert text.turn_usi(move) != move or move[2:4] == "5e"
    for label in range(text.LABELS):
        assert text.mirror_label(text.mirror_label(label)) == label
