"""Parts that are set up at the same time."""

from __future__ import annotations

import threading

import pytest

from keisei.training.parallel_setup import set_up_together


def test_they_run_at_the_same_time_and_keep_their_order() -> None:
    both = threading.Barrier(2, timeout=30)

    def part(value: str) -> str:
        both.wait()  # never passed if one were run after the other
        return value

    prepared: list[str] = []
    made = set_up_together(
        {"b": lambda: part("of b"), "a": lambda: part("of a")},
        prepare=lambda: prepared.append(threading.current_thread().name),
    )
    assert list(made.items()) == [("b", "of b"), ("a", "of a")]
    assert len(prepared) == 2 and threading.current_thread().name not in prepared
    assert set_up_together({}) == {}


def test_a_failure_names_its_part_and_stays_what_it_was() -> None:
    done: list[str] = []

    def fail() -> None:
        raise FileNotFoundError("no such file")

    def fail_too() -> None:
        raise RuntimeError("too little memory")

    with pytest.raises(FileNotFoundError, match="no such file") as caught:
        set_up_together(
            {
                "metrics_manager": lambda: done.append("metrics"),
                "env_manager": fail,
                "model_manager": fail_too,
            }
        )
    assert done == ["metrics"], "expected the others to be finished"
    assert caught.value.__notes__ == [
        "while setting up env_manager",
        "setting up model_manager failed too: too little memory",
    ]
