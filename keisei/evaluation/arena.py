"""Matches of two USI engines: each game with processes of its own, clocks, and a referee.

``keisei.evaluation.match`` plays all games in step on one device, which suits networks; here each
game goes at its own pace. The referee knows all rules: an engine that names an illegal move,
answers late, dies or falls silent loses, and each of these is counted by its own name.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from keisei import Position
from keisei.evaluation.game_record import GameRecord
from keisei.evaluation.match import MatchCancelledError, MatchResult, match_result
from keisei.evaluation.openings import Opening, assign
from keisei.evaluation.scores import Score
from keisei.evaluation.usi_engine import BadAnswer, EngineCrashed, EngineStalled, UsiEngine
from keisei.evaluation.usi_player import UsiSettings, expected_result

_log = logging.getLogger(__name__)
Colour = Literal["black", "white"]
_WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class TimeControl:
    """A clock for each side, in milliseconds. Raises ValueError unless somebody gets some time."""

    main: int = 0
    """for the whole game"""
    increment: int = 0
    """added after each move of one's own"""
    byoyomi: int = 0
    """for each move once the main time is used up"""

    def __post_init__(self) -> None:
        if min(self.main, self.increment, self.byoyomi) < 0 or (self.increment and self.byoyomi):
            raise ValueError(f"time: expected times of 0 or more, one of them alone, got {self}")
        if not self.main + self.byoyomi:
            raise ValueError(f"time: expected some time for the first move, got {self}")


def parse_time(text: str) -> TimeControl:
    """``300+2``: five minutes and two seconds a move; ``300/10``: then ten seconds byoyomi.

    Seconds, which may have a fraction; ``0/1`` is byoyomi alone, ``60`` sudden death. Raises
    ValueError.
    """
    sign = "+" if "+" in text else "/"
    main, _, more = text.partition(sign)
    try:
        first, second = round(1000 * float(main)), round(1000 * float(more or 0))
    except (ValueError, OverflowError):
        raise ValueError(f"time: expected MAIN+INCREMENT or MAIN/BYOYOMI, got {text!r}") from None
    return TimeControl(first, second, 0) if sign == "+" else TimeControl(first, 0, second)


@dataclass
class _Clock:
    control: TimeControl
    left: dict[Colour, float]
    """milliseconds of the main time"""

    def words(self) -> str:
        """What ``go`` says of it."""
        black, white = (max(0, int(self.left[side])) for side in ("black", "white"))
        text = f"btime {black} wtime {white}"
        if self.control.increment:
            return f"{text} binc {self.control.increment} winc {self.control.increment}"
        return f"{text} byoyomi {self.control.byoyomi}"

    def allowed(self, side: Colour) -> float:
        """Milliseconds until the flag falls."""
        return self.left[side] + self.control.byoyomi

    def take(self, side: Colour, used: float) -> bool:
        """Counts what a move took; whether it came in time."""
        if used > self.allowed(side):
            return False
        self.left[side] = max(0.0, self.left[side] - used) + self.control.increment
        return True


@dataclass(frozen=True)
class _Played:
    """A game that is over, for the first engine."""

    record: GameRecord
    result: int
    """1, 0, -1"""


@dataclass
class _Progress:
    """What is to be played and what came of it, shared by the threads."""

    pairs: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    next_pair: int = 0
    games: dict[int, _Played] = field(default_factory=dict)
    counted: int = 0
    """games, from the first on, of which the result is"""
    score: Score = field(default_factory=Score)
    """of all games that are over, whichever they are"""
    ended: bool = False

    def take_pair(self) -> int | None:
        with self.lock:
            if self.ended or self.next_pair == self.pairs:
                return None
            self.next_pair += 1
            return self.next_pair - 1


