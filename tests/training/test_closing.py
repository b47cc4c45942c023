"""Several things are closed, whatever happens to one of them."""

from __future__ import annotations

import pytest

from keisei.training.closing import do_all


def test_all_are_called_and_the_first_failure_is_raised() -> None:
    called: list[str] = []

    def part(name: str, error: Exception | None = None) -> None:
        called.append(name)
        if error is not None:
            raise error

    do_all([lambda: part("a"), lambda: part("b")])
    assert called == ["a", "b"]
    with pytest.raises(OSError, match="disk full") as caught:
        do_all(
            [
                lambda: part("c"),
                lambda: part("d", OSError("disk full")),
                lambda: part("e", ValueError("no panel")),
                lambda: part("f"),
            ]
        )
    assert called[2:] == ["c", "d", "e", "f"]
    assert caught.value.__notes__ == ["and then: no panel"]


def test_an_interruption_is_not_held_up() -> None:
    called: list[str] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do_all([interrupted, lambda: called.append("after")])
    assert called == []
