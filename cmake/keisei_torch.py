"""Which torch keisei is built against: the one this Python has, never another.

Used twice. CMake runs it as a script and reads facts about that torch. scikit-build-core loads it
as a metadata provider: where a torch in range is installed the build asks for none and the wheel
requires exactly that one; otherwise the wheel and the build require the range.

Nothing here imports torch: in pip's isolated build the user's torch is hidden from ``sys.path``,
and its version file is enough.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import runpy
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OLDEST = (2, 11)
NEWEST = (2, 15)
RANGE = f"torch>={OLDEST[0]}.{OLDEST[1]},<{NEWEST[0]}.{NEWEST[1] + 1}"


@dataclass(frozen=True)
class Torch:
    """A torch found on disk: its folder, its version and the CUDA that it was built with."""

    folder: Path
    version: str  # torch.__version__, for example "2.13.0+cpu"
    cuda: str  # torch.version.cuda, for example "13.0"; empty for a build without CUDA
    release: str  # the version that its package metadata names: what a requirement compares with

    @property
    def in_range(self) -> bool:
        """Whether keisei can be built against this version."""
        match = re.match(r"(\d+)\.(\d+)", self.version)
        return match is not None and OLDEST <= (int(match[1]), int(match[2])) <= NEWEST


def site_folders() -> Iterator[Path]:
    """The folders this interpreter imports packages from, also where pip's isolation hides them."""
    prefixes = [sys.prefix]
    config = Path(sys.prefix) / "pyvenv.cfg"
    if config.is_file():
        text = config.read_text(encoding="utf-8")
        if re.search(r"(?im)^include-system-site-packages\s*=\s*true\s*$", text):
            prefixes.append(sys.base_prefix)
    for prefix in prefixes:
        folders = [
            sysconfig.get_path(name, vars={"base": prefix, "platbase": prefix})
            for name in ("platlib", "purelib")
        ]
        if prefix == sys.base_prefix:
            folders += [site.getusersitepackages(), *site.getsitepackages([prefix])]
        for folder in map(Path, dict.fromkeys(folders)):
            yield folder
            # One environment laid over another by a path file.
            for path_file in sorted(folder.glob("*.pth")):
                for line in path_file.read_text(encoding="utf-8", errors="replace").splitlines():
                    if line and not line.startswith(("#", "import ", "import\t")):
                        yield folder / line


def read(folder: Path) -> Torch | None:
    """The torch in a package folder, or None if that folder holds none."""
    if not (folder / "version.py").is_file() or not (folder / "lib" / "libtorch_cpu.so").is_file():
        return None
    facts = runpy.run_path(str(folder / "version.py"))
    version = str(facts["__version__"])
    release = version
    for found in importlib.metadata.distributions(name="torch", path=[str(folder.parent)]):
        release = found.version
    return Torch(folder.resolve(), version, facts.get("cuda") or "", release)


def find() -> Torch | None:
    """The torch that this Python imports, or would import outside pip's isolated build."""
    spec = importlib.util.find_spec("torch")
    if spec is not None and spec.origin is not None:
        found = read(Path(spec.origin).parent)
        if found is not None:
            return found
    for folder in site_folders():
        found = read(folder / "torch")
        if found is not None:
            return found
    return None


def requirement(found: Torch | None) -> str:
    """The requirement a wheel carries that is built against ``found``."""
    if found is None:
        return RANGE
    if not found.in_range:
        raise RuntimeError(
            f"torch: expected 2.{OLDEST[1]} to 2.{NEWEST[1]}, got {found.version} in "
            f"{found.folder}; keisei never replaces an installed torch: change or remove it first"
        )
    return f"torch=={found.release}"


class Provider:
    """The ``dependencies`` of the project, for scikit-build-core's dynamic metadata."""

    def __init__(self) -> None:
        self._state = "wheel"

    def build_state(self, build_state: str) -> None:
        """Remember what is being built: an sdist names the range, a wheel the torch it needs."""
        self._state = build_state

    def get_requires_for_dynamic_metadata(self, settings: Mapping[str, Any]) -> list[str]:
        """The torch a build environment must get: none where one is installed."""
        found = find()
        if found is None:
            return [RANGE]
        requirement(found)  # refuses one that is out of range before anything is built
        return []

    def dynamic_metadata(
        self, settings: Mapping[str, Any], project: Mapping[str, Any]
    ) -> dict[str, list[str]]:
        """Add torch to the static dependencies."""
        found = None if self._state == "sdist" else find()
        return {"dependencies": [requirement(found)]}

    def dynamic_wheel(self, settings: Mapping[str, Any]) -> dict[str, bool]:
        """Say that a wheel's dependencies are not those of its sdist."""
        return {"dependencies": True}


def main() -> int:
    """Print the facts that CMake reads, one ``name=value`` a line; 1 if there is no torch."""
    found = find()
    if found is None:
        print(f"torch: expected {RANGE} for {sys.executable}, found none", file=sys.stderr)
        return 1
    try:
        requirement(found)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"folder={found.folder}")
    print(f"version={found.version}")
    print(f"cuda={found.cuda}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
