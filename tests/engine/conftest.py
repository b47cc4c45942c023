"""Engines that are ended whatever a test does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from engine.driver import Engine


@pytest.fixture
def start() -> Iterator[Callable[..., Engine]]:
    """Starts engines: ``start("--model", "uniform")``."""
    started: list[Engine] = []

    def begin(*arguments: str, **keywords: object) -> Engine:
        started.append(Engine(*arguments, **keywords))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for engine in started:
        engine.close()


@pytest.fixture
def engine(start: Callable[..., Engine]) -> Engine:
    """An engine that needs no weights, ready to play, quick to answer."""
    engine = start("--model", "uniform")
    assert engine.ask("setoption name NodesLimit value 4") == []
    engine.ready()
    return engine
