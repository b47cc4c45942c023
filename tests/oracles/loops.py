"""Games that run in circles: repetition and perpetual check, by random players who like both."""

from __future__ import annotations

import random
from collections.abc import Iterator

import cshogi

# Few pieces and no pawns to push, so that positions come back soon.
STARTS = (
    "4k4/9/9/9/9/9/9/K4R3/9 b - 1",
    "4k4/9/9/9/9/9/9/K4R3/9 w r 1",
    "4k4/4r4/9/9/9/9/4R4/4K4/9 b - 1",
    "8k/9/9/9/9/4B4/9/9/K3+R4 b - 1",
    "k8/1g7/9/3+r1+R3/9/9/9/7G1/8K b - 1",
    "3k5/9/2+b6/9/9/6+B2/9/9/5K3 w - 1",
    "4k4/9/4p4/9/9/4P4/9/9/4K4 b RBrb 1",
    "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1",
)


def board_key(board: cshogi.Board) -> str:
    """Board, side to move and hands, as text."""
    return str(board.sfen()).rsplit(" ", 1)[0]


def play(seed: int, max_plies: int = 120) -> tuple[str, Iterator[str]]:
    """A start SFEN and the moves of a game that likes to check and to come back."""
    rng = random.Random(seed)
    start = STARTS[seed % len(STARTS)]
    fond_of_checks = rng.choice((0.0, 0.9, 0.97))

    def moves() -> Iterator[str]:
        board = cshogi.Board(start)
        seen = {board_key(board)}
        for _ in range(max_plies):
            legal = sorted(board.legal_moves)
            if not legal:
                return
            back: list[int] = []
            checks: list[int] = []
            for move in legal:
                board.push(move)
                if board_key(board) in seen:
                    back.append(move)
                if board.is_check():
                    checks.append(move)
                board.pop()
            choice = legal
            if rng.random() < 0.9:
                if checks and rng.random() < fond_of_checks:
                    choice = [move for move in checks if move in back] or checks
                elif back:
                    choice = back
            move = rng.choice(choice)
            yield cshogi.move_to_usi(move)
            board.push(move)
            seen.add(board_key(board))

    return start, moves()
