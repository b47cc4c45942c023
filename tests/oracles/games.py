"""Random games, played by cshogi and decided by a seed alone.

Uniform play hardly ever reaches checks, hands full of pieces or kings in the far camp, so games
differ in style and in where they start.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import cshogi

STARTS = (
    "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1",
    "lnsgkgsnl/7b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1",
    "2sgkgs2/9/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1",
    "l6nl/5+P1gk/2np1S3/p1p4Pp/3P2Sp1/1PPb2P1P/P5GS1/R8/LN4bKL w RGgsn5p 1",
    "l8/1r1gk3+L/p1Npp2S1/2Psnpg2/5+r2N/PP1P2pS1/1pG1BP3/4P1G2/LN3KB1+p b S2Pl3p 1",
    "ln1g5/1r4k2/p2pppn2/2ps2p2/1p7/2P6/PPSPPPPLP/2G2K1pr/LN4G1b b BG2SLPnp 61",
    "4k4/9/9/9/9/9/9/9/4K4 b RBGSNL9Prbgsnl9p 1",
    "4k4/4p4/9/9/9/9/9/4P4/4K4 w RB2GSN2L4Prb2gs2n4p 1",
    "R8/2K1S1SSk/4B4/9/9/9/9/9/1L1L1L3 b RBGSNLP3g3n17p 1",
)
STYLES = ("uniform", "checks", "takes", "drops")
MAX_PLIES = 320


def _gives_check(board: cshogi.Board, move: int) -> bool:
    board.push(move)
    check = bool(board.is_check())
    board.pop()
    return check


def _choose(board: cshogi.Board, moves: list[int], style: str, rng: random.Random) -> int:
    if style == "checks" and rng.random() < 0.6:
        for move in rng.sample(moves, min(len(moves), 24)):
            if _gives_check(board, move):
                return move
    elif style == "takes" and rng.random() < 0.6:
        takes = [
            move
            for move in moves
            if not cshogi.move_is_drop(move) and board.piece(cshogi.move_to(move)) != cshogi.NONE
        ]
        if takes:
            return rng.choice(takes)
    elif style == "drops" and rng.random() < 0.6:
        drops = [move for move in moves if cshogi.move_is_drop(move)]
        if drops:
            return rng.choice(drops)
    return rng.choice(moves)


def play(seed: int, max_plies: int = MAX_PLIES) -> tuple[str, Iterator[tuple[cshogi.Board, str]]]:
    """One game: its start SFEN, and (board before the move, the move in USI) for each ply.

    The board is cshogi's own and stands before the move; it is moved on when the iterator is
    resumed. The game ends when the side to move has no legal move, or after `max_plies`.
    """
    rng = random.Random(seed)
    start = STARTS[0] if seed % 2 == 0 else STARTS[seed // 2 % len(STARTS)]
    style = STYLES[seed // 3 % len(STYLES)]

    def moves() -> Iterator[tuple[cshogi.Board, str]]:
        board = cshogi.Board(start)
        for _ in range(max_plies):
            legal = sorted(board.legal_moves)
            if not legal:
                return
            move = _choose(board, legal, style, rng)
            yield board, cshogi.move_to_usi(move)
            board.push(move)

    return start, moves()


def positions(seed: int, count: int, every: int = 1) -> Iterator[cshogi.Board]:
    """`count` positions from the games of `seed`, `seed` + 1, ...: each `every`-th one."""
    left = count
    while left > 0:
        _, game = play(seed)
        for ply, (board, _) in enumerate(game):
            if (ply + seed) % every:
                continue
            yield board
            left -= 1
            if left == 0:
                return
        seed += 1
