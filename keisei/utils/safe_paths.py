"""Folders that stay where they belong."""

from __future__ import annotations

from pathlib import Path

# Of folders that keisei makes; the umask may take more away.
FOLDER_MODE = 0o755


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
