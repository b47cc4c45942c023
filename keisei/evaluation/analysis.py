"""A game gone through by an engine: what each move was worth, and what the best one was.

Needs no torch. ``keisei_play --analyse`` is the command; ``analysis_text`` puts this into words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from keisei.evaluation.game_record import GameRecord
from keisei.evaluation.record_moves import centipawns, value_of_centipawns, white_moves
from keisei.evaluation.usi_engine import BadAnswer, BestMove, SearchInfo

if TYPE_CHECKING:
    from keisei import Position

DECLARATION = "win"
"""in the place of a move: to declare, and win by it"""


class Mark(NamedTuple):
    """What a move is called that gives away so much."""

    loss: float
    """of the mover's winning chance, from 0 to 1, at least"""
    sign: str
    name: str
    plural: str
    japanese: str


MARKS = (
    Mark(0.20, "??", "blunder", "blunders", "悪手"),
    Mark(0.10, "?", "mistake", "mistakes", "疑問手"),
    Mark(0.05, "?!", "inaccuracy", "inaccuracies", "緩手"),
)
"""from the worst; a move has the first that fits"""


@dataclass(frozen=True)
class Value:
    """What a position is worth to black."""

    expected: float
    """the expected result, in [-1, 1]"""
    mate: int | None = None
    """plies to a proved end, positive where black wins"""
    is_over: bool = False
    """whether the game has ended here by the rules: ``expected`` is its result"""

    @property
    def chance(self) -> float:
        """Black's winning chance, from 0 to 1; a draw is half a win."""
        return (1 + self.expected) / 2

    @property
    def centipawns(self) -> int:
        """As ``keisei_play`` gives it; 9999 where black wins by force."""
        return centipawns(self.expected)


@dataclass(frozen=True)
class Line:
    """A way on from a position, and what it leads to."""

    value: Value
    moves: tuple[str, ...]
    """in USI, never empty; ``win`` is a declaration"""


@dataclass(frozen=True)
class JudgedMove:
    """A move of a game, beside the best one in its place."""

    ply: int
    """from 1"""
    is_white: bool
    move: str
    value: Value
    """of the position after it"""
    lines: tuple[Line, ...]
    """of the position before it, best first"""
    is_given: bool
    """by the game's opening: no player chose it"""

    @property
    def is_best(self) -> bool:
        """Whether the engine would have played it."""
        return self.move == self.lines[0].moves[0]

    @property
    def loss(self) -> float:
        """How far it falls short: the mover's winning chance that it gave away, from 0 to 1.

        The best line's value, found before the move, less the value found after it. The engine's
        own move loses nothing; another one, where the engine thinks better of it once it is
        played, loses nothing either.
        """
        if self.is_best:
            return 0.0
        given_away = self.lines[0].value.chance - self.value.chance
        return max(0.0, -given_away if self.is_white else given_away)

    @property
    def mark(self) -> Mark | None:
        """None for a move that is good enough."""
        return next((mark for mark in MARKS if self.loss >= mark.loss), None)


@dataclass(frozen=True)
class Summary:
    """The moves that one side chose."""

    moves: int
    best: int
    """how many the engine would have played"""
    mean_loss: float
    """of the winning chance, from 0 to 1; 0 without a move"""
    marks: tuple[int, ...]
    """how many moves have each of ``MARKS``"""


class Engine(Protocol):
    """What is asked of a ``UsiEngine``."""

    def new_game(self) -> None:
        """Forgets the last game."""

    def position(self, start: str, moves: Sequence[str] = ()) -> None:
        """Says where the game stands."""

    def go(self, limits: str, seconds: float) -> BestMove:
        """Searches."""


def judge(engine: Engine, game: GameRecord, limits: str, seconds: float) -> Iterator[JudgedMove]:
    """The moves of a game, each as soon as the position after it was searched.

    Positions are searched in their order and with the moves before them, so that the engine knows
    of repetitions and keeps its tree. One that ends the game by the rules is not searched.

    Args:
        engine: Started; it may have been used for another game.
        game: Its moves are legal, as ``read_games`` sees to.
        limits: What follows ``go``: ``nodes 800``.
        seconds: Without an answer for so long, the engine has stalled.

    Raises:
        EngineError: The engine crashed, stalled, or said no value.
    """
    if not game.moves:
        return
    engine.new_game()
    positions = game.positions()
    next(positions)
    lines = _search(engine, game, 0, limits, seconds)
    for ply, (move, position) in enumerate(zip(game.moves, positions, strict=True), 1):
        over = _value_at_end(position) if ply == game.plies else None
        after = () if over else _search(engine, game, ply, limits, seconds)
        yield JudgedMove(
            ply,
            white_moves(game, ply - 1),
            move,
            over or after[0].value,
            lines,
            ply <= game.opening_plies,
        )
        lines = after


def summary(moves: Sequence[JudgedMove], white: bool) -> Summary:
    """Of one side; the opening's moves do not count."""
    own = [move for move in moves if move.is_white == white and not move.is_given]
    return Summary(
        len(own),
        sum(move.is_best for move in own),
        sum(move.loss for move in own) / max(1, len(own)),
        tuple(sum(move.mark is mark for move in own) for mark in MARKS),
    )


def _value_at_end(position: Position) -> Value | None:
    outcome = position.outcome()
    if outcome is None or outcome.ending == "declaration":  # one may declare, and need not
        return None
    return Value(0.0 if outcome.winner is None else 1.0 - 2.0 * outcome.winner, is_over=True)


def _search(
    engine: Engine, game: GameRecord, ply: int, limits: str, seconds: float
) -> tuple[Line, ...]:
    engine.position(game.start, game.moves[:ply])
    answer = engine.go(limits, seconds)
    sign = -1 if white_moves(game, ply) else 1
    first = answer.info
    if first.mate is None and first.centipawns is None:
        raise BadAnswer(f"the engine said no value after {ply} plies, only {answer.move!r}")
    # The move that it answers with is the best one, whatever the info lines before it said.
    pv = first.pv if first.pv[:1] == (answer.move,) else (answer.move,)
    others = [info for info in answer.others if info.pv and info.pv[0] != answer.move]
    return (
        Line(_value(first, sign), pv),
        *(Line(_value(info, sign), info.pv) for info in others),
    )


def _value(info: SearchInfo, sign: int) -> Value:
    if info.mate is not None:
        return Value(float(sign if info.mate > 0 else -sign), sign * info.mate)
    return Value(sign * value_of_centipawns(info.centipawns or 0))
