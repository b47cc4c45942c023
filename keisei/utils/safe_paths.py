"""Names and folders that stay where they belong."""

from __future__ import annotations

import re
from pathlib import Path

# Of folders that keisei makes; the umask may take more away.
FOLDER_MODE = 0o755
_NAME = re.compile(r"\w[\w.+=@,~ -]*")
_LONGEST_NAME = 200


def check_name(name: str, what: str) -> str:
    """``name`` if it can be the name of one visible folder; ValueError, which says why, otherwise.

    Letters, digits and ``_.+=@,~ -``, the first a letter, digit or underscore, no ``..``: so it can
    be no path, no option of a command and no pattern.
    """
    if not _NAME.fullmatch(name) or ".." in name or len(name.encode()) > _LONGEST_NAME:
        raise ValueError(
            f"{what}: expected the name of one folder (letters, digits and _.+=@,~ -, no '..', "
            f"at most {_LONGEST_NAME} bytes), got {name!r}"
        )
    return name


def check_inside(path: Path, folder: Path, what: str) -> Path:
    """``path`` if it lies below ``folder`` once links are followed; ValueError otherwise."""
    real, root = path.resolve(), folder.resolve()
    if real == root or not real.is_relative_to(root):
        raise ValueError(f"{what}: expected a place in {root}, got {path}, which is {real}")
    return path


def make_folder(path: Path) -> None:
    """Makes a folder and its missing parents, none of them writable by others."""
    for part in [*reversed(path.parents), path]:
        if not part.exists():
            part.mkdir(mode=FOLDER_MODE, exist_ok=True)
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)
