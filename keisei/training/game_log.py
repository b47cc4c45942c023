"""Whole games of the rollouts, and the openings they were played with, in the run's folder.

``games/self-play-STEP.jsonl`` has some games, a ``GameRecord`` a line, that ended by that step.
``openings.jsonl`` has one line for each stretch of the run: ``{"step": its end, "games": how many
games of it were followed to their end, "starts": {SFEN: {"7g7f 3c3d ...": count}}, "others": games
whose opening is not among those}``. Both stay of bounded size, however long the run: where there
would be too many, stretches become twice as long, and of two that become one the first games stay
and the openings are added up.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from keisei import Position
from keisei.evaluation.game_record import Colour, GameRecord
from keisei.evaluation.saved_games import GAMES_FOLDER, write_lines
from keisei.training.callbacks import Callback, Snapshot
from keisei.training.ended_games import BLACK, NOBODY, WHITE
from keisei.training.followed_games import FollowedGame, FollowedRows, GameFollower
from keisei.training.rollout import ENDINGS
from keisei.utils.files import replacing
from keisei.utils.safe_paths import make_folder

OPENINGS_FILE = "openings.jsonl"
GAMES_EACH = 4
"""games that are stored of each stretch"""
STRETCHES = 128
"""of a run, at most"""
OPENING_PLIES = 4
OPENINGS_EACH = 256
"""openings that are stored of each stretch: the most frequent"""

PAST_SELF = "past self"
"""a player's name"""

_NAMES = {code: name for name, code in ENDINGS.items()}
_COLOURS: dict[int, Colour | None] = {BLACK: "black", WHITE: "white", NOBODY: None}
_FILE = re.compile(r"self-play-(\d+)\.jsonl")

Moves = tuple[str, ...]


