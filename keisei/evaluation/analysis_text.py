"""An analysed game for people and programs: rows of a table, JSON, and an annotated KIF."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from keisei.evaluation.analysis import DECLARATION, MARKS, JudgedMove, Line, Summary, Value, summary
from keisei.evaluation.game_record import GameRecord
from keisei.evaluation.kif import kif_line, side_names
from keisei.evaluation.records import write_kif

HEADING = " ply move       score  black    loss     best score  best line"

_LINE_MOVES = 8
"""how many moves of a line the table shows"""
_KIF_LINE_MOVES = 16


def title(game: GameRecord) -> str:
    """Who played, and how it ended."""
    won = "nobody won" if game.winner is None else f"{game.winner} won"
    ending = game.ending.replace("_", " ")
    players = f"{game.black or 'black'} - {game.white or 'white'}"
    return f"{players}: {_count(game.plies, 'ply', 'plies')}, {ending}, {won}"


def rows(move: JudgedMove) -> list[str]:
    """A row for a move, and one more for each further line."""
    best, *others = move.lines
    sign = move.mark.sign if move.mark else ""
    name = f"{'△' if move.is_white else '▲'}{move.move}"
    first = (
        f"{move.ply:4} {name:<7}{_score(move.value):>10} {move.value.chance:6.1%} "
        f"{move.loss:7.1%} {sign:<2} {_best(best)}"
    )
    return [first, *(f"{'':41}{_best(line)}" for line in others)]


def summary_rows(moves: Sequence[JudgedMove]) -> list[str]:
    """Both sides of a game."""
    return [_summary_row(name, summary(moves, name == "white")) for name in ("black", "white")]


def to_json(game: GameRecord, moves: Sequence[JudgedMove]) -> dict[str, Any]:
    """The game and all that was found out about it, in plain values; they are black's."""
    return {
        "game": game.to_json(),
        "moves": [
            {
                "ply": move.ply,
                "side": "white" if move.is_white else "black",
                "move": move.move,
                **_value_json(move.value),
                "loss": move.loss,
                "mark": move.mark.sign if move.mark else None,
                "lines": [
                    {**_value_json(line.value), "moves": list(line.moves)} for line in move.lines
                ],
            }
            for move in moves
        ],
        **{
            side: {
                **dataclasses.asdict(result),
                "marks": {mark.sign: n for mark, n in zip(MARKS, result.marks, strict=True)},
            }
            for side, result in (("black", summary(moves, False)), ("white", summary(moves, True)))
        },
    }


def write_annotated_kif(
    path: Path, game: GameRecord, moves: Sequence[JudgedMove], engine: str
) -> None:
    """Writes the game as KIF with comments behind its moves, in Japanese.

    The value behind a move is that of the position after it. Players, times, ending and date stay;
    comments and variations of the file that the game came from are not kept.

    Args:
        path: In UTF-8 if it ends in ``.kifu``, else in Shift-JIS.
        game: The game.
        moves: All its moves.
        engine: What judged, one line.
    """
    valued = dataclasses.replace(
        game,
        values=tuple(-move.value.expected if move.is_white else move.value.expected
                     for move in moves),
    )  # fmt: skip
    black, white = side_names(game.start)
    head = [
        f"解析：{engine}",
        _kif_summary(black, summary(moves, False)),
        _kif_summary(white, summary(moves, True)),
    ]
    write_kif(path, valued, [head, *(_kif_comments(game, move) for move in moves)])


def _score(value: Value) -> str:
    if value.is_over:
        return {1.0: "won", -1.0: "lost"}.get(value.expected, "drawn")
    if value.mate is not None:
        return f"mate {value.mate:+}"
    return f"{value.centipawns:+}"


def _best(line: Line) -> str:
    shown = " ".join(line.moves[:_LINE_MOVES])
    return f"{_score(line.value):>10}  {shown}{' ...' if len(line.moves) > _LINE_MOVES else ''}"


def _summary_row(name: str, side: Summary) -> str:
    counts = ", ".join(
        f"{_count(n, mark.name, mark.plural)} ({mark.sign})"
        for mark, n in zip(reversed(MARKS), reversed(side.marks), strict=True)
    )
    moves = _count(side.moves, "move", "moves")
    return f"{name}: {moves}, {side.best} the engine's, mean loss {side.mean_loss:.1%}; {counts}"


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _value_json(value: Value) -> dict[str, Any]:
    return {
        "score": value.centipawns,
        "mate": value.mate,
        "chance": value.chance,
    }


def _kif_summary(name: str, side: Summary) -> str:
    counts = "、".join(f"{mark.japanese}{n}" for mark, n in zip(MARKS, side.marks, strict=True))
    return (
        f"{name}：{side.moves}手、最善手{side.best}、平均損失{100 * side.mean_loss:.1f}%、{counts}"
    )


def _kif_comments(game: GameRecord, move: JudgedMove) -> Iterable[str]:
    """Lines without their asterisk."""
    names = side_names(game.start)
    yield f"{names[0]}の{_kif_value(move.value, names)}"
    if move.mark:
        yield f"{move.mark.japanese} {move.mark.sign}、損失{100 * move.loss:.1f}%"
    for i, line in enumerate(move.lines, 1):
        name = ("一致" if move.is_best else "最善") if i == 1 else f"候補{i}"
        yield f"{name}、{_kif_value(line.value, names)}：{_kif_line(game, move.ply, line)}"


def _kif_line(game: GameRecord, ply: int, line: Line) -> str:
    if line.moves == (DECLARATION,):
        return "入玉宣言"
    return kif_line(game, ply - 1, line.moves[:_KIF_LINE_MOVES])


def _kif_value(value: Value, names: tuple[str, str]) -> str:
    """Black's."""
    mate = ""
    if value.mate is not None:
        mate = f"、{abs(value.mate)}手で{names[value.mate < 0]}の勝ち"
    return f"勝率{100 * value.chance:.1f}%{mate}"
