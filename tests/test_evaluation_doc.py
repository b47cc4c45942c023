"""What docs/evaluation.md shows runs, and prints what it says."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parent.parent / "docs" / "evaluation.md").read_text()


BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_examples_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(text for kind, text in BLOCKS if kind == "python")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tables = [text for kind, text in BLOCKS if not kind]
    assert tables
    for shown in [*tables, *re.findall(r"print\(.*\)  # (LLR.*)", PAGE)]:
        assert shown.strip("\n") in done.stdout
    assert "None\n" in done.stdout
    assert "('7g7f', '3c3d', '8h2b+', '3a2b')\n" in done.stdout
