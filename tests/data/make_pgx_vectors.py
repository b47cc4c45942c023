"""Writes pgx_vectors.npz: what Pgx says of 2,000 positions. Needs jax, pgx and cshogi.

    python tests/data/make_pgx_vectors.py

The archive holds
    sfen         bytes, the positions, one SFEN a line
    mask         uint8 [N, 274], 2,187 legal-action bits, packed by numpy.packbits
    observation  uint8 [N, 1205], 119 planes x 9 files x 9 ranks of bits, packed the same way
    pgx_version  bytes
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import cshogi  # noqa: E402
from oracles import games, text  # noqa: E402

POSITIONS = 2_000
WITH_MATING_DROP = 150
SEED = 900_000
BATCH = 100
# Pgx allows the drop-pawn mate P*2b here.
KNOWN = "G+N2G2k1/5+L3/8+R/9/s1+bSP2pP/9/3n2p2/PNb+ls4/2+s1+p3K b G10Prgn2l2p 371"

PIECES = "PLNSBRGK"


def pgx_state_arrays(sfen: str) -> tuple[np.ndarray, np.ndarray]:
    """Pgx's board [81] (seen by the side to move; -1 empty, own 0-13, enemy 14-27) and hands."""
    _, turn, hand, _ = sfen.split()
    board = -np.ones(81, dtype=np.int32)
    for (file, rank), piece in text.board_cells(sfen).items():
        letter = piece[-1]
        own = letter.isupper() == (turn == "b")
        code = PIECES.index(letter.upper()) + (8 if piece[0] == "+" else 0) + (0 if own else 14)
        square = (file - 1) * 9 + rank - 1
        board[square if turn == "b" else 80 - square] = code
    hands = np.zeros((2, 7), dtype=np.int32)
    for letter, count in text.hands(hand).items():
        own = letter.isupper() == (turn == "b")
        hands[0 if own else 1, PIECES.index(letter.upper())] = count
    return board, hands


def ask_pgx(sfens: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """bool masks [N, 2187] and observations [N, 119, 9, 9] with axes plane, file - 1, rank - 1."""
    import jax
    from pgx._src.games.shogi import GameState, _legal_action_mask, _observe

    def both(board: Any, hand: Any) -> Any:
        state = GameState(board=board, hand=hand)
        return _legal_action_mask(state), _observe(state, flip=True)

    ask = jax.jit(jax.vmap(both))
    masks, planes = [], []
    for begin in range(0, len(sfens), BATCH):
        batch = sfens[begin : begin + BATCH]
        padded = batch + batch[:1] * (BATCH - len(batch))
        boards, hands = zip(*map(pgx_state_arrays, padded), strict=True)
        mask, observation = ask(np.stack(boards), np.stack(hands))
        masks.append(np.asarray(mask)[: len(batch)])
        # Pgx's axes are [rank][mirrored file][plane].
        seen = np.asarray(observation)[: len(batch)]
        planes.append(seen[:, :, ::-1, :].transpose(0, 3, 2, 1))
    return np.concatenate(masks), np.concatenate(planes)


def mating_drops(sfen: str) -> list[str]:
    """Pawn drops that would mate, in USI."""
    _, turn, hand, _ = sfen.split()
    black = turn == "b"
    pawn, king = ("P", "k") if black else ("p", "K")
    if pawn not in text.hands(hand):
        return []
    cells = text.board_cells(sfen)
    file, rank = next(square for square, piece in cells.items() if piece == king)
    rank += 1 if black else -1
    if not 1 <= rank <= 9 or (file, rank) in cells:
        return []
    if any(cells.get((file, r)) == pawn for r in range(1, 10)):
        return []
    usi = f"P*{file}{text.RANKS[rank - 1]}"
    after = cshogi.Board(text.drop_on(sfen, usi))
    # The side that drops may not leave its own king in check.
    dropped = after.sfen().split()
    own = cshogi.Board(f"{dropped[0]} {turn} {dropped[2]} 1")
    return [usi] if not own.is_check() and not list(after.legal_moves) else []


def positions_with_mating_drops(seed: int) -> Iterator[str]:
    while True:
        _, game = games.play(seed)
        for board, _ in game:
            sfen = str(board.sfen())
            if mating_drops(sfen):
                yield sfen
        seed += 1


def main() -> None:
    import pgx

    sfens = [KNOWN]
    for sfen in positions_with_mating_drops(SEED):
        if len(sfens) == WITH_MATING_DROP:
            break
        sfens.append(sfen)
    rest = POSITIONS - len(sfens)
    sfens += [str(b.sfen()) for b in games.positions(SEED + 500_000, rest, every=5)]
    masks, planes = ask_pgx(sfens)
    np.savez_compressed(
        HERE / "pgx_vectors.npz",
        sfen=np.frombuffer("\n".join(sfens).encode(), dtype=np.uint8),
        mask=np.packbits(masks, axis=1),
        observation=np.packbits(planes.reshape(len(sfens), -1), axis=1),
        pgx_version=np.frombuffer(pgx.__version__.encode(), dtype=np.uint8),
    )
    sys.stdout.write(f"{len(sfens)} positions, pgx {pgx.__version__}\n")


if __name__ == "__main__":
    main()
