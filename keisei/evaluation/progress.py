"""How far a match is, said in the log while it goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from keisei.evaluation.scores import Score

EVERY_SECONDS = 10.0
"""no more than one line in that time"""
_log = logging.getLogger(__name__)


class Progress:
    """Says how far the matches are, the first time ``EVERY_SECONDS`` after it was made.

    Args:
        games: Of each match, at most.
        clock: Seconds, which only grow.
    """

    def __init__(self, games: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._games = games
        self._clock = clock
        self._last = clock()
        self._said = ""

    def say(self, first: str, second: str, score: Score, *, at_once: bool = False) -> None:
        """``score`` is of the games that are over; ``at_once`` also if a line was just said."""
        now = self._clock()
        if not at_once and now - self._last < EVERY_SECONDS:
            return
        text = f"{first} against {second}: {score.games} of {self._games} games, {score}"
        if text == self._said:
            return
        self._last, self._said = now, text
        _log.info("%s", text)
