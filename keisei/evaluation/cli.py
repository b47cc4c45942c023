"""``keisei-evaluate``: plays any players against each other and says who is how much stronger.

Exit status: 0 when all games were played, 1 when a match failed, 2 when the command line or a
player cannot be used, 130 after Ctrl-C, 143 after SIGTERM. What was played before a failure or
either of these is told and stored all the same, of the pairing under way the games that were
finished. How far a match is, is said on standard error now and then.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from types import FrameType
from typing import NoReturn

import torch
from rich.console import Console

from keisei._libraries import require_cuda_kernels
from keisei.config_schema import ConfigError
from keisei.core.model_file import CheckpointError
from keisei.evaluation.arena import TimeControl, parse_time, play_engines
from keisei.evaluation.evaluate import execute_full_evaluation_run
from keisei.evaluation.ladder import ANCHORS, Ladder
from keisei.evaluation.match import MatchResult
from keisei.evaluation.match_tables import Pairing, show_pairings
from keisei.evaluation.openings import Opening, load_openings
from keisei.evaluation.opponents import RANDOM, make_opponents
from keisei.evaluation.players import Player
from keisei.evaluation.progress import Progress
from keisei.evaluation.saved_games import save_games, saved_in
from keisei.evaluation.scores import Score
from keisei.evaluation.sprt import SPRT
from keisei.evaluation.usi_engine import EngineError
from keisei.evaluation.usi_player import UsiPlayer, usable_cpus

_log = logging.getLogger(__name__)

_SPRT_BATCH = 100
_PLAYERS = """players:
  random                        draws every move uniformly
  greedy_capture, greedy        takes the most valuable piece it can, else promotes, else draws
  mate_aware, one-ply           mates where it can, else looks one ply ahead at material
  mixture:A:B:SHARE             two of these, of which B plays SHARE (0 to 1) of the moves
  runs/NAME, checkpoint, *.ckpt a network
  policy.pt                     a network as keisei-export writes it; it is a program: trust it
  usi:COMMAND;NAME=VALUE;...    a USI engine with options; go=LIMITS (go=movetime 100 if not given),
                                seconds=N to wait before it counts as stalled, processes=N at once
  NAME, module:Class            an opponent of others: see docs/plugins.md
NAME=PLAYER gives a player another name. Networks play in float32. Two engines play each game with
processes of their own, by their go=LIMITS or with --time by a clock.
"""


_Played = dict[tuple[str, str], Pairing]
"""pairings by who plays whom, in their order; the last may be under way"""


@dataclass(frozen=True)
class _Task:
    """What the command line asks for."""

    args: argparse.Namespace
    players: Mapping[str, Player]
    pairs: Sequence[tuple[str, str]]
    """who plays whom, in this order"""
    openings: Sequence[Opening]
    sprt: SPRT | None
    control: TimeControl | None
    ladder: Ladder
    progress: Progress


class _Terminated(KeyboardInterrupt):
    """SIGTERM came, which ends a match as Ctrl-C does."""


def main(argv: list[str] | None = None, *, clock: Callable[[], float] = time.monotonic) -> int:
    """The command; returns its exit status. ``clock`` says when to tell how far a match is."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with _sigterm_as_ctrl_c(), contextlib.ExitStack() as stack:
        try:
            task = _task(args, stack, clock)
        except KeyboardInterrupt as stop:
            word, status = _stopped(stop)
            _log.error("keisei-evaluate: %s before the first game", word)
            return status
        except (ConfigError, CheckpointError, ValueError, RuntimeError, OSError) as error:
            _log.error("keisei-evaluate: %s", error)
            return 2
        played: _Played = {}
        status = 1
        try:
            for first, second in task.pairs:
                _play(task, first, second, played)
                score = played[first, second].result.score
                task.ladder.add(first, second, score)
                if len(task.pairs) > 1:  # the tables are still far away
                    task.progress.say(first, second, score, at_once=True)
            status = 0
        except KeyboardInterrupt as stop:
            word, status = _stopped(stop)
            _log.error("keisei-evaluate: %s", _how_far(task, first, second, word, played))
        except (ConfigError, EngineError, ValueError, RuntimeError, OSError) as error:
            _log.error("keisei-evaluate: %s", _how_far(task, first, second, error, played))
        finally:  # whatever ended it: what was played may have taken hours
            _ignore_sigterm()
            if played and not _tell(task, tuple(played.values())):
                status = status or 1
    return status


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """While open, the first SIGTERM raises _Terminated in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles no signals there
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    _ignore_sigterm()  # schedulers send several
    raise _Terminated


def _ignore_sigterm() -> None:
    """From here on the command ends by itself, soon. SIG_IGN would pass to engines."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: None)


