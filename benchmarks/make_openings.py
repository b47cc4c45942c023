"""Makes and checks the openings that keisei brings: play by an engine, balance by its search.

    python -m benchmarks.make_openings openings.sfen --engine fairy-stockfish --count 500
    python -m benchmarks.make_openings openings.sfen --engine fairy-stockfish --check

A line of 12 to 24 plies is drawn from an engine's best moves: of eight, one that it likes nearly as
much as the best. What it leads to is kept if a longer search says that neither side is better by
more than half a pawn, if nobody is in check, and if neither the position nor its mirror image is
there yet. A file that is there already is added to; several processes with a seed and a file each
can be joined, for which ``--check`` drops what is twice there.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from keisei import Position
from keisei.evaluation.openings import parse_opening
from keisei.evaluation.usi_engine import BestMove, UsiEngine

PLIES = range(12, 25)
MOVE_NODES = 4_000
GLANCE_NODES = 12_000
JUDGE_NODES = 120_000
CHOICES = 8
BALANCED = 50
"""centipawns, by the judge"""
EARLY_PLIES = 6
NEAR_EARLY, NEAR_LATER = 70, 45
"""centipawns that a move may be worse than the best"""
_SECONDS = 300.0


def main() -> None:
    """The command."""
    args = _arguments()
    if args.check:
        _check(args)
        return
    rng = random.Random(f"openings {args.seed}")
    lines = args.file.read_text().splitlines() if args.file.exists() else []
    seen = {key for line in lines if not line.startswith("#") for key in _keys(_position(line))}
    done = sum(not line.startswith("#") for line in lines)
    with UsiEngine(args.engine) as engine, args.file.open("a", encoding="utf-8") as out:
        while done < args.count:
            position = _drawn(engine, rng)
            if position is None or _keys(position) & seen or position.in_check:
                continue
            if not _balanced(engine, position, GLANCE_NODES, 2 * BALANCED):
                continue
            if not _balanced(engine, position, JUDGE_NODES, BALANCED):
                continue
            seen |= _keys(position)
            done += 1
            out.write(f"startpos moves {' '.join(position.moves)}\n")
            out.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--engine", default="fairy-stockfish", help="a USI engine with MultiPV")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="check the file, no more")
    return parser.parse_args()


def _check(args: argparse.Namespace) -> None:
    """Prints what is wrong with any line; exit status 1 if anything is."""
    seen: dict[str, int] = {}
    wrong = 0
    with UsiEngine(args.engine) as engine:
        for number, line in enumerate(args.file.read_text().splitlines(), start=1):
            if line.startswith("#"):
                continue
            position = _position(line)
            faults = []
            first = min(seen.setdefault(key, number) for key in _keys(position))
            if first != number:
                faults.append(f"the position of line {first}, or its mirror image")
            if position.in_check:
                faults.append("in check")
            if not _balanced(engine, position, JUDGE_NODES, BALANCED):
                faults.append("not balanced")
            for fault in faults:
                print(f"{args.file}: line {number}: {fault}")
            wrong += bool(faults)
    print(f"{args.file}: {wrong} lines are not as they should be")
    sys.exit(1 if wrong else 0)


def _position(line: str) -> Position:
    opening = parse_opening(line)
    position = Position.from_sfen(opening.start)
    for move in opening.moves:
        position.push(move)
    return position


def _keys(position: Position) -> set[str]:
    """Board, mover and hands as they are, and with left and right exchanged."""
    board, mover, hands, _ = position.sfen().split()
    mirrored = "/".join(_mirrored(rank) for rank in board.split("/"))
    return {f"{board} {mover} {hands}", f"{mirrored} {mover} {hands}"}


def _mirrored(rank: str) -> str:
    """One rank of an SFEN from right to left; ``+`` stays before its piece."""
    return "".join(reversed(re.findall(r"\+?.", rank)))


def _asked(engine: UsiEngine, position: Position, nodes: int, lines: int) -> BestMove:
    """With an empty hash table, so that the answer depends on nothing before."""
    engine.set_option("MultiPV", str(lines))
    engine.new_game()
    engine.position(Position().sfen(), position.moves)
    return engine.go(f"nodes {nodes}", _SECONDS)


def _drawn(engine: UsiEngine, rng: random.Random) -> Position | None:
    """A line of play; None if it ended, or if a mate was in sight."""
    position = Position()
    for ply in range(rng.choice(PLIES)):
        best = _asked(engine, position, MOVE_NODES, CHOICES)
        moves: list[tuple[int, str]] = []
        for info in (best.info, *best.others):
            if info.centipawns is not None and info.pv and position.is_legal(info.pv[0]):
                moves.append((info.centipawns, info.pv[0]))
        if not moves:
            return None
        near = NEAR_EARLY if ply < EARLY_PLIES else NEAR_LATER
        highest = max(moves)[0]
        position.push(rng.choice(_worth(moves, highest - near)))
        if position.outcome() is not None:
            return None
    return position


def _worth(moves: Sequence[tuple[int, str]], least: int) -> list[str]:
    return [move for value, move in moves if value >= least]


def _balanced(engine: UsiEngine, position: Position, nodes: int, most: int) -> bool:
    value = _asked(engine, position, nodes, 1).info.centipawns
    return value is not None and abs(value) <= most


if __name__ == "__main__":
    main()
