"""A callback: every game that ended, one line each."""

from __future__ import annotations

import csv

from keisei.training.callbacks import Callback, Snapshot

HEADER = ("iteration", "slot", "winner", "ending", "length")
FILE = "games.csv"


class GamesCsv(Callback):
    """Appends the games of each rollout to ``games.csv`` in the run's folder.

    ``winner`` is 0 for black, 1 for white, -1 for nobody; ``ending`` is named in ``keisei.ops``.
    """

    name = "games-csv"

    def on_start(self, snapshot: Snapshot) -> None:
        """Keeps, of a run that is resumed, the games up to where it goes on."""
        path = snapshot.run_dir / FILE
        kept = [HEADER]
        if path.exists():
            with path.open(newline="") as file:
                rows = [row for row in csv.reader(file) if len(row) == len(HEADER)]
            kept += [tuple(row) for row in rows[1:] if int(row[0]) <= snapshot.iteration]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(kept)

    def on_game_end(self, snapshot: Snapshot) -> None:
        """Writes the games that ended in this rollout."""
        games = snapshot.data["games"]
        iteration = snapshot.iteration + 1  # the one that this rollout belongs to
        with (snapshot.run_dir / FILE).open("a", newline="") as file:
            csv.writer(file).writerows(
                (iteration, *row)
                for row in zip(games.slot, games.winner, games.ending, games.length, strict=True)
            )
