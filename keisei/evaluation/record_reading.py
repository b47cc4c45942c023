"""Games read from the text of KIF and CSA files, which rsshogi parses, and from SFEN lines."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from keisei.evaluation.game_record import START_SFEN, UNDECIDED, Colour, GameRecord
from keisei.evaluation.record_moves import value_of_centipawns

if TYPE_CHECKING:
    from rsshogi.record import Record

    from keisei import Position

_READ_ENDINGS = {
    "RESIGN": "resignation",
    "LOSE_BY_DEFAULT": "resignation",
    "WIN_BY_DEFAULT": "resignation",
    "MATE": "no_legal_move",
    "TIMEOUT": "time",
    "WIN_BY_ILLEGAL_MOVE": "illegal_move",
    "LOSE_BY_ILLEGAL_MOVE": "illegal_move",
    "WIN_BY_DECLARATION": "declaration",
    "REPETITION_DRAW": "repetition",
    "IMPASSE": "agreed_draw",
    "DRAW": "agreed_draw",
    "MAX_MOVES": "move_limit",
}
"""rsshogi's names of the last entry; others say that the game was broken off"""

_NOTE = re.compile(r"^[#'] ?keisei (\{.*\})$", re.MULTILINE)
_SCORE = re.compile(r"^\*(?:\* *|[#*]?評価値[= ])([+-]?\d+)(?:\s|$)")
"""of floodgate (and Shogi GUIs that write it), and of ShogiHome"""
_INDEX = re.compile(r"illegal move at index (\d+)")
"""how rsshogi says it"""
_DATE = re.compile(r"(\d{4})[-/](\d\d?)[-/](\d\d?)(?:\D+(\d\d?):(\d\d)(?::(\d\d))?)?")


class RecordError(ValueError):
    """A file holds no game that can be read; the text names the file and what is wrong."""


def read_kif(path: Path) -> GameRecord:
    """The main line of a KIF file, in UTF-8 or Shift-JIS. Raises as ``read_games`` does."""
    text = _decoded(path)
    if not re.search(r"^(?:手合割|先手|後手|下手|上手|手数| *\d+ )", text, re.MULTILINE):
        raise RecordError(f"{path}: expected a KIF record, got none")
    return _game_of(path, text, "KIF")


def read_csa(path: Path) -> tuple[GameRecord, ...]:
    """All games of a CSA file, in UTF-8 or Shift-JIS. Raises as ``read_games`` does."""
    texts = re.split(r"^/\s*$", _decoded(path), flags=re.MULTILINE)
    texts = [text for text in texts if re.search(r"^P[I1-9+-]", text, re.MULTILINE)]
    if not texts:
        raise RecordError(f"{path}: expected a CSA record, got none")
    return tuple(_game_of(path, text, "CSA") for text in texts)


def read_sfen(path: Path) -> tuple[GameRecord, ...]:
    """The games of SFEN lines; other lines than games, comments and blank ones are an error.

    Without a comment line a game has players without names, and ended as the rules say of its last
    position, or was broken off. Raises as ``read_games`` does; rsshogi is not wanted.
    """
    games = []
    rest: dict[str, Any] | None = None
    for number, line in enumerate(_decoded(path).splitlines(), 1):
        place = f"{path}: line {number}"
        try:
            if line.startswith("#"):
                rest = json.loads(line[1:]) if line[1:].lstrip().startswith("{") else None
            elif line.strip():
                games.append(_sfen_game(line.split(), rest))
                rest = None
        except (ValueError, TypeError) as error:
            raise RecordError(f"{place}: {error}") from error
    if not games:
        raise RecordError(f"{path}: expected a game, got none")
    return tuple(games)


def _sfen_game(words: list[str], rest: dict[str, Any] | None) -> GameRecord:
    words = words[1:] if words[0] == "position" else words
    if words[:1] == ["startpos"]:
        start, moves = START_SFEN, words[1:]
    elif words[:1] == ["sfen"] and len(words) >= 5:
        start, moves = _canonical(" ".join(words[1:5])), words[5:]
    else:
        raise ValueError(f"expected 'startpos' or 'sfen' and its four fields, got {words[:2]}")
    if moves and moves[0] != "moves":
        raise ValueError(f"expected 'moves', got {moves[0]!r}")
    if rest is not None:
        game = GameRecord.from_json(rest | {"start": start, "moves": moves[1:]})
        _played_out(game)
        return game
    game = GameRecord("", "", start, tuple(moves[1:]), "unfinished", None)
    return _ended_by_rule(game)


