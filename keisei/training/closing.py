"""Closing several things, whatever happens to one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def do_all(parts: Iterable[Callable[[], object]]) -> None:
    """Calls every part in order; then raises the first failure, whose notes tell of the others.

    One that only says again what another said is not told twice.
    """
    failures: list[Exception] = []
    for part in parts:
        try:
            part()
        except Exception as error:  # raised below, once the other parts are closed
            failures.append(error)
    if failures:
        told = {str(failures[0])}
        for later in failures[1:]:
            if str(later) not in told:
                failures[0].add_note(f"and then: {later}")
                told.add(str(later))
        raise failures[0]
