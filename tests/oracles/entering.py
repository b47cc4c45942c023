"""Positions with a king in or near the far camp, made for the declaration rule.

Each position is built around a wish: every condition of the 27-point rule just met, or one chosen
condition just missed, or everything at random. Both colours declare. Made as text; cshogi is asked
only whether the side not to move stands in check (such a position is not legal).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import cshogi

from oracles import text

COUNTS = {"R": 2, "B": 2, "G": 4, "S": 4, "N": 4, "L": 4, "P": 18}
PROMOTABLE = "RBSNLP"
CHECKS = (
    ("P", (0, -1)),
    ("L", (0, -1)),
    ("N", (1, -2)),
    ("S", (-1, 1)),
    ("S", (1, -1)),
    ("G", (0, -1)),
    ("G", (1, 0)),
    ("B", (1, 1)),
    ("R", (-1, 0)),
    ("R", (0, 1)),
)
WISHES = ("met", "points", "pieces", "zone", "check", "random")


@dataclass(frozen=True)
class Conditions:
    """The conditions of the 27-point rule, counted from the SFEN alone."""

    in_zone: bool
    pieces: int
    points: int
    required: int
    in_check: bool

    @property
    def met(self) -> bool:
        return (
            self.in_zone
            and self.pieces >= 10
            and self.points >= self.required
            and not self.in_check
        )


def conditions(sfen: str) -> Conditions:
    """What the side to move has."""
    turn = sfen.split()[1]
    black = turn == "b"
    zone = (1, 2, 3) if black else (7, 8, 9)
    in_zone = False
    pieces = points = 0
    for (_, rank), piece in text.board_cells(sfen).items():
        if piece[-1].isupper() != black or rank not in zone:
            continue
        letter = piece[-1].upper()
        if letter == "K":
            in_zone = True
            continue
        pieces += 1
        points += 5 if letter in "RB" else 1
    for letter, count in text.hands(sfen.split()[2]).items():
        if letter.isupper() == black:
            points += count * (5 if letter.upper() in "RB" else 1)
    return Conditions(in_zone, pieces, points, 28 if black else 27, cshogi.Board(sfen).is_check())


def _draft(rng: random.Random, wish: str, required: int) -> str:
    """One position with black to declare; it need not be legal for the side not to move."""
    board: dict[tuple[int, int], str] = {}
    stock = dict(COUNTS)

    king_rank = rng.randint(1, 3)
    if wish == "zone":
        king_rank = rng.choice((4, 4, 4, 5, 9))
    elif wish == "random":
        king_rank = rng.randint(1, 5)
    king = (rng.randint(1, 9), king_rank)
    board[king] = "K"
    free = [(f, r) for f in range(1, 10) for r in range(1, 10) if (f, r) != king]
    far = [square for square in free if max(abs(square[0] - king[0]), abs(square[1] - king[1])) > 1]
    enemy = rng.choice([s for s in far if s[1] >= 5] if rng.random() < 0.7 else far)
    board[enemy] = "k"
    free.remove(enemy)
    rng.shuffle(free)

    def fits(piece: str, square: tuple[int, int]) -> bool:
        file, rank = square
        if piece in ("P", "L"):
            bad = rank == 1
        elif piece == "N":
            bad = rank <= 2
        elif piece in ("p", "l"):
            bad = rank == 9
        elif piece == "n":
            bad = rank >= 8
        else:
            bad = False
        if bad or square in board:
            return False
        return piece not in ("P", "p") or all(board.get((file, r)) != piece for r in range(1, 10))

    def place(letter: str, own: bool, ranks: tuple[int, ...]) -> bool:
        piece = letter if own else letter.lower()
        if letter in PROMOTABLE and rng.random() < 0.5:
            piece = "+" + piece
        for square in free:
            if square[1] in ranks and fits(piece, square):
                board[square] = piece
                free.remove(square)
                stock[letter] -= 1
                return True
        return False

    if wish == "check":
        # An enemy piece that attacks the king from next to it, or by a knight's jump.
        letter, step = rng.choice(CHECKS)
        square = (king[0] + step[0], king[1] + step[1])
        if square in free and fits(letter.lower(), square):
            board[square] = letter.lower()
            free.remove(square)
            stock[letter] -= 1

    # Big pieces first: in the camp, in hand, elsewhere on the board, or the opponent's.
    hand: dict[str, int] = {}
    points = pieces = 0
    for letter in "R" * stock["R"] + "B" * stock["B"]:
        home = rng.choices(("camp", "hand", "board", "theirs"), (4, 3, 1, 2))[0]
        if home == "camp" and place(letter, True, (1, 2, 3)):
            pieces += 1
            points += 5
        elif home == "hand":
            hand[letter] = hand.get(letter, 0) + 1
            stock[letter] -= 1
            points += 5
        elif home == "board":
            place(letter, True, (4, 5, 6, 7, 8, 9))

    target_pieces = 10 if wish in ("met", "points") else rng.randint(7, 13)
    if wish == "pieces":
        target_pieces = 9
    elif wish in ("zone", "check"):
        target_pieces = rng.randint(10, 12)
    small = list("GGGGSSSSNNNNLLLL" + "P" * 18)
    rng.shuffle(small)
    while pieces < target_pieces and small:
        letter = small.pop()
        if stock[letter] and place(letter, True, (1, 2, 3)):
            pieces += 1
            points += 1
    target_points = required + {"met": 0, "points": -1, "pieces": 1}.get(wish, rng.randint(-2, 2))
    while points < target_points and small:
        letter = small.pop()
        if stock[letter]:
            stock[letter] -= 1
            hand[letter] = hand.get(letter, 0) + 1
            points += 1

    # The rest: some black pieces outside the camp, most with the opponent, some in neither's box.
    for letter, count in list(stock.items()):
        for _ in range(count):
            home = rng.choices(("own", "theirs", "their hand", "box"), (1, 4, 3, 3))[0]
            if home == "own":
                place(letter, True, (4, 5, 6, 7, 8, 9))
            elif home == "theirs":
                place(letter, False, tuple(range(1, 10)))
            elif home == "their hand":
                hand[letter.lower()] = hand.get(letter.lower(), 0) + 1
                stock[letter] -= 1
    return text.sfen_of(board, "b", hand, rng.randint(1, 400))


def entering_king_positions(
    seed: int, count: int, black_points: int = 28, white_points: int = 27
) -> Iterator[str]:
    """`count` SFENs with the declaring side to move, the same for the same seed; its points lie
    around those it would need."""
    rng = random.Random(seed)
    while count > 0:
        wish = rng.choice(WISHES)
        white = rng.random() < 0.5
        sfen = _draft(rng, wish, white_points if white else black_points)
        if wish == "check" and not cshogi.Board(sfen).is_check() and rng.random() < 0.9:
            continue
        board, _, hand, number = sfen.split()
        # The side not to move must not stand in check.
        if cshogi.Board(f"{board} w {hand} {number}").is_check():
            continue
        if white:
            sfen = text.turn_sfen(sfen)
        yield sfen
        count -= 1
