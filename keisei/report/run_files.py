"""What the folder of a run holds, read so that nothing in it can be in the way of a report.

A file that is missing is an empty one; what cannot be read is passed over and named in
``RunFiles.problems``. No torch is needed.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keisei.evaluation.game_record import GameRecord

CONFIG_FILE = "config.json"
RUN_FILE = "run.json"
METRICS_FILE = "metrics.jsonl"
EVALUATION_FILE = "evaluation.log"
LADDER_FILE = "ladder.json"
OPENINGS_FILE = "openings.jsonl"
GAMES_FOLDER = "games"
LOG_FILE = "train.log"
FINAL_MODEL = "final_model.ckpt"
CHECKPOINT_FOLDER = "checkpoints"

MESSAGES = 200
"""messages of the log that are kept: the last ones"""

_LOG_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ([A-Z]+) [\w.]+: (.*)")
_STEP = re.compile(r"-(\d{1,15})$")


class NotARunError(ValueError):
    """The folder is none of a run."""


@dataclass
class Metrics:
    """The figures of R iterations."""

    iteration: array[float] = field(default_factory=lambda: array("d"))
    """[R]"""
    step: array[float] = field(default_factory=lambda: array("d"))
    """[R], plies played"""
    columns: dict[str, array[float]] = field(default_factory=dict)
    """by name, [R]; nan where an iteration has no such figure"""

    def __len__(self) -> int:
        return len(self.step)


@dataclass(frozen=True)
class StoredGame:
    """A game of the run's folder."""

    record: GameRecord
    file: str
    """its file's name, without what follows the dot"""
    step: int | None
    """what the run had played by then, if the file's name says"""

    @property
    def is_self_play(self) -> bool:
        """Whether it is of a rollout, and not of an evaluation."""
        return self.file.startswith("self-play")


@dataclass(frozen=True)
class Message:
    """A warning or an error of the log, or the end of an alert."""

    time: str
    level: str
    text: str


@dataclass
class RunFiles:
    """All that a report is made of."""

    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    """by section and key"""
    starts: list[Mapping[str, Any]] = field(default_factory=list)
    """of ``run.json``, one for each start of the run"""
    metrics: Metrics = field(default_factory=Metrics)
    evaluations: list[Mapping[str, Any]] = field(default_factory=list)
    """lines of the evaluation log"""
    openings: list[Mapping[str, Any]] = field(default_factory=list)
    """lines of ``openings.jsonl``"""
    games: list[StoredGame] = field(default_factory=list)
    """by step"""
    messages: list[Message] = field(default_factory=list)
    messages_before: int = 0
    """messages that came before those"""
    complete: bool = False
    """whether there is a final model"""
    checkpoints: list[int] = field(default_factory=list)
    """steps of those that are there"""
    problems: list[str] = field(default_factory=list)
    """what could not be read"""

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.folder.resolve().name

    def setting(self, section: str, key: str) -> Any:
        """A value of the configuration; None if it is not there."""
        values = self.config.get(section)
        return values.get(key) if isinstance(values, Mapping) else None

    @property
    def failed(self) -> bool:
        """Whether it ended with a failure, as far as the log says, and was not resumed since."""
        since = str(self.starts[-1].get("started")) if self.starts else ""
        return not self.complete and any(
            message.time >= since
            and message.level in ("error", "critical")
            and message.text.startswith(("training failed", "training ends"))
            for message in self.messages
        )

    @property
    def resumed_at(self) -> list[int]:
        """The steps that the run was resumed from, one for each resumption whose step is known."""
        steps = (step_of(Path(str(start.get("resumed_from"))).name) for start in self.starts)
        return [step for step in steps if step is not None]


def step_of(name: str) -> int | None:
    """The step at the end of a name such as ``step-000123`` or ``self-play-000123``."""
    found = _STEP.search(name)
    return int(found[1]) if found else None