def _stopped(stop: KeyboardInterrupt) -> tuple[str, int]:
    """How that is called, and the exit status."""
    return ("terminated", 143) if isinstance(stop, _Terminated) else ("interrupted", 130)


def _how_far(task: _Task, first: str, second: str, reason: object, played: _Played) -> str:
    """What cut the match of these two short, and what is kept."""
    complete = sum(pairing.complete for pairing in played.values())
    text = f"{first} against {second}: {reason}; "
    text += f"{complete} of {len(task.pairs)} pairings were played"
    own = played.get((first, second))
    if own is not None and own.complete:
        return text
    games = 0 if own is None else own.result.games
    return f"{text}, and {games} of {task.args.games} games of this one are kept"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keisei-evaluate",
        description="Plays each player against each other and says who is stronger.",
        epilog=_PLAYERS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("players", nargs="+", metavar="PLAYER", help="one alone plays against random")
    add("--games", type=_positive, default=100, help="of each pairing, at most (100)")
    add("--batch", type=_positive, help="games at once; if not given: 100 with --sprt, else all")
    add("--first-only", action="store_true", help="the first player against each other, no more")
    add("--time", metavar="MAIN+INC", help="clocks in seconds for two engines; MAIN/BYOYOMI too")
    add("--parallel", type=_positive, help="games of two engines at once; one for each CPU")
    default = "cuda" if torch.cuda.is_available() else "cpu"
    add("--device", type=_device, default=default, help="cpu, cuda or cuda:N (%(default)s)")
    add("--sample", action="store_true", help="networks draw from their policy")
    add("--seed", type=int, default=0, help="of all draws (0)")
    add("--max-plies", type=_positive, default=512, help="move limit (512)")
    add(
        "--openings",
        metavar="FILE",
        help="one a line, 'startpos moves ...', played with both colours; none: the usual start; "
        "those that keisei brings, if not given",
    )
    add(
        "--sprt",
        nargs=2,
        type=float,
        metavar=("ELO0", "ELO1"),
        help="end a pairing once the test is sure: the first is ELO0 stronger (H0), or ELO1 (H1)",
    )
    add("--alpha", type=float, default=0.05, help="of the test: how often H1 may be wrong (0.05)")
    add("--beta", type=float, default=0.05, help="of the test: how often H0 may be wrong (0.05)")
    add(
        "--save-games",
        type=Path,
        metavar="DIR",
        help="store all games, as KIF, CSA, SFEN lines, in a folder without saved games",
    )
    add(
        "--ladder",
        type=Path,
        metavar="FILE",
        help="add the scores to that of a run, say",
    )
    add("--json", metavar="FILE", help="the results as JSON; -: to standard output, and no table")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _device(text: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"expected cpu, cuda or cuda:N, got {text!r}")
    if text != "cpu":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(text.partition(":")[2] or 0) >= count:
            raise argparse.ArgumentTypeError(
                f"expected cpu or one of {count} CUDA devices, got {text!r}"
            )
        try:
            require_cuda_kernels()
        except RuntimeError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _task(
    args: argparse.Namespace, stack: contextlib.ExitStack, clock: Callable[[], float]
) -> _Task:
    players = _players(args, stack)
    openings = () if args.openings == "none" else load_openings(args.openings)
    sprt = _sprt(args)
    control = _control(args, players)
    ladder = _ladder(args, list(players))
    _check_places(args)
    pairs = [
        (first, second)
        for first, second in combinations(players, 2)
        if first == next(iter(players)) or not args.first_only
    ]
    progress = Progress(args.games, clock=clock)
    return _Task(args, players, pairs, openings, sprt, control, ladder, progress)


def _players(args: argparse.Namespace, stack: contextlib.ExitStack) -> dict[str, Player]:
    names = args.players if len(args.players) > 1 else [*args.players, RANDOM]
    players = make_opponents(names, device=args.device, greedy=not args.sample)
    for player in players.values():
        stack.callback(player.close)
    return players


def _sprt(args: argparse.Namespace) -> SPRT | None:
    if args.sprt is None:
        return None
    elo0, elo1 = args.sprt
    return SPRT(elo0, elo1, alpha=args.alpha, beta=args.beta)


def _check_places(args: argparse.Namespace) -> None:
    """Refuses, before the first game, where the results could not be written after the last."""
    if args.save_games is not None:
        found = saved_in(args.save_games)
        if found:
            raise ValueError(
                f"--save-games: {args.save_games}: expected a folder without saved games, got "
                f"{', '.join(found)}; name another folder, or move away what is there"
            )
        args.save_games.mkdir(parents=True, exist_ok=True)
    json_file = None if args.json in (None, "-") else Path(args.json)
    for name, path in (("--json", json_file), ("--ladder", args.ladder)):
        if path is not None and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
            raise ValueError(f"{name}: expected a folder that can be written to, got {path.parent}")


