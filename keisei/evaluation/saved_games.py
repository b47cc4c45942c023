"""Games on the disk: those of a match for other programs, those of a run's evaluations."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from keisei.evaluation.game_record import GameRecord
from keisei.evaluation.records import write_csa, write_kif, write_sfen
from keisei.utils.files import replacing
from keisei.utils.safe_paths import make_folder

GAMES_FOLDER = "games"
_SAVED = ("games.sfen", "games.csa", "games.jsonl", "kif")
_FILE = re.compile(r"evaluation-(\d+)\.jsonl")


def saved_in(folder: Path) -> list[str]:
    """What ``save_games`` left in a folder: names of files, and of the folder of KIF files."""
    return [name for name in _SAVED if os.path.lexists(folder / name)]


def save_games(folder: Path, records: Sequence[GameRecord]) -> None:
    """Writes games in every format; what stood there under these names is replaced.

    Games that stood there beyond these stay: see ``saved_in``.

    ``games.sfen`` (a line a game: ``startpos moves ...``), ``games.csa``, ``kif/00001.kif`` and on,
    and ``games.jsonl`` with everything that is known.
    """
    kif = folder / "kif"
    kif.mkdir(parents=True, exist_ok=True)
    write_sfen(folder / "games.sfen", records)
    write_csa(folder / "games.csa", records)
    write_lines(folder / "games.jsonl", records)
    for number, record in enumerate(records, start=1):
        write_kif(kif / f"{number:05d}.kif", record)


def write_lines(path: Path, records: Iterable[GameRecord]) -> None:
    """A JSON line a game, the file whole or not at all."""
    lines = [json.dumps(record.to_json()) + "\n" for record in records]
    with replacing(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def save_evaluation_games(run_dir: Path, step: int, records: Sequence[GameRecord]) -> None:
    """Keeps games of an evaluation after ``step`` plies with a run; none: writes nothing."""
    if records:
        folder = run_dir / GAMES_FOLDER
        make_folder(folder)
        write_lines(folder / f"evaluation-{step:015d}.jsonl", records)


def forget_evaluation_games(run_dir: Path, step: int) -> None:
    """Drops the games of evaluations after a later step."""
    for path in (run_dir / GAMES_FOLDER).glob("evaluation-*.jsonl"):
        found = _FILE.fullmatch(path.name)
        if found is not None and int(found[1]) > step:
            path.unlink()