def read_run(folder: Path) -> RunFiles:
    """Reads a run's folder; NotARunError unless it has a configuration, a record or figures."""
    if not any((folder / name).is_file() for name in (CONFIG_FILE, RUN_FILE, METRICS_FILE)):
        raise NotARunError(
            f"{folder}: expected the folder of a run, with {CONFIG_FILE}, {RUN_FILE} or "
            f"{METRICS_FILE}, got none of them"
        )
    run = RunFiles(folder)
    config = _read_json(run, CONFIG_FILE)
    run.config = config if isinstance(config, dict) else {}
    record = _read_json(run, RUN_FILE)
    starts = record.get("starts") if isinstance(record, dict) else None
    run.starts = (
        [one for one in starts if isinstance(one, dict)] if isinstance(starts, list) else []
    )
    _read_metrics(run)
    run.evaluations = [one for one in _read_lines(run, EVALUATION_FILE) if _has_step(one)]
    run.openings = [one for one in _read_lines(run, OPENINGS_FILE) if _has_step(one)]
    _read_games(run)
    _read_messages(run)
    run.complete = (folder / FINAL_MODEL).is_file()
    steps = (step_of(path.name) for path in (folder / CHECKPOINT_FOLDER).glob("step-*"))
    run.checkpoints = sorted(step for step in steps if step is not None)
    return run


def _has_step(line: Mapping[str, Any]) -> bool:
    step = line.get("step")
    return isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 2**53


def _text_of(run: RunFiles, name: str) -> Iterator[str]:
    """The lines of a file, whatever is in it; none if it cannot be read."""
    path = run.folder / name
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except FileNotFoundError:
        return
    except OSError as error:
        run.problems.append(f"{name}: {error.strerror or error}")


def _read_json(run: RunFiles, name: str) -> Any:
    text = "".join(_text_of(run, name))
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        run.problems.append(f"{name}: not JSON: {error}")
        return None


def _read_lines(run: RunFiles, name: str) -> Iterator[dict[str, Any]]:
    bad = 0
    for text in _text_of(run, name):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        if isinstance(line, dict):
            yield line
        else:
            bad += 1
    if bad:
        run.problems.append(f"{name}: {bad} of its lines are no JSON objects")


def _read_metrics(run: RunFiles) -> None:
    metrics = run.metrics
    for line in _read_lines(run, METRICS_FILE):
        if not (_has_step(line) and _has_step({"step": line.get("iteration")})):
            continue
        iteration, step = line.pop("iteration"), line.pop("step")
        rows = len(metrics)
        metrics.iteration.append(iteration)
        metrics.step.append(step)
        for name, value in line.items():
            if not _is_number(value):
                continue
            column = metrics.columns.get(name)
            if column is None:
                column = metrics.columns[name] = array("d")
            column.extend([math.nan] * (rows - len(column)))
            column.append(value)
    for column in metrics.columns.values():
        column.extend([math.nan] * (len(metrics) - len(column)))


def _is_number(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**53
    return isinstance(value, float)


def _read_games(run: RunFiles) -> None:
    for path in sorted((run.folder / GAMES_FOLDER).glob("*.jsonl")):
        name = f"{GAMES_FOLDER}/{path.name}"
        for line in _read_lines(run, name):
            try:
                record = GameRecord.from_json(line)
            except (ValueError, TypeError) as error:
                run.problems.append(f"{name}: {error}")
                break
            run.games.append(StoredGame(record, path.stem, step_of(path.stem)))
    run.games.sort(key=lambda game: -1 if game.step is None else game.step)


def _read_messages(run: RunFiles) -> None:
    """Warnings, errors, alerts; of what goes over several lines, a traceback say, all of it."""
    last: Message | None = None
    for text in _text_of(run, LOG_FILE):
        found = _LOG_LINE.match(text)
        if found:
            last = None
            if found[2] in ("WARNING", "ERROR", "CRITICAL") or found[3].startswith("alert "):
                last = Message(found[1], found[2].lower(), found[3])
                run.messages.append(last)
        elif last is not None and len(last.text) < 10_000:
            last = Message(last.time, last.level, f"{last.text}\n{text.rstrip()}")
            run.messages[-1] = last
        if len(run.messages) > 2 * MESSAGES:
            run.messages_before += MESSAGES
            del run.messages[:MESSAGES]
    if len(run.messages) > MESSAGES:
        run.messages_before += len(run.messages) - MESSAGES
        del run.messages[:-MESSAGES]
