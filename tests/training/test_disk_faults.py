"""A disk that fails ends the run with one clear error, and costs no checkpoint.

``tests/crash_programs/disk_faults.py`` trains in a process of its own on a disk that fails: a
file system that is full (a small one in memory, in a user namespace), files that may not grow
(RLIMIT_FSIZE), a read-only mount, a folder without permission.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "crash_programs" / "disk_faults.py"
REASONS = {
    "file-size": "Error while serializing: I/O error: File too large",
    "full": "resources.disk_reserve_gb: expected 0 GB to stay free after",
    "filled": "No space left on device",
    "read-only": "[Errno 30] Read-only file system: 'runs/run/checkpoints/.step-",
    "no-permission": "[Errno 13] Permission denied: 'runs/run/checkpoints/.step-",
}


@pytest.mark.parametrize("fault", REASONS)
def test_a_disk_that_fails(tmp_path: Path, fault: str) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), fault],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    if "skipped" in seen:
        pytest.skip(seen["skipped"])
    output = seen["output"]
    assert seen["status"] == 1, output
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if line.startswith("keisei.train: ")]
    assert line.startswith(
        "keisei.train: training failed: runs/run/checkpoints/step-0000000000056: not saved: "
    )
    assert REASONS[fault] in line
    assert line.endswith("; the checkpoint saved last is runs/run/checkpoints/step-0000000000032")
    assert output.count(REASONS[fault]) == 2, "expected it once in the log, once as the last word"
    assert seen["left"] == seen["published"] == ["step-0000000000032"]
    assert seen["rejected"] == 0 and seen["iteration"] == 1
