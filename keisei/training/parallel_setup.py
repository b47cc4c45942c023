"""Setting up parts that do not depend on each other, at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def set_up_together(
    parts: Mapping[str, Callable[[], Any]],
    prepare: Callable[[], None] = lambda: None,
    seconds: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Calls each part in a thread of its own; returns what they gave, in the order of ``parts``.

    ``prepare`` is called first in each thread. To ``seconds`` is added what each part took. All are
    waited for. If some fail, the first one's
    exception, in the order of ``parts``, is raised as it is; its notes name it and the others.
    """
    if not parts:
        return {}
    taken = {} if seconds is None else seconds

    def timed(name: str, part: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        try:
            return part()
        finally:
            taken[name] = taken.get(name, 0.0) + time.perf_counter() - start

    with ThreadPoolExecutor(
        len(parts), thread_name_prefix="keisei-setup", initializer=prepare
    ) as pool:
        futures = {name: pool.submit(timed, name, part) for name, part in parts.items()}
    failures = {name: error for name, future in futures.items() if (error := future.exception())}
    if failures:
        first, *others = failures
        failures[first].add_note(f"while setting up {first}")
        for name in others:
            failures[first].add_note(f"setting up {name} failed too: {failures[name]}")
        raise failures[first]
    return {name: future.result() for name, future in futures.items()}
