"""Closing several things, whatever happens to one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def do_all(parts: Iterable[Callable[[], object]]) -> None:
    """Calls every part in order; then raises the first failure, whose notes tell of the others."""
    failures: list[Exception] = []
    for part in parts:
        try:
            part()
        except Exception as error:
            failures.append(error)
    if failures:
        for later in failures[1:]:
            failures[0].add_note(f"and then: {later}")
        raise failures[0]
