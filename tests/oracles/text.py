"""Mirroring and colour-turning of SFEN strings, USI moves and labels, as plain text and numbers."""

from __future__ import annotations

FILES = "123456789"
RANKS = "abcdefghi"
HAND_ORDER = "RBGSNLP"

# The ten directions of travel in label order; a left-right mirror swaps each LEFT with its RIGHT.
DIRECTIONS = (
    "UP",
    "UP_LEFT",
    "UP_RIGHT",
    "LEFT",
    "RIGHT",
    "DOWN",
    "DOWN_LEFT",
    "DOWN_RIGHT",
    "UP2_LEFT",
    "UP2_RIGHT",
)
PLANES = 27
SQUARES = 81
LABELS = PLANES * SQUARES


def _mirrored_direction(direction: int) -> int:
    name = DIRECTIONS[direction]
    if name.endswith("LEFT"):
        name = name.removesuffix("LEFT") + "RIGHT"
    elif name.endswith("RIGHT"):
        name = name.removesuffix("RIGHT") + "LEFT"
    return DIRECTIONS.index(name)


def mirror_label(label: int) -> int:
    """The label of the same move on the board mirrored left to right."""
    plane, square = divmod(label, SQUARES)
    if plane < 20:
        plane = plane // 10 * 10 + _mirrored_direction(plane % 10)
    file, rank = divmod(square, 9)
    return plane * SQUARES + (8 - file) * 9 + rank


def cells(row: str) -> list[str]:
    """The nine cells of one SFEN row, files 9 to 1; an empty cell is ''."""
    out: list[str] = []
    promoted = ""
    for char in row:
        if char == "+":
            promoted = "+"
        elif char.isdigit():
            out += [""] * int(char)
        else:
            out.append(promoted + char)
            promoted = ""
    return out


def row_text(row: list[str]) -> str:
    """One SFEN row from its nine cells."""
    out = ""
    empty = 0
    for cell in row:
        if cell:
            out += (str(empty) if empty else "") + cell
            empty = 0
        else:
            empty += 1
    return out + (str(empty) if empty else "")


def hands(text: str) -> dict[str, int]:
    """Piece letter (capital: black's) to count, from an SFEN hand field."""
    out: dict[str, int] = {}
    count = ""
    if text == "-":
        return out
    for char in text:
        if char.isdigit():
            count += char
        else:
            out[char] = int(count or 1)
            count = ""
    return out


def hand_text(counts: dict[str, int]) -> str:
    """An SFEN hand field in canonical order."""
    out = ""
    for letter in HAND_ORDER + HAND_ORDER.lower():
        count = counts.get(letter, 0)
        if count:
            out += (str(count) if count > 1 else "") + letter
    return out or "-"


def mirror_sfen(sfen: str) -> str:
    """The position mirrored left to right (file f becomes 10 - f); the side to move stays."""
    board, turn, hand, number = sfen.split()
    rows = [row_text(cells(row)[::-1]) for row in board.split("/")]
    return f"{'/'.join(rows)} {turn} {hand} {number}"


def turn_sfen(sfen: str) -> str:
    """The position with the board turned by 180 degrees and the colours exchanged."""
    board, turn, hand, number = sfen.split()
    rows = [row_text(cells(row)[::-1]).swapcase() for row in board.split("/")[::-1]]
    swapped = hand_text({letter.swapcase(): n for letter, n in hands(hand).items()})
    return f"{'/'.join(rows)} {'w' if turn == 'b' else 'b'} {swapped} {number}"


def _mirror_square(square: str) -> str:
    return FILES[8 - FILES.index(square[0])] + square[1]


def _turn_square(square: str) -> str:
    return FILES[8 - FILES.index(square[0])] + RANKS[8 - RANKS.index(square[1])]


def mirror_usi(move: str) -> str:
    """A USI move on the mirrored board."""
    if move[1] == "*":
        return move[:2] + _mirror_square(move[2:4])
    return _mirror_square(move[:2]) + _mirror_square(move[2:4]) + move[4:]


def turn_usi(move: str) -> str:
    """A USI move on the board turned by 180 degrees."""
    if move[1] == "*":
        return move[:2] + _turn_square(move[2:4])
    return _turn_square(move[:2]) + _turn_square(move[2:4]) + move[4:]


def board_cells(sfen: str) -> dict[tuple[int, int], str]:
    """(file 1..9, rank 1..9) to piece, for the occupied squares of an SFEN."""
    out: dict[tuple[int, int], str] = {}
    for rank, row in enumerate(sfen.split()[0].split("/"), start=1):
        for column, cell in enumerate(cells(row)):
            if cell:
                out[9 - column, rank] = cell
    return out


def sfen_of(
    board: dict[tuple[int, int], str], turn: str, hand: dict[str, int], number: int = 1
) -> str:
    """An SFEN from (file, rank) -> piece and piece letter -> count in hand."""
    rows = [
        row_text([board.get((file, rank), "") for file in range(9, 0, -1)]) for rank in range(1, 10)
    ]
    return f"{'/'.join(rows)} {turn} {hand_text(hand)} {number}"


def drop_on(sfen: str, usi: str) -> str:
    """The position after a drop given in USI, made as text whether it is legal or not."""
    _, turn, hand, number = sfen.split()
    board = board_cells(sfen)
    letter = usi[0] if turn == "b" else usi[0].lower()
    square = (int(usi[2]), RANKS.index(usi[3]) + 1)
    if square in board:
        raise ValueError(f"drop {usi}: the square is occupied in {sfen}")
    board[square] = letter
    counts = hands(hand)
    if not counts.get(letter):
        raise ValueError(f"drop {usi}: no {letter} in hand in {sfen}")
    counts[letter] -= 1
    return sfen_of(board, "w" if turn == "b" else "b", counts, int(number) + 1)
