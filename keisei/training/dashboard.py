"""The screen of a run: what stands where, at whatever size the terminal has."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment

from keisei.evaluation.ladder import LadderRow
from keisei.training.blocks import (
    Block,
    Line,
    Picture,
    beside,
    fit,
    rule,
    segment,
    sized,
    spread,
    text_line,
)
from keisei.training.board_panel import LARGE, SMALL, board_block
from keisei.training.live_game import LiveGame, LiveRows
from keisei.training.message_panel import MessagePanel
from keisei.training.metric_panels import (
    GAMES,
    LEARNING,
    SPEED,
    Group,
    Histories,
    format_rate,
    format_seconds,
    group_block,
)
from keisei.training.replay import Replay

# From these sizes on the board with lines, and the compact board beside the figures, have room.
_RICH = (150, 44)
_BESIDE = (76, 20)
_GAP = 2
_LADDER = 34
# Curves are the dearest to draw; iterations may come much faster than anybody reads them.
_CURVES_SECONDS = 1.0


@dataclass(frozen=True)
class Progress:
    """Where the run stands."""

    step: int = 0
    total: int = 0
    seconds: float = 0.0
    left: float = math.nan
    positions_per_second: float = math.nan
    games_per_second: float = math.nan


class Dashboard:
    """Everything that is shown, and its layout. One thread at a time may use it.

    Each part is drawn anew only when what it shows, or its size, has changed.
    """

    def __init__(
        self,
        title: str,
        total: int,
        messages: MessagePanel,
        *,
        moves_per_second: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[], str] = lambda: time.strftime("%H:%M:%S"),
    ) -> None:
        self._title = title
        self._messages = messages
        self._time_of_day = time_of_day
        self._clock = clock
        self.phase = "starting"
        self.replay = Replay(moves_per_second)
        self._progress = Progress(total=total)
        self._histories = Histories()
        self._ladder: tuple[LadderRow, ...] = ()
        self._iterations = 0
        self._drawn_iterations = 0
        self._curves_at = -math.inf
        self._ascii_only = False
        self._kept: dict[str, tuple[Hashable, Block]] = {}
        self._parts: dict[str, Block] = {}

    def update(self, step: int, seconds: float, left: float, metrics: Mapping[str, float]) -> None:
        """Takes the figures of one iteration."""
        self._iterations += 1
        self._progress = Progress(
            step,
            self._progress.total,
            seconds,
            left,
            metrics.get("speed.positions_per_second", math.nan),
            metrics.get("speed.games_per_second", math.nan),
        )
        self._histories.add(metrics)

    def game(self, rows: LiveRows) -> None:
        """Takes the watched game's plies of a rollout; shown once those before have been."""
        self.replay.give(rows)

    def ladder(self, rows: Sequence[LadderRow]) -> None:
        """Takes the ladder as it is now, the strongest first."""
        self._ladder = tuple(rows)

    @property
    def shows_board(self) -> bool:
        """Whether there was room for the board when it was last drawn."""
        return any(name.startswith("board") for name in self._parts)

    def block(
        self, width: int, height: int, *, ascii_only: bool = False, fresh: bool = False
    ) -> Block:
        """The whole screen, exactly ``height`` lines of ``width`` cells.

        Curves follow the figures once a second or, with ``fresh``, at once.
        """
        self._begin(ascii_only, fresh)
        if width >= _RICH[0] and height >= _RICH[1]:
            block = self._rich(width, height)
        elif width >= _BESIDE[0] and height >= _BESIDE[1]:
            block = self._beside(width, height)
        else:
            block = self._stacked(width, height)
        self._kept = {name: kept for name, kept in self._kept.items() if name in self._parts}
        return block if len(block) == height else sized(block, width, height)

    def _begin(self, ascii_only: bool, fresh: bool) -> None:
        now = self._clock()
        if fresh or now - self._curves_at >= _CURVES_SECONDS:
            self._drawn_iterations, self._curves_at = self._iterations, now
        self._ascii_only = ascii_only
        self._parts = {}

    def summary(self, width: int, *, ascii_only: bool = False) -> Block:
        """Where the run stands, in a few lines."""
        self._begin(ascii_only, True)
        blocks = [self._group(group, width, 5) for group in (LEARNING, GAMES)]
        return self._head(width) + [line for block in blocks for line in block]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The whole screen in the size of the console."""
        height = options.height or options.size.height
        yield Picture(self.block(options.max_width, height, ascii_only=options.ascii_only))

    # The layouts. Heights of their parts add up to the screen's.

    def _rich(self, width: int, height: int) -> Block:
        """A large board with speed below it; learning; games; ladder and messages below."""
        head = self._head(width)
        foot_height = max(8, (height - len(head)) // 5)
        body_height = height - len(head) - foot_height
        board_height = LARGE[1] + 1
        speed_height = body_height - board_height
        left = self._board(LARGE[0], board_height, large=True)
        left = left + self._group(SPEED, LARGE[0], speed_height)
        room = width - LARGE[0] - 2 * _GAP
        columns = [
            self._group(LEARNING, room - room // 2, body_height),
            self._group(GAMES, room // 2, body_height),
        ]
        return head + beside(left, *columns, gap=_GAP) + self._foot(width, foot_height)

    def _beside(self, width: int, height: int) -> Block:
        """The compact board, figures beside it, ladder and messages below."""
        head = self._head(width)
        board_height = SMALL[1] + 1
        body_height = board_height
        rest = height - len(head) - board_height
        grown = max(0, rest - 10)  # beyond ten lines of messages, figures get more room
        body_height += grown
        left = self._board(SMALL[0], board_height)
        left = left + sized([], SMALL[0], grown)
        room = width - SMALL[0] - _GAP
        speed = body_height * 4 // 14
        if grown >= 5:
            left = left[:board_height] + self._group(SPEED, SMALL[0], grown)
            speed = 0
        learning = (body_height - speed) // 2
        right = self._group(LEARNING, room, learning)
        right = right + self._group(GAMES, room, body_height - speed - learning)
        right = right + self._group(SPEED, room, speed) if speed else right
        return head + beside(left, right, gap=_GAP) + self._foot(width, rest - grown)

    def _stacked(self, width: int, height: int) -> Block:
        """One below the other, as far as there is room."""
        head = self._head(width)
        rest = height - len(head)
        block = list(head)
        if width >= SMALL[0] and rest >= SMALL[1] + 1 + 8:
            block += self._board(width, SMALL[1] + 1)
            rest -= SMALL[1] + 1
        if rest >= 4:
            per_column = max(1, (width + 2) // 29)
            for group in (LEARNING, GAMES):
                wanted = 1 + -(-len(group.metrics) // per_column)
                own = min(wanted, rest - 3)
                if own >= 2:
                    block += self._group(group, width, own)
                    rest -= own
        if rest > 0:
            block += self._foot(width, rest)
        return block

    # The parts.

    def _part(self, name: str, key: Hashable, draw: Callable[[], Block]) -> Block:
        """The part as it was drawn, unless its key is another now."""
        kept = self._kept.get(name)
        if kept is None or kept[0] != key:
            kept = self._kept[name] = (key, draw())
        self._parts[name] = kept[1]
        return kept[1]

    def _head(self, width: int) -> Block:
        now = self._time_of_day()
        key = (width, now, self.phase, self._progress, self._ascii_only)
        return self._part("head", key, lambda: self._draw_head(width, now))

    def _draw_head(self, width: int, now: str) -> Block:
        right = [segment(f"{self.phase}  ", "dim"), segment(now, "dim")]
        room = max(10, width - sum(part.cell_length for part in right) - 1)
        title = self._title if cell_len(self._title) <= room else f"{self._title[: room - 1]}~"
        return [spread([segment(title, "bold")], right, width), self._bar(width)]

    def _bar(self, width: int) -> Line:
        """How far the run is: a bar and, as there is room, figures, the most telling first."""
        p = self._progress
        share = min(1.0, p.step / p.total) if p.total else 0.0
        texts = [f"{100 * share:.1f}%", f"{format_seconds(p.left)} left"]
        texts.append(f"{_written(p.positions_per_second)} positions/s")
        texts.append(f"{_written(p.games_per_second)} games/s")
        texts.append(f"{format_rate(p.step)}/{format_rate(p.total)} plies")
        texts.append(f"{format_seconds(p.seconds)} so far")
        shown: list[Segment] = []
        least = min(12, width)
        used = 0
        for text in texts:
            if least + used + 2 + cell_len(text) > width:
                break
            used += 2 + cell_len(text)
            shown += [segment("  "), segment(text, "bold" if not shown else "")]
        cells = min(40, width - used)
        full, empty = ("#", "-") if self._ascii_only else ("━", "─")
        done = round(share * cells)
        bar = [segment(full * done, "green"), segment(empty * (cells - done), "dim")]
        return fit([*bar, *shown], width)

    def _board(self, width: int, height: int, *, large: bool = False) -> Block:
        view = self.replay.at(self._clock())
        key = (width, height, view, self._ascii_only)
        return self._part(
            f"board {large}", key, lambda: self._draw_board(view, width, height, large)
        )

    def _draw_board(self, view: LiveGame | None, width: int, height: int, large: bool) -> Block:
        title = "game" if view is None else f"game {view.slot}, ply {view.ply}"
        board = board_block(view, large=large, ascii_only=self._ascii_only)
        return sized([rule(title, width, ascii_only=self._ascii_only), *board], width, height)

    def _group(self, group: Group, width: int, height: int) -> Block:
        key = (width, height, self._drawn_iterations, self._ascii_only)
        return self._part(
            group.title,
            key,
            lambda: group_block(group, self._histories, width, height, ascii_only=self._ascii_only),
        )

    def _foot(self, width: int, height: int) -> Block:
        """Messages and, if there is a ladder, that beside them."""
        if height <= 0:
            return []
        if not self._ladder or width < 2 * _LADDER:
            return self._message_lines(width, height)
        messages = self._message_lines(width - _LADDER - _GAP, height)
        return beside(messages, self._ladder_lines(_LADDER, height), gap=_GAP)

    def _message_lines(self, width: int, height: int) -> Block:
        key = (width, height, self._messages.count, self._ascii_only)
        return self._part("messages", key, lambda: self._draw_messages(width, height))

    def _draw_messages(self, width: int, height: int) -> Block:
        lines = [rule("messages", width, ascii_only=self._ascii_only)]
        lines += [
            text_line(text, width) for text in _last(self._messages.last(height), width, height - 1)
        ]
        return sized(lines, width, height)

    def _ladder_lines(self, width: int, height: int) -> Block:
        key = (width, height, self._ladder, self._ascii_only)
        return self._part("ladder", key, lambda: self._draw_ladder(width, height))

    def _draw_ladder(self, width: int, height: int) -> Block:
        lines = [rule("ladder (Elo)", width, ascii_only=self._ascii_only)]
        sign = "+-" if self._ascii_only else "±"
        for row in self._ladder[: height - 1]:
            rating = row.rating
            about = (rating.high - rating.low) / 2
            # Who has won or lost every game has a bound on one side only.
            elo = f"{rating.elo:+.0f}" + (f" {sign}{about:.0f}" if 0 < about < math.inf else "")
            room = width - cell_len(elo) - 1
            name = row.name if cell_len(row.name) <= room else f"{row.name[: room - 1]}~"
            lines.append(spread([segment(name)], [segment(elo, "bold")], width))
        return sized(lines, width, height)


def _written(rate: float) -> str:
    return format_rate(rate) if math.isfinite(rate) else "-"


def _last(messages: Sequence[str], width: int, height: int) -> list[str]:
    """The last lines of the messages, long ones broken, wide characters kept whole."""
    lines: list[str] = []
    for message in messages:
        for line in message.splitlines() or [""]:
            lines += _broken(line.expandtabs(), width)
    return lines[-height:] if height > 0 else []


def _broken(text: str, width: int) -> list[str]:
    if width < 2 or cell_len(text) <= width:
        return [text]
    indent = "  " if width > 8 else ""
    lines, line, cells = [], "", 0
    for character in text:
        wide = cell_len(character)
        if cells + wide > width:
            head, space, word = line.rpartition(" ")
            if not space or len(word) > width // 3 or not head.strip():
                head, word = line, ""
            lines.append(head)
            line = indent + word
            cells = cell_len(line)
        line += character
        cells += wide
    return [*lines, line]
