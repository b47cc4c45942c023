"""Rectangles of styled text that are put side by side and on top of each other.

Rich's own layouts do the same and take some ten times as long, which a display beside a training
run cannot afford: blocks are kept as they are until what they show has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

Line = list[Segment]
Block = list[Line]
"""Lines of equal width in cells: a character such as 歩 has two"""

PLAIN = Style()


def segment(text: str, style: str | Style = PLAIN) -> Segment:
    """Text in a style; lines are made of these."""
    return Segment(text, style if isinstance(style, Style) else parse(style))


_PARSED: dict[str, Style] = {}


def parse(style: str) -> Style:
    """A style by its name, parsed once."""
    found = _PARSED.get(style)
    if found is None:
        found = _PARSED[style] = Style.parse(style)
    return found


def fit(line: Iterable[Segment], width: int) -> Line:
    """The line cut or filled to ``width`` cells; a wide character that is cut becomes a space."""
    return Segment.adjust_line_length(list(line), width)


def text_line(text: str, width: int, style: str = "") -> Line:
    """One line of text, cut or filled."""
    return fit([segment(text, style)], width)


def spread(left: Sequence[Segment], right: Sequence[Segment], width: int) -> Line:
    """``left`` at the left edge and ``right`` at the right one, which is cut if they meet."""
    room = width - sum(part.cell_length for part in left)
    fill = max(1, room - sum(part.cell_length for part in right))
    return fit([*left, segment(" " * fill), *right], width)


def rule(title: str, width: int, *, ascii_only: bool = False) -> Line:
    """A line across with a title in it."""
    dash = "-" if ascii_only else "─"
    head = f"{dash}{dash} {title} " if title else ""
    rest = max(0, width - cell_len(head))
    return fit(
        [
            segment(f"{dash}{dash} " if title else "", "dim"),
            segment(f"{title} " if title else "", "bold cyan"),
            segment(dash * rest, "dim"),
        ],
        width,
    )


def sized(lines: Sequence[Line], width: int, height: int) -> Block:
    """The lines cut or filled to exactly this size."""
    block = [list(Segment.simplify(fit(line, width))) for line in lines[:height]]
    return block + [text_line("", width) for _ in range(height - len(block))]


def beside(*blocks: Block, gap: int = 2) -> Block:
    """Blocks of equal height from left to right."""
    space = [segment(" " * gap)]
    joined: Block = []
    for lines in zip(*blocks, strict=True):
        whole: Line = []
        for number, line in enumerate(lines):
            whole += space * (number > 0) + line
        joined.append(whole)
    return joined


@dataclass(frozen=True)
class Picture:
    """A block as something that rich prints."""

    block: Block

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Its lines, one after the other."""
        for line in self.block:
            yield from line
            yield Segment.line()


def plain(block: Block) -> Iterator[str]:
    """The lines without styles."""
    for line in block:
        yield "".join(part.text for part in line)
