"""The last messages of a run, as a panel."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Iterator

from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from keisei.utils.masking import MaskingFormatter


class MessagePanel(logging.Handler):
    """Keeps the last ``limit`` messages that were logged; rich draws it as a panel."""

    def __init__(self, limit: int = 1000) -> None:
        super().__init__()
        self.setFormatter(MaskingFormatter("%(asctime)s %(message)s", "%H:%M:%S"))
        self._lines: deque[str] = deque(maxlen=limit)
        self.count = 0
        """messages so far, those that were dropped too"""

    @property
    def dropped(self) -> int:
        """Messages that are not kept any more."""
        return self.count - len(self._lines)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps one message, as ``logging`` calls it."""
        self._lines.append(self.format(record))
        self.count += 1

    def last(self, count: int) -> list[str]:
        """The last messages, at most so many, the oldest first."""
        self.acquire()
        try:
            lines = list(itertools.islice(reversed(self._lines), count))
        finally:
            self.release()
        return lines[::-1]

    def note(self, line: str) -> None:
        """Keeps a line that was not logged."""
        self.handle(logging.makeLogRecord({"msg": line}))

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[str]:
        return iter(self.last(len(self._lines)))

    def __rich__(self) -> Panel:
        lines = [Text(line) for line in self]
        if self.dropped:
            lines.insert(0, Text(f"({self.dropped:,} earlier messages)", style="dim"))
        return Panel(Group(*lines), title="messages", title_align="left")
