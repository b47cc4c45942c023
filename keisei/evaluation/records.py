"""Games as text that other programs read: KIF, CSA (version 2.2) and SFEN lines; and back.

Writing needs nothing; reading KIF and CSA is rsshogi's work (``pip install 'keisei[records]'``).

- KIF (https://kakinoki.o.oo7.jp/kif_format.html): a file a game, Shift-JIS as ``.kif``, UTF-8 as
  ``.kifu``. Even games and the usual handicaps are named, other first positions drawn.
- CSA 2.2 (http://www2.computer-shogi.org/protocol/record_v22.html): any number of games in a file,
  UTF-8, first positions as ``P1`` to ``P9``, ``P+`` and ``P-``.
- SFEN lines: ``startpos moves 7g7f ...`` or ``sfen ... moves ...``, a line a game, as USI engines
  and match runners take them. On request a comment line ``# {"black": ...}`` before each holds the
  rest of the game; other programs may not know such lines.

Values stand behind their moves as on the floodgate server: ``** 62`` (in CSA after ``'``), in
centipawns, positive where black is ahead: cp = 600 ln((1 + v) / (1 - v)), as ``keisei_play`` says
it. Times are whole seconds, rounded down. What neither format has a word for, the ending's own name
and the length of the opening, is in a comment ``keisei {...}``, which the readers know.
The move number of an SFEN is kept in SFEN lines only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from keisei.evaluation.csa import csa_text
from keisei.evaluation.game_record import START_SFEN, GameRecord
from keisei.evaluation.kif import kif_text
from keisei.evaluation.record_moves import centipawns, value_of_centipawns
from keisei.evaluation.record_reading import RecordError, read_csa, read_kif, read_sfen

__all__ = [
    "RecordError",
    "centipawns",
    "csa_text",
    "kif_text",
    "read_csa",
    "read_games",
    "read_kif",
    "read_sfen",
    "sfen_text",
    "value_of_centipawns",
    "write_csa",
    "write_kif",
    "write_sfen",
]


def sfen_text(games: Iterable[GameRecord], comments: bool = False) -> str:
    """Games as SFEN lines; with ``comments`` a line of JSON before each holds what is left out."""
    lines = []
    for game in games:
        if comments:
            rest = game.to_json()
            del rest["start"], rest["moves"]
            lines.append(f"# {json.dumps(rest, ensure_ascii=False)}")
        start = "startpos" if game.start == START_SFEN else f"sfen {game.start}"
        lines.append(" ".join([start, *(["moves", *game.moves] if game.moves else [])]))
    return "".join(f"{line}\n" for line in lines)


def write_kif(path: Path, game: GameRecord, comments: Sequence[Iterable[str]] = ()) -> None:
    """Writes one game: UTF-8 if the name ends in ``.kifu``, else Shift-JIS (``?`` for the rest).

    ``comments`` are as for ``kif_text``.
    """
    if path.suffix.lower() == ".kifu":
        path.write_text(kif_text(game, comments=comments), encoding="utf-8")
    else:
        text = kif_text(game, "Shift_JIS", comments)
        path.write_bytes(text.encode("cp932", errors="replace"))


def write_csa(path: Path, games: Iterable[GameRecord]) -> None:
    """Writes games to one file."""
    path.write_text(csa_text(games), encoding="utf-8")


def write_sfen(path: Path, games: Iterable[GameRecord], comments: bool = False) -> None:
    """Writes games to one file, a line a game: see ``sfen_text``."""
    path.write_text(sfen_text(games, comments), encoding="utf-8")


def read_games(path: Path) -> tuple[GameRecord, ...]:
    """The games of a file, in the format that its name says: .kif, .kifu, .csa, .sfen or .usi.

    Raises:
        RecordError: The file holds no game that can be read, or an illegal move.
        ModuleNotFoundError: rsshogi is wanted and not there.
        OSError: The file cannot be opened.
    """
    suffix = path.suffix.lower()
    if suffix in (".kif", ".kifu"):
        return (read_kif(path),)
    if suffix == ".csa":
        return read_csa(path)
    if suffix in (".sfen", ".usi"):
        return read_sfen(path)
    raise RecordError(f"{path}: expected .kif, .kifu, .csa, .sfen or .usi, got {path.suffix!r}")
