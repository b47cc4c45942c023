"""The mate search against cshogi's, and by playing out every defence."""

from __future__ import annotations

import random

import cshogi
import pytest
from engine.search_check import SearchCheck

import keisei

# Shortest mates of 11 plies and more: an oracle finds none of up to 9 plies.
LONG_MATES = [
    "p2g4g/l1sg1sk1l/PPp1pP1pn/L1P1Pp2s/3R3Nn/1B1P1+bPP1/8l/GK6+p/7N1 b S4Pr 123",
    "1+P+P1B4/l2+S1s2l/p1Npppkpp/2p2P3/1r2S3g/Pp2P1pP1/2N1RGSnP/+p1K5L/L4G+n+p1 b BG 135",
    "1n2k2n1/l1s1ggs2/p3N1l1l/1rpp1P1pp/P1+bGpp1P1/2SPG1p2/1p4P1P/1P6L/3K1SBN1 w r2p 106",
    "nn6l/3P1G1sG/l4sPpp/1prNpr3/L1pk4P/1PP1P3L/2B+p+bP1P1/2SG5/1N1K2+p2 w GPs2p 134",
    "4p2+bb/3g1n1k1/lrn5n/2p2Pp2/pPPsPG1pl/L2S4P/3P2G2/G+r2S2+pL/3K3Ns w P5p 170",
    "7nl/5kP2/3p2g1p/2p1gp3/p6sP/s1BGpN3/4nPSp1/1+r4R2/L1+p3K1L w GSNLPb6p 122",
]


def sharp_positions(count: int, seed: int) -> list[str]:
    """Ends of random games: kings in the open, full hands."""
    out: list[str] = []
    choice = random.Random(seed)
    while len(out) < count:
        board = cshogi.Board()
        for _ in range(choice.randrange(60, 220)):
            moves = list(board.legal_moves)
            if not moves:
                break
            board.push(choice.choice(moves))
        else:
            if not board.is_game_over() and not board.is_check():
                out.append(board.sfen())
    return out


def ends_in_mate(sfen: str, moves: list[str]) -> bool:
    """Checks and answers in turn, and no answer at the end."""
    position = keisei.Position.from_sfen(sfen)
    for ply, move in enumerate(moves):
        position.push(move)
        if ply % 2 == 0 and not position.in_check:
            return False
    return len(moves) % 2 == 1 and not position.legal_moves()


def every_defence_is_mated(search: SearchCheck, sfen: str, plies: int) -> bool:
    """Plays the solver's move against each answer, then asks it again, to the end."""
    found = search.mate(sfen)
    if found.answer != "mate" or plies < 1:
        return False
    position = keisei.Position.from_sfen(sfen)
    position.push(found.pv[0])
    if not position.in_check:
        return False
    for answer in position.legal_moves():
        position.push(answer)
        mated = every_defence_is_mated(search, position.sfen(), plies - 2)
        position.pop()
        if not mated:
            return False
    return True


def compare(search: SearchCheck, positions: list[str]) -> tuple[int, int]:
    """Asks both; the numbers of mates and of proofs that there is none."""
    oracle = cshogi.DfPn()
    oracle.set_max_depth(63)
    oracle.set_max_search_node(1_000_000)
    mates = refuted = 0
    for sfen in positions:
        found = search.mate(sfen, nodes=100_000)
        if found.answer == "mate":
            assert ends_in_mate(sfen, found.pv), (sfen, found)
            mates += 1
        elif found.answer == "nomate":
            # The oracle's mates are mates; what it does not find may still be one.
            assert not oracle.search(cshogi.Board(sfen)), f"{sfen}: a mate was overlooked"
            refuted += 1
    return mates, refuted


def test_mates_and_refutations_agree_with_cshogi(search: SearchCheck) -> None:
    mates, refuted = compare(search, sharp_positions(30, seed=5))
    assert mates >= 2 and refuted >= 20, (mates, refuted)


@pytest.mark.slow
def test_mates_and_refutations_agree_with_cshogi_at_length(search: SearchCheck) -> None:
    mates, refuted = compare(search, sharp_positions(1000, seed=6))
    assert mates >= 60 and refuted >= 800, (mates, refuted)


def test_short_mates_hold_against_every_defence(search: SearchCheck) -> None:
    tried = 0
    for sfen in sharp_positions(30, seed=8):
        found = search.mate(sfen, nodes=20_000)
        if found.answer != "mate" or len(found.pv) > 5:
            continue
        assert every_defence_is_mated(search, sfen, plies=31), sfen
        tried += 1
    assert tried >= 1


@pytest.mark.parametrize("sfen", LONG_MATES)
def test_mates_of_eleven_plies_and_more_are_solved(search: SearchCheck, sfen: str) -> None:
    short = cshogi.DfPn()
    short.set_max_depth(9)
    short.set_max_search_node(3_000_000)
    assert not short.search(cshogi.Board(sfen)), "the problem is shorter than it should be"
    found = search.mate(sfen)
    assert found.answer == "mate" and len(found.pv) >= 11
    assert ends_in_mate(sfen, found.pv), found


def test_a_pawn_drop_does_not_mate(search: SearchCheck) -> None:
    """A pawn on 1b would mate: dropped there it may not, from 1c it may step there."""
    found = search.mate("7nk/9/7G1/9/9/9/9/9/4K4 b P 1")
    assert found.answer == "nomate" and found.pv == []
    stepping = search.mate("7nk/9/7GP/9/9/9/9/9/4K4 b - 1")
    assert stepping.answer == "mate" and stepping.pv == ["1c1b"], stepping


def test_checks_for_ever_are_no_mate(search: SearchCheck) -> None:
    found = search.mate("8k/9/9/9/9/9/9/9/4K4 b R 1", nodes=200_000)
    assert found.answer == "nomate", found


def test_a_mate_problem_needs_no_king_of_the_attacker(search: SearchCheck) -> None:
    found = search.mate("8k/9/8P/9/9/9/9/9/9 b G2r2b3g4s4n4l17p 1")
    assert found.answer == "mate" and found.pv == ["G*1b"]


def test_a_limit_gives_no_answer(search: SearchCheck) -> None:
    found = search.mate(LONG_MATES[0], nodes=20)
    assert found.answer == "unknown" and found.pv == []