class GameLog(Callback):
    """Stores some whole games of this rank's followed ones, and how all of these began.

    Args:
        read: Gives the rows of the last rollout.
        interval: Plies of a stretch, at first.
    """

    name = "game log"
    draws = False

    def __init__(self, read: Callable[[], FollowedRows], interval: int) -> None:
        self._read = read
        self._interval = interval
        self._follower = GameFollower()
        self._stretch = 0
        self._wanted_since: int | None = None
        self._records: dict[int, GameRecord] = {}
        self._openings: Counter[tuple[str, Moves]] = Counter()

    def read_with(self, read: Callable[[], FollowedRows]) -> None:
        """The rows come from here from now on: the games were built anew."""
        self._read = read

    def on_start(self, snapshot: Snapshot) -> None:
        """Drops what a run that died stored past the step it goes on from."""
        forget_after(snapshot.run_dir, snapshot.step)
        self._follower = GameFollower()
        self._records.clear()
        self._openings.clear()
        self._stretch = snapshot.step // interval_at(self._interval, snapshot.step)
        self._wanted_since = snapshot.iteration

    def on_update_end(self, snapshot: Snapshot) -> None:
        """Takes the games that ended in the rollout; stores what is due."""
        rows = self._read()
        for game in self._follower.take(snapshot.iteration, rows):
            self._take(game, snapshot)
        if len(self._records) == min(GAMES_EACH, rows.labels.shape[1]):
            self._store_games(snapshot)
            self._wanted_since = None
        stretch = snapshot.step // interval_at(self._interval, snapshot.step)
        if stretch != self._stretch:
            self._stretch = stretch
            self._store_openings(snapshot)
            if self._wanted_since is None:
                self._wanted_since = snapshot.iteration
            thin(snapshot.run_dir, interval_at(self._interval, snapshot.step))

    def on_finish(self, snapshot: Snapshot) -> None:
        """Stores what there is."""
        self._store_games(snapshot)
        self._store_openings(snapshot)

    def _take(self, game: FollowedGame, snapshot: Snapshot) -> None:
        start, moves = _decode(game, OPENING_PLIES)
        self._openings[start, moves] += 1
        # The next game to begin in each of some slots: those that end next would be short ones.
        since = self._wanted_since
        wanted = since is not None and game.begun > since and game.slot < GAMES_EACH
        if wanted and game.slot not in self._records:
            self._records[game.slot] = _record(game, snapshot)

    def _store_games(self, snapshot: Snapshot) -> None:
        if not self._records:
            return
        path = games_file(snapshot.run_dir, snapshot.step)
        make_folder(path.parent)
        write_lines(path, self._records.values())
        self._records.clear()

    def _store_openings(self, snapshot: Snapshot) -> None:
        if not self._openings:
            return
        line = _openings_line(snapshot.step, self._openings)
        with (snapshot.run_dir / OPENINGS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._openings.clear()  # what could not be written counts for the next stretch


def games_file(run_dir: Path, step: int) -> Path:
    """Where games that ended by this step are stored."""
    return run_dir / GAMES_FOLDER / f"self-play-{step:015d}.jsonl"


def interval_at(interval: int, step: int) -> int:
    """How long stretches are at this step: ``interval``, doubled until there are few enough."""
    return interval << max(0, math.ceil(math.log2(max(1.0, step / (interval * STRETCHES)))))


def forget_after(run_dir: Path, step: int) -> None:
    """Drops games and openings that are stored of a later step."""
    for own, path in _stored(run_dir):
        if own > step:
            path.unlink()
    path = run_dir / OPENINGS_FILE
    if path.exists():
        lines = read_openings(path)
        kept = [line for line in lines if line["step"] <= step]
        if len(kept) != len(lines) or not path.read_bytes().endswith(b"\n"):
            _write_openings(path, kept)


def thin(run_dir: Path, interval: int) -> None:
    """Leaves the games of the first file, and one line of openings, of each stretch this long."""
    seen: set[int] = set()
    for step, path in _stored(run_dir):
        stretch = (step - 1) // interval
        if stretch in seen:
            path.unlink()
        seen.add(stretch)
    path = run_dir / OPENINGS_FILE
    if not path.exists():
        return
    lines = read_openings(path)
    stretches: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        stretches.setdefault((line["step"] - 1) // interval, []).append(line)
    if len(stretches) != len(lines):
        _write_openings(path, map(_merged, stretches.values()))


def read_openings(path: Path) -> list[dict[str, Any]]:
    """The lines of an openings file that are whole; a process that died may leave a torn one."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def _stored(run_dir: Path) -> list[tuple[int, Path]]:
    """The files of games with their steps, in order."""
    found = []
    for path in (run_dir / GAMES_FOLDER).glob("self-play-*.jsonl"):
        match = _FILE.fullmatch(path.name)
        if match:
            found.append((int(match[1]), path))
    return sorted(found)


def _decode(game: FollowedGame, plies: int | None = None) -> tuple[str, Moves]:
    """Its start as SFEN and its first ``plies`` moves in USI. ValueError if one is not legal."""
    position = Position.from_words(game.start)
    start = position.sfen()
    for label in game.labels[:plies]:
        position.push_label(label)
    return start, tuple(position.moves)


def _record(game: FollowedGame, snapshot: Snapshot) -> GameRecord:
    start, moves = _decode(game)
    players = [snapshot.run_dir.name.strip() or "self"] * 2
    if game.past_self is not None:
        first = Position.from_words(game.start).turn
        players[(first + game.past_self) % 2] = PAST_SELF
    return GameRecord(
        black=players[BLACK],
        white=players[WHITE],
        start=start,
        moves=moves,
        ending=_NAMES[game.ending],
        winner=_COLOURS[game.winner],
        values=tuple(
            round(min(1.0, max(-1.0, value)), 3) if math.isfinite(value) else None
            for value in game.values
        ),
        event=f"self-play, ended by step {snapshot.step}",
    )


def _openings_line(
    step: int, counts: Mapping[tuple[str, Moves], int], others: int = 0
) -> dict[str, Any]:
    games = sum(counts.values()) + others
    starts: dict[str, dict[str, int]] = {}
    others = games
    for (start, moves), count in Counter(counts).most_common(OPENINGS_EACH):
        starts.setdefault(start, {})[" ".join(moves)] = count
        others -= count
    return {"step": step, "games": games, "starts": starts, "others": others}


def _merged(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Several lines of openings as one, of the last step."""
    counts: Counter[tuple[str, Moves]] = Counter()
    for line in lines:
        for start, openings in line["starts"].items():
            for moves, count in openings.items():
                counts[start, tuple(moves.split())] += count
    return _openings_line(lines[-1]["step"], counts, sum(line["others"] for line in lines))


def _write_openings(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
