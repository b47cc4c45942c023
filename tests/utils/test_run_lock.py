"""One process at a time writes into a run's folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keisei.utils.run_lock import LOCK_FILE, RunInUseError, RunLock

HOLD = """
import sys, time
from pathlib import Path
from keisei.utils.run_lock import RunLock
lock = RunLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_another_process_is_named_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(RunInUseError, match=f"the run is in use by process {process.pid}$"):
            RunLock(tmp_path)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert (tmp_path / LOCK_FILE).exists(), "expected the kill to leave the file"
    assert RunLock(tmp_path).is_held


def test_it_is_released_once_and_leaves_nothing(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"
    lock.release()
    lock.release()
    assert not lock.is_held and list(tmp_path.iterdir()) == []


def test_in_one_process_only_a_busy_one_keeps_it(tmp_path: Path) -> None:
    first = RunLock(tmp_path)
    second = RunLock(tmp_path)
    assert second.is_held and not first.is_held
    second.busy = True
    with pytest.raises(RunInUseError, match=f"process {os.getpid()}$"):
        RunLock(tmp_path)
    first.release()
    assert second.is_held and (tmp_path / LOCK_FILE).exists()
    del second
    assert RunLock(tmp_path).is_held, "expected what is forgotten to let go"
