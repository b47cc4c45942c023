"""Engines that are ended whatever a test does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine import search_check
from engine.driver import Engine
from engine.search_check import SearchCheck


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


@pytest.fixture(scope="session")
def search_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """keisei_search_check, built with the thread sanitizer once in a run of the tests.

    The variable KEISEI_SEARCH_CHECK names one that is there already.
    """
    if "KEISEI_SEARCH_CHECK" in os.environ:
        return Path(os.environ["KEISEI_SEARCH_CHECK"])
    if search_check.find_cmake() is None:
        pytest.skip("no CMake is installed")
    base = tmp_path_factory.getbasetemp()
    # Processes of one run share the folder above their own.
    shared = base.parent if "PYTEST_XDIST_TESTRUNUID" in os.environ else base
    return search_check.build(shared / "search_check")


@pytest.fixture
def search(search_program: Path) -> Iterator[SearchCheck]:
    """A search with the mock evaluator, one thread, batches of eight and no mate search."""
    check = SearchCheck(search_program)
    check.set(threads=1, batch=8, hash=16, mate=0, leaf_mate=0)
    yield check
    check.close()
