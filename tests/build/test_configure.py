"""KEISEI_CUDA: what is chosen, and the words that say why.

Each case configures with CMake under a torch of empty libraries, so no toolkit and no real CUDA
build of torch are needed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# No toolkit will have this version, so every nvcc of the machine is refused.
NO_SUCH_CUDA = "99.0"


def find_cmake() -> str | None:
    for candidate in (str(Path(sys.executable).parent / "cmake"), shutil.which("cmake")):
        if candidate is None or not os.access(candidate, os.X_OK):
            continue
        text = subprocess.run([candidate, "--version"], text=True, capture_output=True, check=True)
        version = re.search(r"version (\d+)\.(\d+)", text.stdout)
        if version is not None and (int(version[1]), int(version[2])) >= (3, 26):
            return candidate
    return None


CMAKE = find_cmake()
pytestmark = pytest.mark.skipif(CMAKE is None, reason="no CMake 3.26 or newer is installed")


def configure(
    folder: Path, *definitions: str, cuda: str | None = None, version: str = "2.13.0"
) -> tuple[int, str]:
    """Configure against a torch made for it; the exit status, and the output on one line."""
    torch = folder / "site" / "torch"
    (torch / "lib").mkdir(parents=True)
    for name in ("c10", "torch_cpu", "torch", "c10_cuda", "torch_cuda"):
        if cuda is not None or "cuda" not in name:
            (torch / "lib" / f"lib{name}.so").touch()
    (torch / "__init__.py").touch()
    (torch / "version.py").write_text(f"__version__ = {version!r}\ncuda = {cuda!r}\n")
    assert CMAKE is not None
    done = subprocess.run(
        [
            CMAKE,
            *("-S", str(ROOT), "-B", str(folder / "build"), "-G", "Unix Makefiles"),
            f"-DPython_EXECUTABLE={sys.executable}",
            # The module says nothing about CUDA and needs pybind11.
            "-DKEISEI_BUILD_CORE=OFF",
            *(f"-D{definition}" for definition in definitions),
        ],
        env={**os.environ, "PYTHONPATH": str(folder / "site"), "CMAKE_GENERATOR": ""},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, " ".join(done.stdout.split())


def test_auto_with_cpu_torch_is_off(tmp_path: Path) -> None:
    status, text = configure(tmp_path, version="2.13.0+cpu")
    assert status == 0, text
    assert "CUDA OFF: torch 2.13.0+cpu is a build without CUDA" in text


def test_auto_without_fitting_nvcc_is_off_and_says_what_to_install(tmp_path: Path) -> None:
    status, text = configure(tmp_path, cuda=NO_SUCH_CUDA)
    assert status == 0, text
    assert "CUDA OFF: " in text
    assert "torch 2.13.0 needs an nvcc of CUDA 99" in text
    assert "pip install 'cuda-toolkit[nvcc,cccl]==99.0.*'" in text


def test_on_without_fitting_nvcc_is_an_error(tmp_path: Path) -> None:
    status, text = configure(tmp_path, "KEISEI_CUDA=ON", cuda=NO_SUCH_CUDA)
    assert status != 0
    assert "KEISEI_CUDA=ON: " in text
    assert "needs an nvcc of CUDA 99" in text


def test_on_with_cpu_torch_is_an_error(tmp_path: Path) -> None:
    status, text = configure(tmp_path, "KEISEI_CUDA=ON")
    assert status != 0
    assert "KEISEI_CUDA=ON: torch 2.13.0 is a build without CUDA" in text


def test_off_looks_for_no_toolkit(tmp_path: Path) -> None:
    status, text = configure(tmp_path, "KEISEI_CUDA=OFF", cuda=NO_SUCH_CUDA)
    assert status == 0, text
    assert "CUDA OFF: KEISEI_CUDA=OFF" in text


def test_other_words_are_an_error(tmp_path: Path) -> None:
    status, text = configure(tmp_path, "KEISEI_CUDA=MAYBE")
    assert status != 0
    assert "KEISEI_CUDA: expected AUTO, ON or OFF, got 'MAYBE'" in text


def test_torch_out_of_range_is_an_error(tmp_path: Path) -> None:
    status, text = configure(tmp_path, version="2.10.0")
    assert status != 0
    assert "torch: expected 2.11 to 2.15, got 2.10.0" in text
