"""One process at a time writes into a run's folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import weakref
from pathlib import Path

LOCK_FILE = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)

_log = logging.getLogger(__name__)
_held: weakref.WeakValueDictionary[Path, RunLock] = weakref.WeakValueDictionary()


class RunInUseError(RuntimeError):
    """Another process, or another run of this one, writes into the folder."""


class RunLock:
    """Holds the folder ``run`` for this process until ``release``, or until it is forgotten.

    The kernel lets go of it when the process ends, however it ends. In the same process whoever
    comes later takes it over from a holder that is not ``busy``: that one built a run and has not
    begun it. Where the file system has no locks that is logged, and nothing is held. Raises
    RunInUseError if the folder is in use, OSError if the lock's file cannot be made.
    """

    def __init__(self, run: Path) -> None:
        self.busy = False
        self._path = run.resolve() / LOCK_FILE
        descriptor = _lock(self._path)
        holder = _held.get(self._path)
        if descriptor is None and holder is not None and not holder.busy:
            holder.release()
            descriptor = _lock(self._path)
        if descriptor is None:
            raise RunInUseError(
                f"run folder: expected one that nobody writes to, got {run}: the run is in use by "
                f"process {_owner(self._path)}"
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._release = weakref.finalize(self, _unlock, descriptor, self._path, os.getpid())
        _held[self._path] = self

    @property
    def is_held(self) -> bool:
        """Whether the folder is this one's."""
        return self._release.alive

    def release(self) -> None:
        """Lets go; a second call does nothing."""
        self._release()


def _lock(path: Path) -> int | None:
    """An open file with the lock on it; None if another holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            _log.warning("%s: no locks on this file system: start no run twice there", path)
            return descriptor
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)  # whoever held it has just removed that file


def _unlock(descriptor: int, path: Path, process: int) -> None:
    if os.getpid() == process:  # not in a child of it
        path.unlink(missing_ok=True)
    os.close(descriptor)


def _owner(path: Path) -> str:
    try:
        return path.read_text().strip() or "unknown"
    except (OSError, ValueError):
        return "unknown"
