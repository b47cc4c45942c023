"""Trains, lets the disk fail after the second iteration, and looks at what is left.

``disk_faults.py FOLDER FAULT``, where FAULT is file-size, full, filled, read-only or
no-permission. Prints one line of JSON. Some mount file systems of their own in a user namespace;
where that is not allowed the line says ``{"skipped": REASON}``.
"""

from __future__ import annotations

import ctypes
import io
import json
import logging
import os
import resource
import sys
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # what is forked must have no other thread
sys.path.insert(0, str(Path(__file__).parents[1]))

import keisei.training.trainer  # noqa: F401 - before anything is forbidden
from keisei import train
from keisei.core.model_file import list_checkpoints
from keisei.training import checkpoint_writer
from keisei.training.callbacks import Callback, Snapshot
from keisei.training.checkpoint_writer import CheckpointWriter
from keisei.training.resume import load_newest_good
from keisei.training.trainer import Trainer

NEW_NAMESPACES = 0x00020000 | 0x10000000  # CLONE_NEWNS | CLONE_NEWUSER
READ_ONLY, REMOUNT, BIND = 1, 32, 4096
ROOM = 8_000_000
ARGUMENTS = [
    "--env.num-games=8",
    "--env.max-plies=5",
    "--training.rollout-length=4",
    "--training.batch-size=16",
    "--training.device=cpu",
    "--training.total-timesteps=1000",
    "--model.tower-depth=1",
    "--model.tower-width=8",
    "--logging.run-name=run",
    "--logging.checkpoint-interval=1",
    "--resources.disk-reserve-gb=0",
]


def libc(name: str, *arguments: Any) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def own_file_system(folder: Path) -> None:
    """A small one in memory at ``folder``, seen by this process and its children only."""
    user, group = os.geteuid(), os.getegid()
    libc("unshare", NEW_NAMESPACES)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    libc("mount", b"none", bytes(folder), b"tmpfs", 0, f"size={ROOM}".encode())


def fill(folder: Path) -> None:
    space = os.statvfs(folder)
    with (folder / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_bsize - 200_000)


def fail(fault: str, folder: Path) -> None:
    """From now on nothing more can be saved."""
    checkpoints = folder / "runs" / "run" / "checkpoints"
    if fault == "file-size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    elif fault == "full":
        fill(folder)
    elif fault == "filled":  # by others, after it was seen that there is room
        check = checkpoint_writer.check_disk

        def check_and_fill(*arguments: Any) -> None:
            check(*arguments)
            fill(folder)

        checkpoint_writer.check_disk = check_and_fill
    elif fault == "read-only":
        path = bytes(checkpoints)
        libc("mount", path, path, None, BIND, None)
        libc("mount", None, path, None, BIND | REMOUNT | READ_ONLY, None)
    else:
        checkpoints.chmod(0o555)
        if os.geteuid() == 0:
            run = CheckpointWriter._run

            def powerless(self: CheckpointWriter, job: Any) -> None:
                ctypes.CDLL(None).setfsuid(65534)  # of this thread: the superuser may do all
                run(self, job)

            CheckpointWriter._run = powerless  # type: ignore[method-assign]


class Fault(Callback):
    """Waits for the first checkpoint, and breaks the disk before the second."""

    def __init__(self, fault: str, folder: Path, trainer: Trainer) -> None:
        self.fault, self.folder, self.trainer = fault, folder, trainer

    def on_update_end(self, snapshot: Snapshot) -> None:
        if snapshot.iteration == 2:
            self.trainer.model_manager.close()
            fail(self.fault, self.folder)


def training(fault: str, folder: Path) -> None:
    """The command, in this process; never returns."""
    os.chdir(folder)
    with (folder.parent / "output").open("wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    status = 99
    try:
        made = Trainer.__init__

        def make(self: Trainer, *args: Any, **kwargs: Any) -> None:
            made(self, *args, **kwargs)
            self.callback_manager.add(Fault(fault, folder, self), order=-1)

        Trainer.__init__ = make  # type: ignore[method-assign]
        status = train.main(ARGUMENTS)
    except BaseException:
        logging.exception("unexpected")
    finally:
        sys.stdout.flush()
        os._exit(status)


def inside(fault: str, folder: Path) -> dict[str, Any]:
    if fault in ("full", "filled", "read-only"):
        try:
            own_file_system(folder)
        except OSError as error:
            return {"skipped": f"no file system of its own: {error}"}
    pid = os.fork()
    if pid == 0:
        training(fault, folder)
    _, status = os.waitpid(pid, 0)
    checkpoints = folder / "runs" / "run" / "checkpoints"
    point = load_newest_good(checkpoints)
    return {
        "status": os.waitstatus_to_exitcode(status),
        "output": (folder.parent / "output").read_text(),
        "left": sorted(path.name for path in checkpoints.iterdir()),
        "published": [path.name for path in list_checkpoints(checkpoints)],
        "rejected": len(point.rejected),
        "iteration": point.states[0].values["iteration"],
    }


def main() -> None:
    folder = Path(sys.argv[1]) / "disk"
    folder.mkdir()
    seen = io.StringIO(json.dumps(inside(sys.argv[2], folder)))
    sys.stdout.write(seen.getvalue() + "\n")


if __name__ == "__main__":
    main()
