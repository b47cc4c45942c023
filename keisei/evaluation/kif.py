"""Games as KIF text: https://kakinoki.o.oo7.jp/kif_format.html."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

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

_KIF_FILES = "１２３４５６７８９"
_KANJI = "一二三四五六七八九"
_KIF_PIECES = {
    "P": "歩", "L": "香", "N": "桂", "S": "銀", "G": "金", "B": "角", "R": "飛", "K": "玉",
    "+P": "と", "+L": "成香", "+N": "成桂", "+S": "成銀", "+B": "馬", "+R": "龍",
}  # fmt: skip
_KIF_BOARD = _KIF_PIECES | {"+L": "杏", "+N": "圭", "+S": "全"}
_BLACK_HALF = "ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1"
_HANDICAPS = {START_SFEN: "平手"} | {
    f"{rows}/{_BLACK_HALF}": name
    for rows, name in {
        "lnsgkgsn1/1r5b1": "香落ち",
        "1nsgkgsnl/1r5b1": "右香落ち",
        "lnsgkgsnl/1r7": "角落ち",
        "lnsgkgsnl/7b1": "飛車落ち",
        "lnsgkgsn1/7b1": "飛香落ち",
        "lnsgkgsnl/9": "二枚落ち",
        "1nsgkgsn1/9": "四枚落ち",
        "2sgkgs2/9": "六枚落ち",
        "3gkg3/9": "八枚落ち",
        "4k4/9": "十枚落ち",
    }.items()
}

# The words for an ending: if the side to move has lost, and if nobody has won.
_KIF_LOST = {
    "no_legal_move": "詰み",
    "resignation": "投了",
    "time": "切れ負け",
    "stall": "切れ負け",
}
_KIF_DRAWN = {
    "repetition": "千日手",
    "move_limit": "持将棋",
    "agreed_draw": "持将棋",
    "unfinished": "中断",
}


def kif_text(
    game: GameRecord, encoding: str = "UTF-8", comments: Sequence[Iterable[str]] = ()
) -> str:
    """One game as KIF.

    Args:
        game: The game.
        encoding: Only what its first line says.
        comments: None, or lines without their asterisk: those before the first move, then those
            behind each move.
    """
    if len(comments) not in (0, game.plies + 1):
        raise ValueError(f"comments: expected none or {game.plies + 1}, got {len(comments)}")
    name = _HANDICAPS.get(game.start)
    black, white = side_names(game.start)
    lines = [f"# KIF version=2.0 encoding={encoding}", f"# {note_of(game)}"]
    if game.date is not None:
        lines.append(f"開始日時：{slashes(game.date)}")
    if game.event:
        lines.append(f"棋戦：{game.event}")
    lines.append(f"手合割：{name or 'その他'}")
    lines += _kif_board(game.start) if name is None else []
    lines += [f"{black}：{game.black}", f"{white}：{game.white}"]
    lines.append("手数----指手---------消費時間--")
    lines += [f"*{comment}" for comment in comments[0]] if comments else []
    totals = [0, 0]
    for move in moves_of(game):
        lines.append(f"{move.ply:4} {_kif_move(move)}{_kif_time(move.seconds, move.total)}")
        totals[move.is_white] = move.total
        if move.score is not None:
            lines.append(f"** {move.score}")
        lines += [f"*{comment}" for comment in comments[move.ply]] if comments else []
    white_to_move = white_moves(game, game.plies)
    last = _pad(_kif_ending(game, white_to_move))
    time = _kif_time(0 if game.seconds else None, totals[white_to_move])
    lines.append(f"{game.plies + 1:4} {last}{time}")
    lines.append(f"まで{game.plies}手で{_kif_summary(game, black, white, white_to_move)}")
    return "\n".join(lines) + "\n"


def side_names(start: str) -> tuple[str, str]:
    """What black and white are called in a game with this first position."""
    handicap = _HANDICAPS.get(start) not in (None, "平手")
    return ("下手", "上手") if handicap else ("先手", "後手")


def kif_line(game: GameRecord, plies: int, moves: Sequence[str]) -> str:
    """Other moves after the first ``plies`` of a game, as in ``▲７六歩(77)△３四歩(33)``.

    Raises ValueError at an illegal move.
    """
    other = GameRecord("", "", game.start, (*game.moves[:plies], *moves), "unfinished", None)
    return "".join(
        f"{'△' if move.is_white else '▲'}{_kif_move(move).rstrip(' ')}"
        for move in islice(moves_of(other), plies, None)
    )


def _kif_square(square: str) -> str:
    return _KIF_FILES[int(square[0]) - 1] + _KANJI[RANKS.index(square[1])]


def _kif_move(move: Move) -> str:
    where = "同　" if move.repeats_target else _kif_square(move.target)
    text = where + _KIF_PIECES[move.piece]
    if not move.source:
        return _pad(f"{text}打")
    source = f"({move.source[0]}{RANKS.index(move.source[1]) + 1})"
    return _pad(f"{text}{'成' if move.promotes else ''}{source}")


def _pad(text: str) -> str:
    """Fills up to 14 columns; Japanese characters take two."""
    return text + " " * (14 - sum(1 if char.isascii() else 2 for char in text))


def _kif_time(seconds: int | None, total: int) -> str:
    if seconds is None:
        return ""
    hours, rest = divmod(total, 3600)
    return f" ({seconds // 60:2}:{seconds % 60:02}/{hours:02}:{rest // 60:02}:{rest % 60:02})"


def _kif_board(sfen: str) -> list[str]:
    board = board_of(sfen)

    def hand(white: bool) -> str:
        pieces = (_KIF_PIECES[p] + (_kanji_number(n) if n > 1 else "") for p, n in hands(white))
        return "　".join(pieces) or "なし"

    def hands(white: bool) -> list[tuple[str, int]]:
        return hand_of(sfen, white)

    def cell(square: str) -> str:
        piece = board.get(square)
        if piece is None:
            return " ・"
        return ("v" if piece[-1].islower() else " ") + _KIF_BOARD[piece.upper()]

    edge = "+---------------------------+"
    rows = [
        f"|{''.join(cell(f'{file}{rank}') for file in range(9, 0, -1))}|{kanji}"
        for rank, kanji in zip(RANKS, _KANJI, strict=True)
    ]
    numbers = "  ９ ８ ７ ６ ５ ４ ３ ２ １"
    turn = "後手番" if sfen.split(" ")[1] == "w" else "先手番"
    return [
        f"後手の持駒：{hand(True)}", numbers, edge, *rows, edge, f"先手の持駒：{hand(False)}", turn
    ]  # fmt: skip


def _kanji_number(number: int) -> str:
    tens, ones = divmod(number, 10)
    return ("十" if tens else "") + (_KANJI[ones - 1] if ones else "")


def _kif_ending(game: GameRecord, white_to_move: bool) -> str:
    if game.winner is None:
        return _KIF_DRAWN[game.ending]
    if mover_won(game, white_to_move):
        return "入玉勝ち" if game.ending == "declaration" else "反則勝ち"
    return _KIF_LOST.get(game.ending, "反則負け")


def _kif_summary(game: GameRecord, black: str, white: str, white_to_move: bool) -> str:
    if game.winner is None:
        return _KIF_DRAWN[game.ending]
    winner, loser = (black, white) if game.winner == "black" else (white, black)
    ending = _kif_ending(game, white_to_move)
    if ending in ("入玉勝ち", "反則勝ち"):
        return f"{winner}の{ending}"
    if ending == "反則負け":
        return f"{loser}の{ending}"
    return f"{'時間切れにより' if ending == '切れ負け' else ''}{winner}の勝ち"
