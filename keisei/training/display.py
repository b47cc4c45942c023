"""What a person sees of a run while it goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_log = logging.getLogger(__name__)

# Plain lines at most so often, in seconds; the first and the last figures are shown in any case.
_LINE_INTERVAL = 5.0


def format_seconds(seconds: float) -> str:
    """``1:02:03``; ``-`` while it is not known."""
    if seconds != seconds or seconds in (float("inf"), float("-inf")):
        return "-"
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def format_rate(rate: float) -> str:
    """A rate in three figures: ``842``, ``1.31k``, ``2.5M``."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rate >= 0.9995 * limit:
            return f"{rate / limit:.3g}{suffix}"
    return f"{rate:.3g}"


def _share(count: float, games: float) -> str:
    return f"{int(count):,} ({100 * count / games:.0f}%)" if games else f"{int(count):,}"


class ProgressDisplay:
    """A live panel on a terminal, plain log lines elsewhere, from ``start`` to ``stop``."""

    def __init__(self, console: Console, title: str, total_steps: int) -> None:
        self._console = console
        self._title = title
        self._total = total_steps
        self._phase = "starting"
        self._step = 0
        self._seconds = 0.0
        self._left = float("nan")
        self._metrics: dict[str, float] = {}
        self._last_line = -float("inf")
        self._live: Live | None = None

    def start(self) -> None:
        """Begins to draw, on a terminal; a second call does nothing."""
        if self._console.is_terminal and self._live is None:
            self._live = Live(
                console=self._console, get_renderable=self.__rich__, refresh_per_second=4
            )
            self._live.start()

    def stop(self) -> None:
        """Ends the drawing; a second call does nothing."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def phase(self, text: str) -> None:
        """Says what is being done now; seen on a terminal only."""
        self._phase = text

    def update(self, step: int, seconds: float, left: float, metrics: Mapping[str, float]) -> None:
        """Shows the figures of one iteration; ``left`` is the time the rest will take."""
        self._step, self._seconds, self._left = step, seconds, left
        self._metrics = dict(metrics)
        now = time.monotonic()
        due = now - self._last_line >= _LINE_INTERVAL or step >= self._total
        if self._live is None and due:
            self._last_line = now
            _log.info("%s", self.line())

    def line(self) -> str:
        """The figures in one line."""
        m = self._metrics
        return (
            f"step {self._step:,}/{self._total:,} ({100 * self._step / self._total:.1f}%)"
            f" | {format_rate(m['speed.positions_per_second'])} positions/s"
            f" {format_rate(m['speed.games_per_second'])} games/s"
            f" | {self._learned()}"
            f" | black {int(m['games.black_wins'])} white {int(m['games.white_wins'])}"
            f" draw {int(m['games.draws'])} cut {int(m['games.truncated'])}"
            f" | left {format_seconds(self._left)}"
        )

    def __rich__(self) -> RenderableType:
        head = Table.grid(padding=(0, 2))
        head.add_row(
            f"{self._step:,} / {self._total:,} plies",
            ProgressBar(total=self._total, completed=min(self._step, self._total), width=30),
            f"{format_seconds(self._seconds)} so far",
            f"{format_seconds(self._left)} left",
            Text(self._phase, style="dim"),
        )
        parts: list[RenderableType] = [head]
        if self._metrics:
            parts.append(self._figures())
        return Panel(Group(*parts), title=self._title, title_align="left")

    def _learned(self) -> str:
        """The learner's figures; an update that took no step has none."""
        m = self._metrics
        if "learn.policy_loss" not in m:
            return "no gradient step was taken"
        return (
            f"policy {m['learn.policy_loss']:+.4f} value {m['learn.value_loss']:.4f}"
            f" entropy {m['learn.entropy']:.3f} KL {m['learn.approx_kl']:.4f}"
        )

    def _figures(self) -> Table:
        m = self._metrics
        games = m["games.games"]
        speed = {
            "positions/s": format_rate(m["speed.positions_per_second"]),
            "games/s": format_rate(m["speed.games_per_second"]),
            "collecting": f"{m['speed.collect_seconds']:.2f} s",
            "learning": f"{m['speed.learn_seconds']:.2f} s",
            "plies a game": f"{m['games.mean_plies']:.0f}" if games else "-",
        }
        learning = {
            name: format(m[key], form) if key in m else "-"
            for name, key, form in (
                ("policy loss", "learn.policy_loss", "+.4f"),
                ("value loss", "learn.value_loss", ".4f"),
                ("entropy", "learn.entropy", ".3f"),
                ("KL", "learn.approx_kl", ".4f"),
                ("explained", "learn.explained_variance", ".2f"),
            )
        }
        results = {
            "black won": _share(m["games.black_wins"], games),
            "white won": _share(m["games.white_wins"], games),
            "drawn": _share(m["games.draws"], games),
            "cut off": _share(m["games.truncated"], games),
            "games": f"{int(games):,}",
        }
        endings = {
            "mate": f"{int(m['games.ending_no_legal_move']):,}",
            "declaration": f"{int(m['games.ending_declaration']):,}",
            "repetition": f"{int(m['games.ending_repetition']):,}",
            "perpetual check": f"{int(m['games.ending_perpetual_check']):,}",
            "move limit": f"{int(m['games.ending_move_limit']):,}",
        }
        table = Table.grid(padding=(0, 2))
        columns = (speed, learning, results, endings)
        for _ in columns:
            table.add_column(style="cyan")
            table.add_column(justify="right")
        for row in zip(*(column.items() for column in columns), strict=True):
            table.add_row(*(cell for pair in row for cell in pair))
        return table
