"""Folders that stay where they belong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keisei.utils.safe_paths import check_inside, make_folder


def test_a_place_below_a_folder_is_inside_and_nothing_else_is(tmp_path: Path) -> None:
    folder, other = tmp_path / "runs", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    assert check_inside(folder / "a" / "b", folder, "x") == folder / "a" / "b"
    (folder / "link").symlink_to(other)
    (folder / "own").symlink_to(folder / "a")
    assert check_inside(folder / "own", folder, "x") == folder / "own"
    for outside in (folder, folder / "..", other, folder / "link", folder / "link" / "deeper"):
        with pytest.raises(ValueError, match=r"^x: expected a place in .*runs, got "):
            check_inside(outside, folder, "x")


def test_folders_are_writable_by_nobody_else(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_folder(tmp_path / "a" / "b")
        make_folder(tmp_path / "a" / "b")
        os.umask(0o077)
        make_folder(tmp_path / "private")
    finally:
        os.umask(before)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "private")}
    assert modes == {"a": 0o755, "a/b": 0o755, "private": 0o700}
