"""How ranks find each other in a store that may still hold what ranks before them wrote."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from datetime import timedelta

from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

_PAUSE_SECONDS = 0.02


def _open_store(rank: int, world_size: int, timeout: timedelta) -> TCPStore:
    """The store at MASTER_ADDR:MASTER_PORT, which torchrun or else the first rank keeps."""
    kept_by_torchrun = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        world_size,
        is_master=rank == 0 and not kept_by_torchrun,
        timeout=timeout,
        wait_for_workers=False,
        multi_tenant=True,
    )


def store_of(rank: int, world_size: int, timeout: timedelta) -> Store:
    """A store that these ranks have for themselves, once all of them are here; see ``meet``."""
    store = _open_store(rank, world_size, timeout)
    word = meet(PrefixStore("keisei", store), rank, world_size, timeout)
    return PrefixStore(f"keisei/{word}", store)


def meet(store: Store, rank: int, world_size: int, timeout: timedelta) -> str:
    """Returns once all ranks are here: a word that they, and no ranks before them, have in common.

    torchrun keeps its store when it starts the ranks anew. What the dead ones left there, such as
    their addresses, must not be taken for that of the living, so everything of these ranks goes
    below this word. Each rank writes a name that nobody had before; the first one proposes the
    names it sees; all confirm the proposal that has theirs; then it holds. Raises RuntimeError,
    which names the missing, after ``timeout``.
    """
    own = secrets.token_hex(16)
    store.set(f"join/{rank}", own)
    proposed, missing = "", list(range(world_size))
    end = time.monotonic() + timeout.total_seconds()
    while time.monotonic() < end:
        if rank == 0:
            names = [_read(store, f"join/{other}") for other in range(world_size)]
            proposal = " ".join(names)
            if proposal != proposed and all(names):
                store.set("proposal", proposal)
                proposed = proposal
            missing = [
                other
                for other in range(1, world_size)
                if not proposed or _read(store, f"confirmed/{other}") != proposed
            ]
            if not missing:
                store.set("holds", proposed)
        else:
            proposal = _read(store, "proposal")
            if proposal != proposed and own in proposal.split(" "):
                store.set(f"confirmed/{rank}", proposal)
                proposed = proposal
        if proposed and _read(store, "holds") == proposed:
            return hashlib.sha256(proposed.encode()).hexdigest()[:16]
        time.sleep(_PAUSE_SECONDS)
    others = f"ranks {missing} of {world_size}" if rank == 0 else "rank 0"
    raise RuntimeError(f"{others}: not met within {timeout.total_seconds():g} s")


def _read(store: Store, key: str) -> str:
    return store.get(key).decode() if store.check([key]) else ""
