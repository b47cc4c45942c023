"""Noticing at once that another rank has ended, whatever this one waits for."""

from __future__ import annotations

import logging
import os
import threading
from datetime import timedelta

import torch
import torch.distributed as dist

from keisei.core.ranks import Ranks
from keisei.training.terminal_screen import give_back_at_once

_log = logging.getLogger(__name__)

# A rank that failed says so; until the others give up they have this long to fail by themselves,
# which tells more, or to end well.
GRACE_SECONDS = 5.0
_WELL, _FAILED = 0, 1
_FOREVER = timedelta(days=1000)


class PeerWatch:
    """A thread that waits for the word of the rank before this one, in a ring.

    A rank that ends says how; of one that is killed the connection closes. Then this process ends
    too, with status 1 and a line that says why: an NCCL collective would wait for the lost rank
    until its timeout, and Python's main thread with it. Every rank must make one, and ``close`` it
    when it ends by itself.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._group = dist.new_group(backend="gloo", timeout=_FOREVER)
        self._leaving = threading.Event()
        self._before = (ranks.rank - 1) % ranks.world_size
        self._thread = threading.Thread(target=self._wait, name="peer-watch", daemon=True)
        self._thread.start()

    def close(self, *, failed: bool) -> None:
        """Tells the rank after this one that this one ends; ``failed``: by an error.

        Returns once the rank before this one ends as well, be it that it had to.
        """
        self._leaving.set()
        word = torch.tensor([_FAILED if failed else _WELL], dtype=torch.int32)
        try:
            dist.send(word, (self._ranks.rank + 1) % self._ranks.world_size, group=self._group)
        except RuntimeError:
            return  # it has ended already
        # The interpreter cannot end well while the thread waits.
        self._thread.join(2 * GRACE_SECONDS if failed else None)

    def _wait(self) -> None:
        word = torch.zeros(1, dtype=torch.int32)
        try:
            dist.recv(word, self._before, group=self._group)
        except RuntimeError:
            self._end(f"rank {self._before} has gone")
        if int(word) == _FAILED and not self._leaving.wait(GRACE_SECONDS):
            self._end(f"rank {self._before} has failed, as its own message says")

    def _end(self, reason: str) -> None:
        if self._leaving.is_set():
            return
        give_back_at_once()
        _log.error("keisei.train: rank %d ends: %s", self._ranks.rank, reason)
        logging.shutdown()
        os._exit(1)
