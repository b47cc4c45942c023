"""``keisei_play --analyse``: goes through games and says of each move how good it was.

Exit status: 0 when all games were gone through, 1 when a file or the engine failed, 2 when the
command line cannot be used, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
from pathlib import Path

from keisei._engine import command
from keisei.evaluation.analysis import MARKS, JudgedMove, judge
from keisei.evaluation.analysis_text import (
    HEADING,
    rows,
    summary_rows,
    title,
    to_json,
    write_annotated_kif,
)
from keisei.evaluation.game_record import GameRecord
from keisei.evaluation.records import RecordError, read_games
from keisei.evaluation.usi_engine import EngineError, UsiEngine

_NODES = 800
_STALLED_SECONDS = 600.0
"""beyond the time asked for; 800 nodes of a large network on a slow processor take a minute"""
_DEVICES = re.compile(r"(auto|cpu|cuda(:\d+)?)(,(auto|cpu|cuda(:\d+)?))*")


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.analyse is None:
        parser.error("argument --analyse: expected a file")
    if args.kif is not None and args.kif.resolve() == args.analyse.resolve():
        parser.error(f"argument --kif: expected another file than the game's, got {args.kif}")
    if isinstance(sys.stdout, io.TextIOWrapper):  # players' names, where the terminal has no words
        sys.stdout.reconfigure(errors="replace")
    try:
        games = read_games(args.analyse)
        _analyse(args, games)
    except BrokenPipeError:  # whoever read the table has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains too
        return 1
    except (RecordError, EngineError, OSError, ModuleNotFoundError) as error:
        sys.stderr.write(f"keisei_play: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _analyse(args: argparse.Namespace, games: tuple[GameRecord, ...]) -> None:
    program, words, environment = command(
        ["--model", args.model, "--device", args.device, "--precision", args.precision]
    )
    # NetworkDelay: no clock is near, so all of the time asked for is for thinking.
    options = {"MultiPV": str(args.multipv), "NetworkDelay": "0"}
    if args.threads is not None:
        options["Threads"] = str(args.threads)
    if args.movetime is not None:
        limits, seconds = f"movetime {args.movetime}", args.movetime / 1000 + _STALLED_SECONDS
    else:
        limits, seconds = f"nodes {args.nodes}", _STALLED_SECONDS
    with UsiEngine([program, *words[1:]], options=options, environment=environment) as engine:
        for number, game in enumerate(games, 1):
            moves = _one_game(args, engine, game, limits, seconds)
            if args.kif is not None:
                path = _numbered(args.kif, number if len(games) > 1 else None)
                judge_name = f"keisei_play {Path(args.model).name} {limits}"
                write_annotated_kif(path, game, moves, judge_name)


def _one_game(
    args: argparse.Namespace, engine: UsiEngine, game: GameRecord, limits: str, seconds: float
) -> list[JudgedMove]:
    if args.json:
        moves = list(judge(engine, game, limits, seconds))
        _say(json.dumps(to_json(game, moves), ensure_ascii=False))
        return moves
    moves = []
    for move in judge(engine, game, limits, seconds):
        _say(*([] if moves else [title(game), HEADING]), *rows(move))
        moves.append(move)
    _say(*([] if moves else [title(game)]), *summary_rows(moves), "")
    return moves


def _say(*lines: str) -> None:
    """At once, also into a pipe: a game takes minutes."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _numbered(path: Path, number: int | None) -> Path:
    return path if number is None else path.with_name(f"{path.stem}-{number}{path.suffix}")


def _parser() -> argparse.ArgumentParser:
    marks = ", ".join(f"{mark.sign} from {mark.loss:.0%}" for mark in MARKS)
    parser = argparse.ArgumentParser(
        prog="keisei_play",
        description="Goes through the games of a file and prints a row for each move: its value "
        "(centipawns and winning chance, black's), how much of the mover's winning chance it gave "
        f"away ({marks}), and the value and moves of the best line in its place.",
        epilog="Without --analyse, keisei_play is a USI engine: keisei_play --help.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--analyse",
        type=Path,
        nargs="?",  # so that --help may follow
        required=True,
        metavar="GAME",
        help=".kif, .kifu or .csa (needs pip install 'keisei[records]'), .sfen or .usi",
    )
    parser.add_argument(
        "--model",
        required=True,
        help="a file made by keisei-export, or uniform (no network); load only files you trust",
    )
    parser.add_argument("--device", type=_device, default="auto", help="auto, cpu, cuda, cuda:N")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument(
        "--nodes", type=_at_least_one, default=_NODES, help="a position (default: %(default)s)"
    )
    limits.add_argument("--movetime", type=_at_least_one, metavar="MS", help="ms a position")
    parser.add_argument(
        "--multipv", type=_at_least_one, default=1, metavar="N", help="lines shown (default: 1)"
    )
    parser.add_argument(
        "--threads",
        type=_at_least_one,
        metavar="N",
        help="search threads for each device (default: the engine's); with 1 and --nodes the same "
        "game gets the same values",
    )
    parser.add_argument(
        "--kif",
        type=_kif,
        metavar="OUT",
        help="write the game with comments to this .kif (Shift-JIS) or .kifu (UTF-8); of several "
        "games OUT-1.kif and on",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a game, no table")
    return parser


def _at_least_one(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def _device(text: str) -> str:
    if not _DEVICES.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected auto, cpu, cuda or cuda:N, got {text!r}")
    return text


def _kif(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in (".kif", ".kifu"):
        raise argparse.ArgumentTypeError(
            f"expected a name that ends in .kif or .kifu, got {text!r}"
        )
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a folder {path.parent}, found none")
    return path
