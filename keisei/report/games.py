"""Some games of a run, position by position, as the page steps through them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keisei.evaluation.game_record import GameRecord
from keisei.report.notation import write_move
from keisei.report.run_files import RunFiles, StoredGame

GAMES = 40
"""on a page, at most"""
GAMES_SIZE = 1_500_000
"""characters that they take, about, at most"""

ENDINGS = {
    "no_legal_move": "mate",
    "declaration": "declaration",
    "repetition": "repetition",
    "perpetual_check": "perpetual check",
    "move_limit": "move limit",
    "resignation": "resignation",
    "time": "out of time",
    "illegal_move": "illegal move",
    "crash": "engine died",
    "stall": "engine stalled",
    "agreed_draw": "agreed draw",
    "unfinished": "unfinished",
}
"""in few words"""


def choose(games: Sequence[StoredGame], count: int = GAMES) -> list[StoredGame]:
    """So many of them: of evaluations the last ones, of self-play some from all of the run."""
    own = [game for game in games if game.is_self_play]
    others = [game for game in games if not game.is_self_play]
    kept = min(len(others), max(count // 2, count - len(own)))
    return spread(own, count - kept) + _latest_of_each(others, kept)


def spread(games: Sequence[StoredGame], count: int) -> list[StoredGame]:
    """So many of them, the first and the last among them, evenly apart."""
    if len(games) <= count:
        return list(games)
    if count < 2:
        return list(games[-count:]) if count else []
    return [games[round(i * (len(games) - 1) / (count - 1))] for i in range(count)]


def _latest_of_each(games: Sequence[StoredGame], count: int) -> list[StoredGame]:
    """So many of the newest, one of each pairing and colour in turn."""
    pairings: dict[tuple[int, str, str], list[StoredGame]] = {}
    for game in games:
        key = (-1 if game.step is None else game.step, game.record.black, game.record.white)
        pairings.setdefault(key, []).append(game)
    queues = [pairings[key] for key in sorted(pairings, key=lambda key: -key[0])]
    chosen: list[StoredGame] = []
    while len(chosen) < count and any(queues):
        chosen += [queue.pop(0) for queue in queues if queue][: count - len(chosen)]
    return sorted(chosen, key=lambda game: -1 if game.step is None else game.step)


def games_json(run: RunFiles) -> list[dict[str, Any]]:
    """The games of the page; those that cannot be played through are named in the problems."""
    size = 0
    chosen = choose(run.games)
    # The last one first, then others far apart: what the size leaves out is no part of the run.
    back = range(len(chosen))
    order = [len(chosen) - 1 - i for i in sorted(back, key=lambda i: -(i & -i) if i else -math.inf)]
    made: dict[int, dict[str, Any]] = {}
    for i in order:
        plies = chosen[i].record.plies
        if size + 120 * plies > GAMES_SIZE:
            continue
        try:
            made[i] = _game_json(chosen[i])
        except ValueError as error:
            run.problems.append(f"{chosen[i].file}: a game that cannot be played through: {error}")
            continue
        size += 120 * plies
    return [made[i] for i in sorted(made)]


def _game_json(game: StoredGame) -> dict[str, Any]:
    record = game.record
    positions: list[str] = []
    japanese: list[str] = []
    letters: list[str] = []
    white_first = False
    for ply, position in enumerate(record.positions()):
        if ply == 0:
            white_first = position.turn == 1
        board, _, hands, _ = position.sfen().split(" ")
        positions.append(f"{board} {hands}{' +' if position.in_check else ''}")
        if ply < record.plies:
            written = write_move(position, record.moves[ply])
            japanese.append(written.japanese)
            letters.append(written.letters)
    return {
        "kind": "self-play" if game.is_self_play else "evaluation",
        "step": game.step,
        "black": record.black,
        "white": record.white,
        "result": result_of(record),
        "winner": record.winner,
        "event": record.event,
        "opening": record.opening_plies,
        "whiteFirst": white_first,
        "moves": list(record.moves),
        "japanese": japanese,
        "letters": letters,
        "positions": positions,
        # Black's expected result, whoever moves.
        "values": [
            None if value is None else value * (-1 if (ply % 2 == 1) != white_first else 1)
            for ply, value in enumerate(record.values)
        ],
    }


def result_of(record: GameRecord) -> str:
    """How it ended, in words."""
    how = ENDINGS[record.ending]
    if record.winner is not None:
        return f"{record.winner.capitalize()} wins by {how}"
    return "Undecided at the move limit" if record.ending == "move_limit" else f"Draw by {how}"
