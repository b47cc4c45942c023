"""Ranks meet, whatever those before them left in the store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch.distributed as dist

from keisei.core.meeting import meet

WAIT = timedelta(seconds=60)


def meet_all(store: dist.Store, size: int) -> set[str]:
    with ThreadPoolExecutor(size) as pool:
        return set(pool.map(lambda rank: meet(store, rank, size, WAIT), range(size)))


def test_all_ranks_get_one_word_and_another_each_time() -> None:
    store = dist.HashStore()
    words = [meet_all(store, 3) for _ in range(3)]
    assert [len(word) for word in words] == [1, 1, 1]
    assert len(set.union(*words)) == 3


def test_a_rank_waits_for_those_that_live() -> None:
    """Rank 0 comes first and finds only what a dead rank 1 wrote."""
    store = dist.HashStore()
    before = meet_all(store, 2)
    stale = store.get("proposal")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(meet, store, 0, 2, WAIT)
        looked = threading.Event()
        while store.get("proposal") == stale:  # until the first has proposed with the dead one
            looked.wait(0.01)
        assert not first.done()
        second = pool.submit(meet, store, 1, 2, WAIT)
        assert first.result() == second.result()
    assert {first.result()} != before


def test_who_was_not_met() -> None:
    store = dist.HashStore()
    with pytest.raises(RuntimeError, match=r"ranks \[1, 2\] of 3: not met within 0\.1 s"):
        meet(store, 0, 3, timedelta(seconds=0.1))
    with pytest.raises(RuntimeError, match=r"rank 0: not met within 0\.1 s"):
        meet(store, 1, 2, timedelta(seconds=0.1))
