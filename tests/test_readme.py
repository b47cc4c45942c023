"""What the README says is true: its examples run, its links lead somewhere, CI runs its command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", code_blocks("python"), ids=lambda text: text.split("\n")[0])
def test_the_examples_run(example: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_there_are_examples() -> None:
    assert len(code_blocks("python")) >= 2


def test_ci_runs_the_test_command() -> None:
    commands = [line for block in code_blocks("sh") for line in block.splitlines()]
    (tests,) = [line for line in commands if "pytest" in line]
    assert tests in (ROOT / ".ci/run").read_text().splitlines()


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "csrc/README.md", *sorted((ROOT / "docs").glob("*.md"))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)  # fmt: skip
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", text):
        path = target[0] or target[1]
        if not path.startswith("http"):
            assert (page.parent / path).exists(), f"{page.name} links to {path}"


def test_the_map_names_what_is_there() -> None:
    for folder in re.findall(r"^\| \[?`([a-z_./]+?)/?`", README, re.MULTILINE):
        assert (ROOT / folder).exists(), f"the README's map names {folder}"
