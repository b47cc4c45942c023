"""A USI engine as a player of many games: several processes, each with its share of them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import math
import os
import shlex
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from keisei import Position
from keisei.evaluation.players import Choice, MatchStart, Player, Turn
from keisei.evaluation.usi_engine import (
    BadAnswer,
    EngineCrashed,
    EngineError,
    EngineStalled,
    SearchInfo,
    UsiEngine,
)

CENTIPAWN_SCALE = 600.0
"""a value v in (-1, 1) is 600 ln((1 + v) / (1 - v)) centipawns, as keisei_play says it"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UsiSettings:
    """How an engine is run."""

    command: str
    """program and arguments; no shell runs"""
    options: Mapping[str, str] = field(default_factory=dict)
    """USI options by name"""
    go: str = "movetime 100"
    """what follows ``go``"""
    seconds: float = 60.0
    """without an answer for so long it has stalled, and loses the game"""
    processes: int | None = None
    """at once; None: one for each usable CPU"""

    @property
    def program(self) -> str:
        """The first word of the command."""
        return shlex.split(self.command)[0]


def parse_usi(text: str) -> UsiSettings:
    """Settings in one line: ``COMMAND;NAME=VALUE;...``.

    As in ``fairy-stockfish;Skill_Level=-10;go=nodes 1000``. ``go``, ``seconds`` and ``processes``
    are fields of ``UsiSettings``, every other name is an option of the engine. Raises ValueError
    that says what is wrong.
    """
    command, *parts = (part.strip() for part in text.split(";"))
    if not shlex.split(command):
        raise ValueError(f"expected a command, got {text!r}")
    options: dict[str, str] = {}
    own: dict[str, str] = {}
    for part in parts:
        if not part:
            continue
        name, sign, value = (one.strip() for one in part.partition("="))
        if not sign or not name:
            raise ValueError(f"expected NAME=VALUE, got {part!r}")
        (own if name in ("go", "seconds", "processes") else options)[name] = value
    seconds, processes = float(own.get("seconds", 60.0)), own.get("processes")
    if not seconds > 0 or (processes is not None and int(processes) < 1):
        raise ValueError(f"seconds, processes: expected positive numbers, got {text!r}")
    return UsiSettings(
        command,
        options,
        own.get("go", UsiSettings.go),
        seconds,
        None if processes is None else int(processes),
    )


class UsiPlayer(Player):
    """An engine that is asked for each move of its games, in as many processes as there are CPUs.

    A process has the same games from start to end and is asked for them in turn, so its hash
    tables are shared by these. An engine that dies or is silent too long loses that game by crash
    or stall, and is started again for the others; one that cannot be started is an EngineError. A
    move that is not legal loses, and so does ``win``: where declaring wins, a game is over before
    anybody is asked.
    """

    follows = True

    def __init__(self, settings: UsiSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._engines: list[UsiEngine] = []

    @property
    def settings(self) -> UsiSettings:
        """How the engine is run."""
        return self._settings

    def start(self, match: MatchStart) -> None:
        """See ``Player``. Starts processes, or tells those that run of a new game."""
        self._games = [Position.from_sfen(start) for start in match.starts]
        self._starts = match.starts
        wanted = min(self._settings.processes or usable_cpus(), match.games)
        while len(self._engines) < wanted:
            self._engines.append(
                UsiEngine(self._settings.command, options=self._settings.options, name=self._name)
            )
        self._lanes = wanted
        self._over = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(wanted)
        starts = [self._pool.submit(_prepare, engine) for engine in self._engines[:wanted]]
        # Where one fails the others still begin: nobody may end them meanwhile.
        concurrent.futures.wait(starts)
        for one in starts:
            one.result()

    def choose(self, turn: Turn) -> Choice:
        """See ``Player``."""
        games = turn.asked.nonzero().squeeze(1).tolist()
        lanes = [[game for game in games if game % self._lanes == n] for n in range(self._lanes)]
        labels = torch.zeros(len(turn.asked), dtype=torch.int64)
        values = torch.full((len(turn.asked),), torch.nan)
        lost: dict[int, str] = {}
        for answers in self._pool.map(self._ask, self._engines[: self._lanes], lanes):
            for game, answer in answers.items():
                if isinstance(answer, str):
                    lost[game] = answer
                else:
                    labels[game], values[game] = answer
        device = turn.mask.device
        return Choice(labels.to(device), values.to(device), lost)

    def played(self, labels: Tensor) -> None:
        """See ``Player``."""
        for game, label in zip(self._games, labels.tolist(), strict=True):
            if label >= 0:
                game.push_label(label)

    def finish(self) -> None:
        """See ``Player``. Searches are cut short; the processes stay for the next match."""
        self._over.set()
        for engine in self._engines:
            with contextlib.suppress(EngineError):
                engine.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Ends the processes."""
        for engine in self._engines:
            engine.quit()
        self._engines = []

    def _ask(self, engine: UsiEngine, games: list[int]) -> dict[int, tuple[int, float] | str]:
        """A label and a value for each game, or how it is lost."""
        answers: dict[int, tuple[int, float] | str] = {}
        for game in games:
            if self._over.is_set():
                break
            try:
                answers[game] = self._move(engine, game)
                continue
            except EngineCrashed as error:
                answers[game] = "crash"
                _log.warning("game %d: %s", game, error)
            except EngineStalled as error:
                answers[game] = "stall"
                _log.warning("game %d: %s", game, error)
            if not self._over.is_set():
                _prepare(engine, anew=True)
        return answers

    def _move(self, engine: UsiEngine, game: int) -> tuple[int, float] | str:
        position = self._games[game]
        engine.position(self._starts[game], position.moves)
        try:
            best = engine.go(self._settings.go, self._settings.seconds)
            if best.move == "resign":
                return "resignation"
            return position.label(best.move), expected_result(best.info)
        except (BadAnswer, ValueError) as error:
            _log.warning("game %d: %s: no legal move: %s", game, self._name, error)
            return "illegal_move"


def _prepare(engine: UsiEngine, anew: bool = False) -> None:
    if anew or not engine.is_running:
        engine.start()
    engine.new_game()


def usable_cpus() -> int:
    """CPUs that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def expected_result(info: SearchInfo) -> float:
    """What an engine's score says it expects to get, -1 to 1; nan if it said nothing."""
    if info.mate is not None:
        return 1.0 if info.mate > 0 else -1.0
    if info.centipawns is None:
        return float("nan")
    return math.tanh(info.centipawns / (2 * CENTIPAWN_SCALE))
