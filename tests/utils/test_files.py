"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from checkpoint_helpers import write

from keisei.utils import files
from keisei.utils.files import (
    clear,
    publish,
    recover,
    remove_empty_folders,
    remove_published,
    replacing,
    unpublished,
)


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "x").write_text(text)
    return path


def test_a_folder_is_published_by_its_name(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "step-1"
    temporary = unpublished(target)
    clear(temporary)
    (temporary / "x").write_text("1")
    assert not target.exists()
    publish(temporary, target)
    assert (target / "x").read_text() == "1"
    assert [p.name for p in target.parent.iterdir()] == ["step-1"]


@pytest.mark.parametrize("code", [0, errno.EINVAL])
def test_publishing_replaces_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """With the exchange of names that Linux has, and without, as on some network file systems."""
    if code:
        monkeypatch.setattr(files, "_swap", lambda *_: code)
    target = folder(tmp_path / "step-1", "old")
    publish(folder(unpublished(target), "new"), target)
    assert (target / "x").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["step-1"]


def test_another_failure_of_the_exchange_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_swap", lambda *_: errno.EACCES)
    target = folder(tmp_path / "step-1", "old")
    with pytest.raises(PermissionError, match="step-1"):
        publish(folder(unpublished(target), "new"), target)
    assert (target / "x").read_text() == "old"


@pytest.mark.parametrize("renames", [1, 2])
def test_a_kill_while_names_change_without_exchange_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    target = folder(tmp_path / "step-1", "old")
    real, done = Path.rename, []

    def killed(self: Path, other: Path) -> Path:
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(other)
        return real(self, other)

    with monkeypatch.context() as patched:
        patched.setattr(files, "_swap", lambda *_: errno.EINVAL)
        patched.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            publish(folder(unpublished(target), "new"), target)
    assert target.exists() == (renames == 2), "expected the test to stop in the middle"
    recover(tmp_path)
    assert (target / "x").read_text() == ("old" if renames == 1 else "new")
    assert [p.name for p in tmp_path.iterdir()] == ["step-1"]


def test_what_is_removed_is_never_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = folder(tmp_path / "step-1", "old")

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(files.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_published(target)
    assert not target.exists()
    recover(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_recovering_clears_files_and_folders_and_nothing_else(tmp_path: Path) -> None:
    folder(tmp_path / "step-1", "kept")
    folder(tmp_path / ".step-2.tmp", "half")
    (tmp_path / ".config.json.1234.tmp").write_text("half")
    folder(tmp_path / ".step-1.old", "replaced")
    recover(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["step-1"]
    assert (tmp_path / "step-1" / "x").read_text() == "kept"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with replacing(path) as temporary:
        temporary.write_text("1")
        assert not path.exists()

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "1"
    assert list(tmp_path.iterdir()) == [path]


def test_empty_folders_go_and_files_stay(tmp_path: Path) -> None:
    (tmp_path / "run/checkpoints/a").mkdir(parents=True)
    (tmp_path / "kept/checkpoints").mkdir(parents=True)
    (tmp_path / "kept/x").mkdir()
    (tmp_path / "kept/x/file").touch()
    for name in ("run", "kept", "nowhere"):
        remove_empty_folders(tmp_path / name)
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == [
        "kept",
        "kept/x",
        "kept/x/file",
    ]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What is synced (by its name at that time), renamed and exchanged from now on, in order."""
    seen: list[tuple[str, ...]] = []
    fsync, rename, replace, swap = os.fsync, os.rename, os.replace, files._swap

    def synced(descriptor: int) -> None:
        seen.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def renamed(a: Path, b: Path, **_: object) -> None:
        seen.append(("rename", Path(a).name, Path(b).name))
        rename(a, b)

    def replaced(a: Path, b: Path, **_: object) -> None:
        seen.append(("replace", Path(a).name, Path(b).name))
        replace(a, b)

    def swapped(a: Path, b: Path) -> int:
        seen.append(("swap", a.name, b.name))
        return swap(a, b)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(files, "_swap", swapped)
    return seen


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, calls: list[tuple[str, ...]]
) -> None:
    with replacing(tmp_path / "x") as temporary:
        temporary.write_text("1")
    assert calls == [
        ("fsync", temporary.name),
        ("replace", temporary.name, "x"),
        ("fsync", tmp_path.name),
    ]


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, calls: list[tuple[str, ...]], there: bool
) -> None:
    target = tmp_path / "step-1"
    temporary = folder(unpublished(target), "new")
    if there:
        folder(target, "old")
    publish(temporary, target)
    assert calls == [
        ("fsync", ".step-1.tmp"),
        ("swap" if there else "rename", ".step-1.tmp", "step-1"),
        ("fsync", tmp_path.name),
    ]


def test_every_file_of_a_checkpoint_is_on_the_disk_before_it_is_published(
    tmp_path: Path, calls: list[tuple[str, ...]]
) -> None:
    write(tmp_path / "step-1")
    names = ["training-00000.safetensors", "training-00000.json", "model.ckpt", "checkpoint.json"]
    publishing = calls.index(("rename", ".step-1.tmp", "step-1"))
    for name in names:
        (at,) = [n for n, call in enumerate(calls) if call[0] == "replace" and call[2] == name]
        temporary = calls[at][1]
        assert calls[at - 1] == ("fsync", temporary), name
        assert calls[at + 1] == ("fsync", ".step-1.tmp") and at < publishing, name
    assert sum(call[0] == "replace" for call in calls) == len(names)
    assert calls[publishing - 1] == ("fsync", ".step-1.tmp")
    assert calls[publishing + 1 :] == [("fsync", tmp_path.name)]
