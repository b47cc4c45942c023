"""Source lists are explicit: no file of the native tree is left out by accident."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNELS = ("batch", "network")  # folders with a CPU and a CUDA file a name
SOURCES = sorted(p for p in (ROOT / "csrc").rglob("*") if p.suffix in {".cpp", ".cu"})


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "csrc")))
def test_every_source_is_built(source: Path) -> None:
    listed = (source.parent / "CMakeLists.txt").read_text()
    name = source.stem if source.parent.name in KERNELS else source.name
    assert re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", listed), f"{source} is in no list"


@pytest.mark.parametrize("folder", KERNELS)
def test_every_kernel_has_both_devices(folder: str) -> None:
    files = ROOT / "csrc" / folder
    cpu = {p.stem for p in files.glob("*.cpp")}
    cuda = {p.stem for p in files.glob("*.cu")}
    assert cpu
    assert cpu == cuda


def test_no_globbed_sources() -> None:
    for lists in (ROOT / "csrc").rglob("CMakeLists.txt"):
        assert "GLOB" not in lists.read_text(), f"{lists} globs its sources"


def test_presets_are_those_documented() -> None:
    presets = json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]
    shown = {preset["name"] for preset in presets if not preset.get("hidden")}
    assert shown == {"dev", "release", "cpu-only", "asan", "tsan", "fuzz", "cuda-compile"}


def test_cmake_and_python_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cmake = re.search(r"project\(keisei VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())
    assert cmake is not None
    assert cmake[1] == project["version"]
