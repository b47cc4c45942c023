"""What the wheel requires: the very torch that it is built against, or the range."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).parents[2] / "cmake" / "keisei_torch.py"
RANGE = "torch>=2.11,<2.16"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("keisei_torch_under_test", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def make_torch(folder: Path, version: str, cuda: str | None, release: str | None = None) -> Path:
    """A package folder with the files of torch that the provider reads."""
    torch = folder / "torch"
    (torch / "lib").mkdir(parents=True)
    (torch / "lib" / "libtorch_cpu.so").touch()
    (torch / "__init__.py").write_text("raise RuntimeError('torch was imported')\n")
    (torch / "version.py").write_text(f"__version__ = {version!r}\ncuda = {cuda!r}\n")
    if release is not None:
        info = folder / f"torch-{release}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {release}\n")
    return torch


def hide_torch(provider: ModuleType, monkeypatch: pytest.MonkeyPatch, folders: list[Path]) -> None:
    """As in pip's isolated build: torch is not importable, and these are the package folders."""
    monkeypatch.setattr(provider.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(provider, "site_folders", lambda: iter(folders))


def test_installed_torch_is_pinned(provider: ModuleType) -> None:
    import importlib.metadata

    import torch

    found = provider.find()
    assert found.folder == Path(torch.__file__).resolve().parent
    assert found.version == torch.__version__
    assert found.cuda == (torch.version.cuda or "")
    release = importlib.metadata.version("torch")
    assert provider.Provider().dynamic_metadata({}, {}) == {"dependencies": [f"torch=={release}"]}
    assert provider.Provider().get_requires_for_dynamic_metadata({}) == []


def test_pin_is_the_package_version_not_the_build(
    provider: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_torch(tmp_path, "2.14.1+cu130", "13.0", release="2.14.1")
    hide_torch(provider, monkeypatch, [tmp_path / "elsewhere", tmp_path])
    found = provider.find()
    assert (found.version, found.cuda, found.release) == ("2.14.1+cu130", "13.0", "2.14.1")
    assert provider.requirement(found) == "torch==2.14.1"


def test_without_torch_the_range(
    provider: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hide_torch(provider, monkeypatch, [tmp_path])
    wheel = provider.Provider()
    assert wheel.get_requires_for_dynamic_metadata({}) == [RANGE]
    assert wheel.dynamic_metadata({}, {}) == {"dependencies": [RANGE]}


def test_sdist_carries_the_range(provider: ModuleType) -> None:
    sdist = provider.Provider()
    sdist.build_state("sdist")
    assert sdist.dynamic_metadata({}, {}) == {"dependencies": [RANGE]}
    assert sdist.dynamic_wheel({}) == {"dependencies": True}


@pytest.mark.parametrize("version", ["2.10.2", "2.16.0+cu132", "3.0.0", "1.13.1"])
def test_torch_out_of_range_is_refused_not_replaced(
    provider: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    make_torch(tmp_path, version, None)
    hide_torch(provider, monkeypatch, [tmp_path])
    for call in (
        lambda: provider.Provider().get_requires_for_dynamic_metadata({}),
        lambda: provider.Provider().dynamic_metadata({}, {}),
    ):
        with pytest.raises(RuntimeError, match=r"expected 2\.11 to 2\.15, got ") as error:
            call()
        assert version in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("version", ["2.11.0", "2.13.0+cpu", "2.15.9+cu132"])
def test_range_ends_are_inside(provider: ModuleType, tmp_path: Path, version: str) -> None:
    make_torch(tmp_path, version, None)
    assert provider.read(tmp_path / "torch").in_range


def test_folder_without_libraries_is_no_torch(provider: ModuleType, tmp_path: Path) -> None:
    torch = make_torch(tmp_path, "2.13.0", None)
    (torch / "lib" / "libtorch_cpu.so").unlink()
    assert provider.read(torch) is None


def test_isolated_build_sees_the_environment(
    provider: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider.importlib.util, "find_spec", lambda name: None)
    import torch

    assert provider.find().folder == Path(torch.__file__).resolve().parent


def test_site_folders_follow_path_files_and_system_packages(
    provider: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    environment, below, base = tmp_path / "env", tmp_path / "below", tmp_path / "base"
    packages = environment / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (packages / "overlay.pth").write_text(f"import site\n# no\n{below}\n")
    config = environment / "pyvenv.cfg"
    config.write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    monkeypatch.setattr(provider.sys, "prefix", str(environment))
    monkeypatch.setattr(provider.sys, "base_prefix", str(base))
    assert list(provider.site_folders()) == [packages, below]
    config.write_text("home = /usr/bin\ninclude-system-site-packages = true\n")
    assert base / "lib" / version / "site-packages" in list(provider.site_folders())


def test_script_prints_what_cmake_reads(
    provider: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch = make_torch(tmp_path, "2.14.1+cu130", "13.0")
    hide_torch(provider, monkeypatch, [tmp_path])
    assert provider.main() == 0
    assert capsys.readouterr().out == f"folder={torch}\nversion=2.14.1+cu130\ncuda=13.0\n"
    hide_torch(provider, monkeypatch, [])
    assert provider.main() == 1
    assert f"expected {RANGE}" in capsys.readouterr().err
