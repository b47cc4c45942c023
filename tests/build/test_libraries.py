"""The native libraries are found beside keisei._build and load into torch."""

from __future__ import annotations

from pathlib import Path

import pytest

import keisei
from keisei import _build, _core, _libraries


def test_native_parts_lie_in_one_folder() -> None:
    folder = _libraries.folder()
    assert Path(_core.__file__).parent == folder
    assert (folder / _libraries.OPS).is_file()
    assert (folder / _libraries.OPS_CUDA).is_file() is _build.CUDA_KERNELS


def test_load_ops_registers_the_ops_once() -> None:
    import torch

    _libraries.load_ops()
    _libraries.load_ops()
    for name in ("reset", "step", "legal_mask", "planes", "masked_sample", "gae"):
        assert str(getattr(torch.ops.keisei, name).default._schema).startswith(f"keisei::{name}(")
        cuda = torch._C._dispatch_has_kernel_for_dispatch_key(f"keisei::{name}", "CUDA")
        assert cuda is (_build.CUDA_KERNELS and torch.version.cuda is not None)


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_libraries, "folder", lambda: tmp_path)
    with pytest.raises(ImportError, match=r"libkeisei_ops\.so: expected the ops library"):
        _libraries.load_ops.__wrapped__()


@pytest.mark.parametrize("kernels", [True, False])
def test_missing_cuda_kernels_say_why(monkeypatch: pytest.MonkeyPatch, kernels: bool) -> None:
    monkeypatch.setattr(_build, "CUDA_KERNELS", kernels)
    monkeypatch.setattr(_build, "CUDA_REASON", "no nvcc found")
    if kernels:
        _libraries.require_cuda_kernels()
    else:
        with pytest.raises(RuntimeError, match=r"built without CUDA kernels \(no nvcc found\)"):
            _libraries.require_cuda_kernels()


def test_version_is_the_project_version() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert keisei.__version__ == project["version"]
