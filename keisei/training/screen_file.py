"""The screen of a run as a picture."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment

from keisei.training.blocks import Block, Picture

# As rich's own, but for web fonts: a picture of a run fetches nothing from anywhere.
_SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: "Noto Sans Mono CJK JP", "Noto Sans Mono", "DejaVu Sans Mono",
 Menlo, Consolas, monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font: bold 18px sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g></svg>
"""


def screen_svg(block: Block, title: str) -> str:
    """A screen as one SVG document, which needs nothing but a monospaced font."""
    width = sum(part.cell_length for part in block[0]) if block else 1
    console = Console(
        file=io.StringIO(), record=True, width=width, height=len(block), color_system="truecolor",
        force_terminal=True, legacy_windows=False,
    )  # fmt: skip
    console.print(Picture([list(_apart(line)) for line in block]))
    return console.export_svg(title=title, code_format=_SVG, unique_id="keisei")


def _apart(line: list[Segment]) -> Iterator[Segment]:
    """The same line, each wide character by itself: rich gives texts the length of narrow ones."""
    for text, style, _ in line:
        narrow = ""
        for character in text:
            if cell_len(character) == 1:
                narrow += character
                continue
            if narrow:
                yield Segment(narrow, style)
            narrow = ""
            yield Segment(character, style)
        if narrow:
            yield Segment(narrow, style)
