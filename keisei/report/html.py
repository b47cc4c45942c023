"""HTML out of parts: what is text is escaped, whatever is in it."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | None | Iterable["Child"]


def tag(
    name: str, attributes: Mapping[str, str | None] | str | None = None, *children: Child
) -> Html:
    """An element. ``attributes`` may be its class alone; one that is None is left out."""
    if isinstance(attributes, str):
        attributes = {"class": attributes}
    given = "".join(
        f' {key}="{html.escape(value, quote=True)}"'
        for key, value in (attributes or {}).items()
        if value is not None
    )
    return Html(f"<{name}{given}>{join(children)}</{name}>")


def join(children: Child) -> Html:
    """All of them, one after another; text is escaped, None is nothing."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str):
        return Html(html.escape(children))
    return Html("".join(map(join, children)))


def table(head: Sequence[Child], rows: Iterable[Sequence[Child]], kind: str | None = None) -> Html:
    """A table with a head, in a box that scrolls where the page is narrow."""
    body = [tag("tr", None, *(tag("td", None, cell) for cell in row)) for row in rows]
    top = tag("thead", None, tag("tr", None, *(tag("th", {"scope": "col"}, cell) for cell in head)))
    return tag("div", "scroll", tag("table", kind, top, tag("tbody", None, *body)))


def data_script(name: str, value: Any) -> Html:
    """Data for scripts: JSON in which nothing can end the element that it stands in."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Html(f'<script type="application/json" id="{name}">{text}</script>')