def _canonical(sfen: str) -> str:
    """With the pieces in hand in the one order that keisei takes; programs differ in it."""
    board, side, hands, number = sfen.split()
    pieces = re.findall(r"(\d*)([RBGSNLPrbgsnlp])", hands)
    letters = [letter for _, letter in pieces]
    if "".join(map("".join, pieces)) != hands or len(set(letters)) < len(letters):
        return sfen  # none in hand, or wrong: that is said where positions are read
    pieces.sort(key=lambda piece: "RBGSNLPrbgsnlp".index(piece[1]))
    return " ".join([board, side, "".join(map("".join, pieces)), number])


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = data.decode("cp932")
        except UnicodeDecodeError as error:
            raise RecordError(f"{path}: expected UTF-8 or Shift-JIS, got neither") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _record_class() -> type[Record]:
    try:
        from rsshogi.record import Record
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "rsshogi: KIF and CSA files are read by it; pip install 'keisei[records]'"
        ) from error
    return Record


def _game_of(path: Path, text: str, kind: Literal["KIF", "CSA"]) -> GameRecord:
    """Raises RecordError if the text has no game that can be played."""
    reader = _record_class()
    try:
        record = (reader.from_kif_str if kind == "KIF" else reader.from_csa_str)(text)
        moves = tuple(entry.move.to_usi() for entry in record.moves)
        ending, winner = _read_ending(record)
        meta = record.metadata
        rest: dict[str, Any] = {}
        note = _NOTE.search(text)
        if note:
            rest = json.loads(note[1])
            ending = rest.get("ending", ending)
        start = _canonical(record.init_position_sfen)
        is_white = start.split(" ")[1] == "w"
        scores = _scores(text, kind, len(moves))
        times = [entry.time_ms for entry in record.moves]
        game = GameRecord(
            black=(meta.black_player or "").strip(),
            white=(meta.white_player or "").strip(),
            start=start,
            moves=moves,
            ending=ending,
            winner=winner,
            opening_plies=int(rest.get("opening_plies", 0)),
            values=_movers(scores, is_white) if any(s is not None for s in scores) else (),
            seconds=tuple((t or 0) / 1000 for t in times) if any(t is not None for t in times)
            else (),
            date=_read_date(meta.start_date or ""),
            event=(meta.event or "").strip(),
        )  # fmt: skip
        last = _played_out(game).outcome()
    except (ValueError, TypeError) as error:
        why = _INDEX.sub(lambda found: f"ply {int(found[1]) + 1}: illegal move", str(error))
        raise RecordError(f"{path}: {why}") from error
    by_check = last is not None and last.ending == "perpetual_check"
    if not note and game.ending == "illegal_move" and by_check:
        game = dataclasses.replace(game, ending="perpetual_check")
    return game


def _played_out(game: GameRecord) -> Position:
    """The last position. Raises ValueError if a move before it is not legal."""
    *_, last = game.positions()
    return last


def _ended_by_rule(game: GameRecord) -> GameRecord:
    """With the end that the rules give it, if it was broken off where they do."""
    outcome = _played_out(game).outcome()
    if outcome is None or outcome.ending == "declaration":  # one may declare, and need not
        return game
    winner: Colour | None = None if outcome.winner is None else ("black", "white")[outcome.winner]
    return dataclasses.replace(game, ending=outcome.ending, winner=winner)


def _read_ending(record: Record) -> tuple[str, Colour | None]:
    result = record.result
    winner: Colour | None = None
    if result.is_black_win() or result.is_white_win():
        winner = "black" if result.is_black_win() else "white"
    last = record.main_terminal
    ending = _READ_ENDINGS.get(last.kind if last is not None else "", "unfinished")
    if winner is not None and ending in UNDECIDED:
        ending = "resignation"  # somebody won, and the file has no better word
    if winner is None and ending not in UNDECIDED:
        ending = "unfinished"
    return ending, winner


def _read_date(text: str) -> str | None:
    """``2026/11/22(日) 20:15:00`` in ISO 8601; None if there is no date."""
    found = _DATE.search(text)
    if not found:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    try:
        when = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    return when.isoformat() if found[4] else when.date().isoformat()


def _scores(text: str, kind: Literal["KIF", "CSA"], plies: int) -> list[int | None]:
    """The score, black's, that stands behind each move."""
    move = re.compile(r"^ *(\d+) +\S" if kind == "KIF" else r"^[+-]\d{4}[A-Z]{2}")
    comment = "*" if kind == "KIF" else "'*"
    scores: list[int | None] = [None] * plies
    ply = 0
    for line in text.splitlines():
        found = move.match(line)
        if found:
            ply = int(found[1]) if kind == "KIF" else ply + 1
        elif line.startswith("変化"):  # only the main line is read
            break
        elif line.startswith(comment) and 0 < ply <= plies:
            value = _SCORE.match(line.removeprefix("'"))
            if value:
                scores[ply - 1] = int(value[1])
    return scores


def _movers(scores: list[int | None], white_first: bool) -> tuple[float | None, ...]:
    """Values of the mover from black's scores."""
    signs = (1 if (ply % 2 == 1) == white_first else -1 for ply in range(len(scores)))
    return tuple(
        None if score is None else sign * value_of_centipawns(score)
        for score, sign in zip(scores, signs, strict=True)
    )