def _control(args: argparse.Namespace, players: Mapping[str, Player]) -> TimeControl | None:
    if args.time is None:
        return None
    for name, player in players.items():
        if not isinstance(player, UsiPlayer):
            raise ValueError(f"--time: expected USI engines alone, which have clocks, got {name!r}")
    return parse_time(args.time)


def _ladder(args: argparse.Namespace, names: Sequence[str]) -> Ladder:
    """That of the file; else one of these players, random its zero, or the first of them."""
    if args.ladder is not None:
        return Ladder(args.ladder)
    return Ladder(None, ANCHORS if RANDOM in names else {names[0]: 0.0})


def _play(task: _Task, first: str, second: str, played: _Played) -> None:
    """Plays the match of two; ``played`` has its result as far as it goes, at every time."""

    def enough(result: MatchResult) -> bool:
        pairing = played[first, second] = Pairing(first, second, result, complete=False)
        return task.sprt is not None and task.sprt.decide(pairing.counted) is not None

    def enough_batches(result: MatchResult) -> bool:
        sure = enough(result)
        finished(result.score)
        return sure

    def finished(score: Score) -> None:
        task.progress.say(first, second, score)

    args = task.args
    records = None if args.save_games is not None else 0
    one, other = task.players[first], task.players[second]
    if isinstance(one, UsiPlayer) and isinstance(other, UsiPlayer):
        result = play_engines(
            one.settings,
            other.settings,
            games=args.games,
            parallel=args.parallel or usable_cpus(),
            control=task.control,
            max_plies=args.max_plies,
            openings=task.openings,
            names=(first, second),
            seed=args.seed,
            records=records,
            enough=enough,
            finished=finished,
        )
    else:
        evaluation = execute_full_evaluation_run(
            one,
            opponents={second: other},
            games=args.games,
            device=args.device,
            seed=args.seed,
            max_plies=args.max_plies,
            openings=task.openings,
            name=first,
            batch=args.batch or (_SPRT_BATCH if task.sprt is not None else None),
            enough=enough_batches,
            records=records,
        )
        result = evaluation.results[0].result
    played[first, second] = Pairing(first, second, result)


def _tell(task: _Task, pairings: Sequence[Pairing]) -> bool:
    """Stores and shows what was played; returns whether all of that could be done."""
    told = True
    # Each for itself, and the games, which take longest, last: where the disk has no room for them,
    # or Ctrl-C comes again, the figures are there.
    for tell in (_rate_unfinished, _write_json, _show, _save_games):
        try:
            tell(task, pairings)
        except OSError as error:
            _log.error("keisei-evaluate: %s", error)
            told = False
    return told


def _rate_unfinished(task: _Task, pairings: Sequence[Pairing]) -> None:
    for one in pairings:
        if not one.complete:
            task.ladder.add(one.first, one.second, one.result.score)


def _save_games(task: _Task, pairings: Sequence[Pairing]) -> None:
    if task.args.save_games is not None:
        records = [game for one in pairings for game in one.result.records]
        save_games(task.args.save_games, records)


def _write_json(task: _Task, pairings: Sequence[Pairing]) -> None:
    args, sprt = task.args, task.sprt
    if args.json is None:
        return
    tests = {} if sprt is None else {"sprt": asdict(sprt)}
    outcomes = []
    for pairing in pairings:
        outcomes.append(pairing.to_json())
        if sprt is not None:
            counted = pairing.counted
            found = {"llr": sprt.llr(counted), "decision": sprt.decide(counted)}
            outcomes[-1]["sprt"] = found
    ratings = {
        name: {key: _finite(value) for key, value in asdict(rating).items()}
        for name, rating in task.ladder.ratings().items()
    }
    text = json.dumps(
        {
            "players": list(task.players),
            "games": args.games,
            "seed": args.seed,
            "max_plies": args.max_plies,
            "sample": args.sample,
            "openings": args.openings,
            "time": args.time,
            "complete": sum(pairing.complete for pairing in pairings) == len(task.pairs),
            **tests,
            "pairings": outcomes,
            "ratings": ratings,
        },
        indent=1,
    )
    if args.json == "-":
        sys.stdout.write(text + "\n")
    else:
        Path(args.json).write_text(text + "\n", encoding="utf-8")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _show(task: _Task, pairings: Sequence[Pairing]) -> None:
    """Writes the results as tables; intervals are of 95%."""
    if task.args.json == "-":
        return
    console = Console(width=None if sys.stdout.isatty() else 160)
    show_pairings(console, pairings, task.args.games)
    if task.sprt is not None:
        for pairing in pairings:
            text = task.sprt.describe(pairing.counted)
            console.print(f"{pairing.first} against {pairing.second}: {text}", markup=False)
    if len(task.ladder.ratings()) > 2:
        console.print(task.ladder.text(), markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
