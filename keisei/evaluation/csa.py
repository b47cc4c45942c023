"""Games as CSA text, version 2.2: http://www2.computer-shogi.org/protocol/record_v22.html."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keisei.evaluation.game_record import START_SFEN, GameRecord
from keisei.evaluation.record_moves import (
    RANKS,
    Move,
    board_of,
    hand_of,
    mover_won,
    moves_of,
    note_of,
    slashes,
    white_moves,
)

_CSA_PIECES = {
    "P": "FU", "L": "KY", "N": "KE", "S": "GI", "G": "KI", "B": "KA", "R": "HI", "K": "OU",
    "+P": "TO", "+L": "NY", "+N": "NK", "+S": "NG", "+B": "UM", "+R": "RY",
}  # fmt: skip

# The words for an ending: if the side to move has lost, and if nobody has won.
_CSA_LOST = {
    "no_legal_move": "%TSUMI",
    "resignation": "%TORYO",
    "time": "%TIME_UP",
    "stall": "%TIME_UP",
}
_CSA_DRAWN = {
    "repetition": "%SENNICHITE",
    "move_limit": "%JISHOGI",
    "agreed_draw": "%JISHOGI",
    "unfinished": "%CHUDAN",
}
# In the summary of a CSA record, as the floodgate server writes it.
_FLOODGATE = {
    "no_legal_move": "tsumi",
    "declaration": "kachi",
    "repetition": "sennichite",
    "perpetual_check": "oute_sennichite",
    "move_limit": "max_moves",
    "resignation": "toryo",
    "time": "time_up",
    "stall": "time_up",
    "illegal_move": "illegal_move",
    "crash": "abnormal",
    "agreed_draw": "jishogi",
    "unfinished": "chudan",
}


def csa_text(games: Iterable[GameRecord]) -> str:
    """Games as CSA 2.2, with ``/`` between them."""
    return "/\n".join("\n".join(_csa_lines(game)) + "\n" for game in games)


def _csa_lines(game: GameRecord) -> Iterator[str]:
    yield "V2.2"
    yield f"N+{game.black}"
    yield f"N-{game.white}"
    if game.event:
        yield f"$EVENT:{game.event}"
    if game.date is not None:
        yield f"$START_TIME:{slashes(game.date)}"
    yield f"'{note_of(game)}"
    yield from ["PI"] if game.start == START_SFEN else _csa_board(game.start)
    yield "-" if white_moves(game, 0) else "+"
    for move in moves_of(game):
        yield f"{'-' if move.is_white else '+'}{_csa_move(move)}"
        if move.seconds is not None:
            yield f"T{move.seconds}"
        if move.score is not None:
            yield f"'** {move.score}"
    yield _csa_ending(game, white_moves(game, game.plies))
    word = {None: "draw", game.winner: "win"}
    black, white = (
        word.get(None if game.winner is None else colour, "lose") for colour in ("black", "white")
    )
    yield f"'summary:{_FLOODGATE[game.ending]}:{game.black} {black}:{game.white} {white}"


def _csa_move(move: Move) -> str:
    def square(usi: str) -> str:
        return f"{usi[0]}{RANKS.index(usi[1]) + 1}" if usi else "00"

    piece = f"+{move.piece}" if move.promotes else move.piece
    return square(move.source) + square(move.target) + _CSA_PIECES[piece]


def _csa_board(sfen: str) -> Iterator[str]:
    board = board_of(sfen)
    for number, rank in enumerate(RANKS, 1):
        row = f"P{number}"
        for file in range(9, 0, -1):
            piece = board.get(f"{file}{rank}")
            if piece is None:
                row += " * "
            else:
                row += ("-" if piece[-1].islower() else "+") + _CSA_PIECES[piece.upper()]
        yield row
    for white in (False, True):
        held = "".join(f"00{_CSA_PIECES[piece]}" * n for piece, n in hand_of(sfen, white))
        if held:
            yield f"P{'-' if white else '+'}{held}"


def _csa_ending(game: GameRecord, white_to_move: bool) -> str:
    if game.winner is None:
        return _CSA_DRAWN[game.ending]
    if not mover_won(game, white_to_move):
        return _CSA_LOST.get(game.ending, "%ILLEGAL_MOVE")
    # The sign is that of the side that broke the rules.
    sign = "+" if white_to_move else "-"
    return "%KACHI" if game.ending == "declaration" else f"%{sign}ILLEGAL_ACTION"
