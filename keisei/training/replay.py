"""The watched game's moves, one after the other at a steady pace."""

from __future__ import annotations

from keisei.training.live_game import LiveGame, LiveRows


class Replay:
    """Shows the plies of one rollout, then those of the one that was given last.

    A rollout takes the games on by dozens of plies in a moment; what is given while one is still
    shown waits, and only the newest. Without anything new the last position stays.
    """

    def __init__(self, moves_per_second: float) -> None:
        self._pace = moves_per_second
        self._views: tuple[LiveGame, ...] = ()
        self._since = 0.0
        self._waiting: LiveRows | None = None
        self.ends = -float("inf")
        """when the last position that is known is reached, by the clock of ``at``"""

    def give(self, rows: LiveRows) -> None:
        """Takes the plies of a rollout."""
        self._waiting = rows
        # Whoever asks now need not copy the next one: how long this one takes is not yet known.
        self.ends = float("inf")

    def at(self, now: float) -> LiveGame | None:
        """The position to show at a time in seconds; None before anything was given."""
        index = int((now - self._since) * self._pace)
        if index >= len(self._views) and self._waiting is not None:
            self._views, self._waiting = self._waiting.views, None
            self._since, index = now, 0
        if self._waiting is None and self._views:
            self.ends = self._since + len(self._views) / self._pace
        return self._views[min(index, len(self._views) - 1)] if self._views else None
