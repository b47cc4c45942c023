"""The house has floors: each knows those below it, never those above."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "keisei"

NATIVE_FLOORS: dict[str, set[str]] = {
    "shogi": set(),
    "notation": {"shogi"},
    "game": {"shogi", "notation"},
    "batch": {"shogi"},
    "ops": {"shogi", "batch"},
    "python": {"shogi", "notation", "game"},
    "network": {"batch"},
    "engine": {"shogi", "notation", "game", "network"},
}
TORCH = re.compile(r"^(torch|ATen|c10|caffe2)/")
PYTHON = re.compile(r"^(Python\.h|pybind11/)")
# The only files above the adapters that may see libtorch or Python.
TORCH_FILES = {
    "engine/cuda_graphs.cpp",
    "engine/fused_layers.cpp",
    "engine/model_file.cpp",
    "engine/torchscript_evaluator.cpp",
}

PYTHON_FLOORS: dict[str, set[str]] = {
    "envs": {"ops", "envs"},
    "utils": {"utils", "config_schema"},
    "core": {"ops", "envs", "core", "config_schema", "utils"},
    "evaluation": {"ops", "envs", "core", "config_schema", "evaluation", "utils"},
    # It needs no torch, so nothing of what does.
    "report": {"config_schema", "evaluation", "utils", "report"},
    "training": {"ops", "envs", "core", "config_schema", "evaluation", "utils", "training"},
}


def native_files() -> list[Path]:
    return sorted(p for p in CSRC.rglob("*") if p.suffix in {".h", ".cuh", ".cpp", ".cu"})


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", native_files(), ids=lambda p: str(p.relative_to(CSRC)))
def test_native_includes_go_down(path: Path) -> None:
    floor = path.relative_to(CSRC).parts[0]
    assert floor in NATIVE_FLOORS, f"{path}: csrc/{floor} is no floor; name it in csrc/README.md"
    name = path.relative_to(CSRC).as_posix()
    for include in includes(path):
        target = include.split("/")[0]
        if target in NATIVE_FLOORS:
            allowed = NATIVE_FLOORS[floor] | {floor}
            assert target in allowed, f"{name} includes {include}: {floor} may use {allowed}"
            assert (CSRC / include).is_file(), f"{name} includes {include}, which is not there"
        if TORCH.match(include):
            assert floor == "ops" or name in TORCH_FILES, f"{name} includes torch: {include}"
            stays = floor != "ops" or not include.startswith("ATen/")
            assert stays, f"{name} leaves the stable ABI: {include}"
        if PYTHON.match(include):
            assert floor == "python", f"{name} includes Python: {include}"


def test_every_native_floor_is_described() -> None:
    readme = (CSRC / "README.md").read_text()
    on_disk = {p.name for p in CSRC.iterdir() if p.is_dir()}
    assert on_disk == set(NATIVE_FLOORS), "csrc/ and the floors of this test differ"
    for floor in on_disk:
        assert f"| `{floor}/` |" in readme, f"csrc/README.md has no row for {floor}"


def imported_keisei_modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import keisei modules by their full name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name for name in names if name.split(".")[0] == "keisei"}
    return found


@pytest.mark.parametrize("floor", PYTHON_FLOORS)
def test_python_imports_go_down(floor: str) -> None:
    subpackages = {p.name for p in PACKAGE.iterdir() if p.is_dir()} | {"ops", "config_schema"}
    paths = sorted((PACKAGE / floor).rglob("*.py"))
    assert paths, f"keisei/{floor} holds no Python"
    for path in paths:
        for module in imported_keisei_modules(path):
            parts = module.split(".")
            if len(parts) > 1 and parts[1] in subpackages:
                allowed = PYTHON_FLOORS[floor]
                assert parts[1] in allowed, f"{path}: imports {module}; {floor} may use {allowed}"


def test_nothing_above_the_ops_floor_names_a_kernel() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.name in {"ops.py", "_libraries.py"}:
            continue
        assert "torch.ops.keisei" not in path.read_text(), f"{path}: call keisei.ops instead"