def play_engines(
    first: UsiSettings,
    second: UsiSettings,
    *,
    games: int,
    parallel: int = 1,
    control: TimeControl | None = None,
    max_plies: int = 512,
    openings: Sequence[Opening] = (),
    names: tuple[str, str] = ("first", "second"),
    seed: int = 0,
    event: str = "",
    records: int | None = None,
    enough: Callable[[MatchResult], bool] = lambda _: False,
    finished: Callable[[Score], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> MatchResult:
    """Plays ``games`` games, ``parallel`` at once; the first engine is black in the even ones.

    Games 2 k and 2 k + 1 have the same opening and are played by the same two processes, which
    stay for the next pair (``usinewgame`` between games). Pondering is off.

    With ``control`` engines have clocks, and an answer after the flag loses by ``time``. Without,
    each gets the limits of its own settings (``go``). In both cases an engine that says nothing for
    its ``seconds`` (beyond the flag, if there is one) loses by ``stall``, one whose process ends by
    ``crash``, and is started again; a move that is not legal, a ``win`` that is none, and an answer
    that is none lose by ``illegal_move``. A game in which declaration is possible goes on until the
    engine declares.

    ``enough`` is asked with the result of the first pair of games, of the first two pairs, and so
    on; once it is true, no further pair begins, and later pairs are thrown away. If the match fails
    or is interrupted, the result that it was asked about last is what was finished. ``finished`` is
    told the score of all games that are over after each of them, one call at a time. ``records``
    says how many games, from the first on, are in the result; None: all. The other arguments are
    those of ``keisei.evaluation.match.play_match``.

    Raises:
        EngineError: An engine cannot be started.
        MatchCancelledError: ``cancelled()`` was true.
        ValueError: A number does not fit.
    """
    if games < 1 or parallel < 1:
        raise ValueError(f"games, parallel: expected at least 1, got {games}, {parallel}")
    begins = assign(openings, games, seed=seed, max_plies=max_plies)
    progress = _Progress((games + 1) // 2)

    def result(count: int) -> MatchResult:
        """Of the first games."""
        played = [progress.games[game] for game in range(count)]
        wanted = len(played) if records is None else min(records, len(played))
        return match_result(
            [one.result for one in played],
            [one.record.ending for one in played],
            [one.record.plies for one in played],
            tuple(one.record for one in played[:wanted]),
        )

    def look() -> None:
        """Goes on over the pairs that none before is missing of, until they are enough.

        One by one, so that the result does not depend on how many games go on at once.
        """
        while not progress.ended and progress.counted < games:
            count = min(progress.counted + 2, games)
            if not all(game in progress.games for game in range(progress.counted, count)):
                return
            progress.counted = count
            progress.ended = enough(result(count))

    def work() -> None:
        """One thread: two processes, pair after pair."""
        with contextlib.ExitStack() as stack:
            engines = tuple(
                stack.enter_context(UsiEngine(one.command, options=one.options, name=name))
                for one, name in zip((first, second), names, strict=True)
            )
            while (pair := progress.take_pair()) is not None:
                for game in range(2 * pair, min(2 * pair + 2, games)):
                    table = _Table(engines, (first, second), names, game, begins[game], control)
                    played = table.play(max_plies, event, cancelled, lambda: progress.ended)
                    if played is None:
                        return
                    with progress.lock:
                        progress.games[game] = played
                        if not progress.ended:
                            progress.score += Score.of([(played.result + 1) / 2])
                            finished(progress.score)
                with progress.lock:
                    look()

    with concurrent.futures.ThreadPoolExecutor(min(parallel, progress.pairs)) as pool:
        try:
            threads = {pool.submit(work) for _ in range(min(parallel, progress.pairs))}
            while threads:
                # A signal does not always end a wait, and Python handles it only after that.
                done, threads = concurrent.futures.wait(
                    threads, _WAIT_SECONDS, concurrent.futures.FIRST_COMPLETED
                )
                for thread in done:
                    thread.result()
        finally:
            progress.ended = True
    return result(progress.counted)


class _Table:
    """One game and its referee."""

    def __init__(
        self,
        engines: tuple[UsiEngine, ...],
        settings: tuple[UsiSettings, UsiSettings],
        names: tuple[str, str],
        game: int,
        opening: Opening,
        control: TimeControl | None,
    ) -> None:
        black = game % 2  # which engine
        self._sides: dict[Colour, int] = {"black": black, "white": 1 - black}
        self._engines, self._settings, self._names = engines, settings, names
        self._game, self._opening = game, opening
        self._position = Position.from_sfen(opening.start)
        for move in opening.moves:
            self._position.push(move)
        self._clock: _Clock | None = None
        if control is not None:
            main = float(control.main)
            self._clock = _Clock(control, {"black": main, "white": main})
        self._values: list[float | None] = [None] * len(opening.moves)
        self._seconds = [0.0] * len(opening.moves)

    def play(
        self,
        max_plies: int,
        event: str,
        cancelled: Callable[[], bool],
        thrown_away: Callable[[], bool],
    ) -> _Played | None:
        """The whole game; None if it is thrown away."""
        begun = datetime.datetime.now(datetime.UTC).astimezone().isoformat(timespec="seconds")
        ending, winner = self._greet()
        while not ending:
            if cancelled():
                raise MatchCancelledError(
                    f"the match of {self._names[0]} against {self._names[1]} was asked to stop"
                )
            if thrown_away():
                return None
            outcome = self._position.outcome(max_plies, declares=False)
            if outcome is not None:
                colours: tuple[Colour, Colour] = ("black", "white")
                ending = outcome.ending
                winner = None if outcome.winner is None else colours[outcome.winner]
                break
            ending, winner = self._move()
        self._say_goodbye(winner)
        black, white = (self._names[self._sides[side]] for side in ("black", "white"))
        record = GameRecord(
            black=black,
            white=white,
            start=self._opening.start,
            moves=tuple(self._position.moves),
            ending=ending,
            winner=winner,
            opening_plies=len(self._opening.moves),
            values=tuple(self._values),
            seconds=tuple(self._seconds),
            date=begun,
            event=event,
        )
        result = 0 if winner is None else 1 if self._sides[winner] == 0 else -1
        return _Played(record, result)

    def _greet(self) -> tuple[str, Colour | None]:
        """Tells both of a new game; one that fails at that loses it."""
        for side, number in self._sides.items():
            try:
                self._engines[number].new_game()
            except (EngineCrashed, EngineStalled) as error:
                return self._fault(side, error)
        return "", None

    def _say_goodbye(self, winner: Colour | None) -> None:
        for side, number in self._sides.items():
            with contextlib.suppress(EngineCrashed, EngineStalled):
                said = "draw" if winner is None else "win" if winner == side else "lose"
                self._engines[number].game_over(said)

    def _move(self) -> tuple[str, Colour | None]:
        """Asks who is to move; how the game ended by that, empty if it goes on, and who won."""
        side: Colour = "white" if self._position.turn else "black"
        other: Colour = "black" if side == "white" else "white"
        engine, settings = (of[self._sides[side]] for of in (self._engines, self._settings))
        assert isinstance(engine, UsiEngine) and isinstance(settings, UsiSettings)
        limits, patience = settings.go, settings.seconds
        if self._clock is not None:
            limits = self._clock.words()
            patience += self._clock.allowed(side) / 1000
        try:
            engine.position(self._opening.start, self._position.moves)
            best = engine.go(limits, patience)
        except BadAnswer as error:
            return self._lost("illegal_move", other, error)
        except (EngineCrashed, EngineStalled) as error:
            return self._fault(side, error)
        if self._clock is not None and not self._clock.take(side, 1000 * best.seconds):
            return self._lost("time", other, f"{engine.name}: {best.seconds:.3f} s for {limits}")
        if best.move == "resign":
            return "resignation", other
        if best.move == "win":
            if self._position.can_declare:
                return "declaration", side
            return self._lost("illegal_move", other, f"{engine.name}: a declaration that is none")
        try:
            self._position.push(best.move)
        except ValueError as error:
            return self._lost("illegal_move", other, f"{engine.name}: {error}")
        self._seconds.append(best.seconds)
        value = expected_result(best.info)
        self._values.append(None if value != value else value)
        return "", None

    def _fault(self, side: Colour, error: EngineCrashed | EngineStalled) -> tuple[str, Colour]:
        """A process that is gone or silent: it loses, and is there again for the next game."""
        ending = "crash" if isinstance(error, EngineCrashed) else "stall"
        self._engines[self._sides[side]].start()
        return self._lost(ending, "black" if side == "white" else "white", error)

    def _lost(self, ending: str, winner: Colour, reason: object) -> tuple[str, Colour]:
        _log.warning("game %d, ply %d: %s: %s", self._game, self._position.ply, ending, reason)
        return ending, winner
