"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _as_the_umask_says(path: Path) -> None:
    """Gives a file the mode of one that was just created; some libraries write theirs as 0600."""
    # os.umask could only tell by changing it, for every thread.
    status = Path("/proc/self/status").read_text()
    mask = int(status.partition("Umask:")[2].split(maxsplit=1)[0], 8)
    path.chmod(0o666 & ~mask)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a name beside ``path`` to write to; it becomes ``path`` when the block ends well."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        _as_the_umask_says(temporary)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def unpublished(directory: Path) -> Path:
    """The name under which ``directory`` is prepared; the same in every process."""
    return directory.with_name(f".{directory.name}.tmp")


def clear(folder: Path) -> None:
    """Makes ``folder`` and its parents; what a killed process left in it goes."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def publish(temporary: Path, directory: Path) -> None:
    """Makes ``temporary``, whose files are on the disk, ``directory`` by one rename.

    A folder that stood there before changes places with it and is then removed: at every moment one
    of the two is there.
    """
    _sync(temporary)
    if directory.exists():
        _exchange(temporary, directory)
        _sync(directory.parent)
        shutil.rmtree(temporary)
    else:
        temporary.rename(directory)
        _sync(directory.parent)


def _exchange(a: Path, b: Path) -> None:
    """Swaps the names of two folders, in one step where the file system can."""
    code = _swap(a, b)
    if code == 0:
        return
    if code not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(code, os.strerror(code), str(b))
    aside = b.with_name(f".{b.name}.old")  # network file systems; ``recover`` mends a kill here
    b.rename(aside)
    a.rename(b)
    aside.rename(a)


def _swap(a: Path, b: Path) -> int:
    """Linux's renameat2; returns the error's number, 0 for none."""
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.renameat2(_AT_FDCWD, bytes(a), _AT_FDCWD, bytes(b), _RENAME_EXCHANGE)
    return ctypes.get_errno() if failed else 0


def remove_published(directory: Path) -> None:
    """Removes a folder so that a process killed meanwhile leaves no half of it under its name."""
    aside = unpublished(directory)
    if aside.exists():
        shutil.rmtree(aside)
    directory.rename(aside)
    shutil.rmtree(aside)


def recover(parent: Path) -> None:
    """Clears what processes left in ``parent`` that were killed while publishing there.

    Nobody else may be publishing there now.
    """
    for aside in parent.glob(".*.old"):
        name = parent / aside.name.removeprefix(".").removesuffix(".old")
        if name.exists():
            shutil.rmtree(aside)
        else:
            aside.rename(name)
    for temporary in parent.glob(".*.tmp"):
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink()


def remove_empty_folders(folder: Path) -> None:
    """Removes ``folder`` and those in it, from the inside, as far as they hold no files."""
    if not folder.is_dir():
        return
    for inner in folder.iterdir():
        if inner.is_dir() and not inner.is_symlink():
            remove_empty_folders(inner)
    with contextlib.suppress(OSError):  # something is in it
        folder.rmdir()


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
