"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _as_the_umask_says(path: Path) -> None:
    """Gives a file the mode of one that was just created; some libraries write theirs as 0600."""
    mask = os.umask(0)
    os.umask(mask)
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


@contextlib.contextmanager
def publishing(directory: Path) -> Iterator[Path]:
    """Yields an empty folder; one rename makes it ``directory`` when the block ends well.

    A folder that stood there before is set aside for the rename and then removed.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    temporary = directory.with_name(f".{directory.name}.{token}.tmp")
    aside = directory.with_name(f".{directory.name}.{token}.old")
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.iterdir():
            _as_the_umask_says(file)
            _sync(file)
        _sync(temporary)
        if directory.exists():
            directory.rename(aside)
        temporary.rename(directory)
        _sync(directory.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
