"""The watched game's moves come one by one, and only the newest rollout waits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from keisei.training.replay import Replay


def rows(*views: str) -> Any:
    return SimpleNamespace(views=views)


def test_moves_come_at_the_pace_and_the_last_one_stays() -> None:
    replay = Replay(moves_per_second=2.0)
    assert replay.at(0.0) is None and replay.ends == -float("inf")
    replay.give(rows("a", "b", "c"))
    assert [replay.at(10.0 + t) for t in (0.0, 0.4, 0.5, 1.0, 1.4, 9.0)] == list("aabccc")
    assert replay.ends == 11.5


def test_what_comes_meanwhile_waits_and_only_the_newest() -> None:
    replay = Replay(moves_per_second=1.0)
    replay.give(rows("a", "b"))
    assert replay.at(0.0) == "a"
    replay.give(rows("lost"))
    assert replay.ends == float("inf"), "nothing more is wanted while something waits"
    replay.give(rows("c", "d"))
    assert [replay.at(t) for t in (1.0, 2.0, 3.0, 4.0)] == ["b", "c", "d", "d"]
    assert replay.ends == 4.0
