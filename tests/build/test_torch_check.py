"""A torch that keisei was not built against is refused in one line, before it is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keisei import _build, _torch_check

FOLDER = Path("/somewhere/torch")


@pytest.mark.parametrize(
    ("version", "cuda", "built_version", "built_cuda"),
    [
        ("2.13.0+cpu", "", "2.13.0+cpu", ""),
        ("2.13.0", "", "2.13.0+cpu", ""),
        ("2.14.1+cu130", "13.0", "2.14.1", "13.0"),
    ],
)
def test_same_torch_is_accepted(
    version: str, cuda: str, built_version: str, built_cuda: str
) -> None:
    found = _torch_check.InstalledTorch(FOLDER, version, cuda)
    assert _torch_check.mismatch(found, built_version, built_cuda) is None


@pytest.mark.parametrize(
    ("version", "cuda", "built_version", "built_cuda", "words"),
    [
        ("2.14.1+cpu", "", "2.13.0+cpu", "", ("torch 2.13.0 (CPU)", "torch 2.14.1 (CPU)")),
        ("2.13.0+cpu", "", "2.13.0", "13.0", ("torch 2.13.0 (CUDA 13.0)", "torch 2.13.0 (CPU)")),
        ("2.13.0", "13.0", "2.13.0", "", ("torch 2.13.0 (CPU)", "torch 2.13.0 (CUDA 13.0)")),
        (
            "2.13.0",
            "13.2",
            "2.13.0",
            "13.0",
            ("torch 2.13.0 (CUDA 13.0)", "torch 2.13.0 (CUDA 13.2)"),
        ),
        ("2.13.0.dev1", "", "2.13.0", "", ("torch 2.13.0 (CPU)", "torch 2.13.0.dev1 (CPU)")),
    ],
)
def test_other_torch_is_named_with_the_one_built_against(
    version: str, cuda: str, built_version: str, built_cuda: str, words: tuple[str, str]
) -> None:
    found = _torch_check.InstalledTorch(FOLDER, version, cuda)
    line = _torch_check.mismatch(found, built_version, built_cuda)
    assert line is not None
    assert "\n" not in line
    assert f"built against {words[0]}" in line
    assert f"but {words[1]}" in line
    assert str(FOLDER) in line


def test_installed_is_the_torch_that_imports() -> None:
    import torch

    found = _torch_check.installed()
    assert found is not None
    assert found.folder == Path(torch.__file__).parent
    assert found.version == torch.__version__ == _build.TORCH_VERSION
    assert found.cuda == (torch.version.cuda or "") == _build.TORCH_CUDA


def test_check_without_torch_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_torch_check, "installed", lambda: None)
    _torch_check.check("2.13.0", "")


def fake_torch(folder: Path, version: str, cuda: str | None) -> None:
    package = folder / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('torch was imported')\n")
    (package / "version.py").write_text(f"__version__ = {version!r}\ncuda = {cuda!r}\n")


def run_python(code: str, *, first_on_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if first_on_path is not None:
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{first_on_path}{f':{inherited}' if inherited else ''}"
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd="/",
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("kind", ["version", "cuda"])
def test_import_refuses_another_torch(tmp_path: Path, kind: str) -> None:
    if kind == "version":
        fake_torch(tmp_path, "2.99.0", _build.TORCH_CUDA or None)
    else:
        fake_torch(tmp_path, _build.TORCH_VERSION, None if _build.TORCH_CUDA else "13.0")
    done = run_python("import keisei", first_on_path=tmp_path)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: keisei was built against torch ")
    assert str(tmp_path) in last
    assert "torch was imported" not in done.stderr


def test_import_and_position_do_not_import_torch() -> None:
    done = run_python(
        "import sys, keisei, keisei._play\n"
        "keisei.Position()\n"
        "assert keisei.__version__ == keisei._build.VERSION\n"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert done.returncode == 0, done.stderr


def test_unknown_name_is_an_attribute_error() -> None:
    import keisei

    with pytest.raises(AttributeError, match="'keisei' has no attribute 'Positon'"):
        keisei.Positon  # noqa: B018


def test_sources_that_were_not_built_say_so(tmp_path: Path) -> None:
    package = tmp_path / "keisei"
    package.mkdir()
    sources = Path(__file__).parents[2] / "keisei"
    for name in ("__init__.py", "_torch_check.py"):
        (package / name).write_text((sources / name).read_text())
    done = run_python(
        "import sys\n"
        "sys.meta_path[:] = sys.meta_path[-3:]  # without the finder of an editable install\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import keisei"
    )
    assert done.returncode != 0
    assert "holds sources that were not built" in done.stderr.strip().splitlines()[-1]
