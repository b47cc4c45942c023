"""Every kind of install imports the package, loads the ops and starts the engine.

Slow: builds the wheel once and the editable install once more. The environments borrow torch and
the other dependencies from the one that runs the tests, so nothing is downloaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import keisei._torch_check

ROOT = Path(__file__).parents[2]
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
HERE = Path(sysconfig.get_path("platlib"))

pytestmark = pytest.mark.slow

CHECK = """
import sys, keisei
from keisei import _build, _libraries
assert "torch" not in sys.modules
assert keisei.Position().perft(1) == 30
_libraries.load_ops()
import torch
start = torch.from_numpy(keisei.Position().words()).view(torch.int32)[None]
assert torch.equal(
    torch.ops.keisei.legal_mask(start)[0],
    torch.from_numpy(keisei.Position().legal_mask()).view(torch.int32),
)
print(_libraries.folder())
"""


@dataclass
class Environment:
    """A place that keisei was installed to: how to run Python and the engine there."""

    python: Path
    engine: Path
    variables: dict[str, str] = field(default_factory=dict)


def run(*command: str | Path, text_in: str = "", **variables: str) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONUSERBASE")
    }
    done = subprocess.run(
        [str(part) for part in command],
        input=text_in,
        env={**environment, **variables},
        cwd="/",
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = f"-Cbuild-dir={folder / 'build'}"
    flags = ("--no-build-isolation", "--no-deps", "-q", build)
    run(sys.executable, "-m", "pip", "wheel", *flags, "-w", folder, ROOT, PATH=path_with_tools())
    (made,) = folder.glob("keisei-*.whl")
    return made


def path_with_tools() -> str:
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def make_environment(folder: Path, *, torch_beside: bool, system: bool = False) -> Path:
    """A virtual environment laid over this one; its Python."""
    run(sys.executable, "-m", "venv", *(["--system-site-packages"] if system else []), folder)
    packages = folder / "lib" / VERSION / "site-packages"
    # Without the .pth files there, so that an editable keisei of this environment stays out.
    (packages / "below.pth").write_text(f"{linked(folder.parent / 'below', torch_beside)}\n")
    if torch_beside:
        torch = keisei._torch_check.installed()
        assert torch is not None
        (packages / "torch").symlink_to(torch.folder)
    return folder / "bin" / "python"


def linked(folder: Path, torch_beside: bool) -> Path:
    """A package folder with links to all that is installed here but keisei itself."""
    folder.mkdir()
    torch = keisei._torch_check.installed()
    assert torch is not None
    for entry in {*HERE.iterdir(), *torch.folder.parent.glob("torch*")}:
        name = entry.name.lower()
        if name.startswith(("keisei", "_keisei")) or entry.suffix == ".pth":
            continue
        if name in ("pip", "__pycache__") or (torch_beside and name == "torch"):
            continue
        if not (folder / entry.name).exists():
            (folder / entry.name).symlink_to(entry)
    return folder


def install_venv(folder: Path, wheel: Path) -> Environment:
    python = make_environment(folder / "env", torch_beside=True)
    run(python, "-m", "pip", "install", "-q", "--no-deps", wheel)
    return Environment(python, python.parent / "keisei_play")


def install_overlay(folder: Path, wheel: Path) -> Environment:
    python = make_environment(folder / "env", torch_beside=False)
    run(python, "-m", "pip", "install", "-q", "--no-deps", wheel)
    return Environment(python, python.parent / "keisei_play")


def install_user(folder: Path, wheel: Path) -> Environment:
    python = make_environment(folder / "env", torch_beside=False, system=True)
    variables = {"PYTHONUSERBASE": str(folder / "user")}
    run(python, "-m", "pip", "install", "-q", "--no-deps", "--user", wheel, **variables)
    return Environment(python, folder / "user" / "bin" / "keisei_play", variables)


def install_target(folder: Path, wheel: Path) -> Environment:
    python = make_environment(folder / "env", torch_beside=False)
    target = folder / "target"
    run(python, "-m", "pip", "install", "-q", "--no-deps", "--target", target, wheel)
    return Environment(python, target / "bin" / "keisei_play", {"PYTHONPATH": str(target)})


def install_prefix(folder: Path, wheel: Path) -> Environment:
    python = make_environment(folder / "env", torch_beside=False)
    prefix = folder / "prefix"
    run(python, "-m", "pip", "install", "-q", "--no-deps", "--prefix", prefix, wheel)
    packages = prefix / "lib" / VERSION / "site-packages"
    return Environment(python, prefix / "bin" / "keisei_play", {"PYTHONPATH": str(packages)})


def install_editable(folder: Path, wheel: Path) -> Environment:
    python = make_environment(folder / "env", torch_beside=False)
    build = f"-Cbuild-dir={wheel.parent / 'editable'}"
    flags = ("--no-build-isolation", "--no-deps", "-q", build)
    run(python, "-m", "pip", "install", *flags, "-e", ROOT, PATH=path_with_tools())
    return Environment(python, python.parent / "keisei_play")


@pytest.mark.parametrize(
    "install",
    [
        install_venv,
        install_overlay,
        install_user,
        install_target,
        install_prefix,
        install_editable,
    ],
    ids=lambda install: install.__name__.removeprefix("install_"),
)
def test_install(install, tmp_path: Path, wheel: Path) -> None:
    made = install(tmp_path, wheel)
    folder = Path(run(made.python, "-c", CHECK, **made.variables).strip())
    assert folder.is_relative_to(tmp_path)
    answer = run(
        made.engine, "--model", "uniform", text_in="usi\nisready\nquit\n", **made.variables
    )
    assert answer.splitlines()[-1] == "readyok"


def test_wheel_pins_torch_and_holds_three_artefacts(wheel: Path) -> None:
    import importlib.metadata
    import zipfile

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read("keisei-0.1.0.dist-info/METADATA").decode()
    assert f"Requires-Dist: torch=={importlib.metadata.version('torch')}\n" in metadata
    assert "keisei/libkeisei_ops.so" in names
    assert "keisei/bin/keisei_play" in names
    assert any(name.startswith("keisei/_core.") for name in names)
    assert "keisei/py.typed" in names
    assert not any(name.startswith(("tests/", "csrc/")) for name in names)
