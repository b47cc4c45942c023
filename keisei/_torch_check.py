"""Refuses, before anything native is loaded, a torch that keisei was not built against.

A library that meets the wrong torch often loads silently and fails later. Nothing here imports
torch: the engine's launcher must start in a few milliseconds.
"""

import importlib.util
import runpy
from pathlib import Path
from typing import NamedTuple


class InstalledTorch(NamedTuple):
    """The torch that ``import torch`` would give."""

    folder: Path
    version: str  # torch.__version__
    cuda: str  # torch.version.cuda, or empty for a build without CUDA


def installed() -> InstalledTorch | None:
    """Find torch without importing it; None if there is none."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    facts = runpy.run_path(str(folder / "version.py"))
    return InstalledTorch(folder, str(facts["__version__"]), facts.get("cuda") or "")


def describe(version: str, cuda: str) -> str:
    """A torch in words, for example ``torch 2.13.0 (CPU)``."""
    return f"torch {version.partition('+')[0]} ({f'CUDA {cuda}' if cuda else 'CPU'})"


def mismatch(found: InstalledTorch, version: str, cuda: str) -> str | None:
    """Say in one line why ``found`` is not the torch built against; None if it is.

    Args:
        found: The torch that is installed.
        version: ``torch.__version__`` at build time.
        cuda: ``torch.version.cuda`` at build time, empty for a build without CUDA.
    """
    if found.version.partition("+")[0] == version.partition("+")[0] and found.cuda == cuda:
        return None
    return (
        f"keisei was built against {describe(version, cuda)}, but {describe(*found[1:])} is "
        f"installed in {found.folder}: build keisei again for it "
        "(pip install --force-reinstall --no-deps), or install the torch that it was built against"
    )


def check(version: str, cuda: str) -> None:
    """Raise ImportError, in one line, if another torch is installed than was built against.

    No torch at all passes: ``keisei.Position`` needs none, and what does need it says so.
    """
    found = installed()
    if found is not None:
        line = mismatch(found, version, cuda)
        if line is not None:
            raise ImportError(line)
