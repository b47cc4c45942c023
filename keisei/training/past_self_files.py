"""Past selves on the disk: a file each, in every checkpoint that needs it, and written once.

What a past self is never changes. So a checkpoint takes the file of an earlier one as a hard link
where that is possible and the file is as it was written; each checkpoint is whole by itself, and
the disk holds the bytes until the last one that has them is removed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from keisei.core.model_file import plain_tensors, unreadable
from keisei.utils.files import replacing, sha256_of_file

PATTERN = "past-self-*.safetensors"


@dataclass(frozen=True, eq=False)
class PastSelf:
    """What the learner was once. Only the same object is equal."""

    step: int
    """plies played then"""
    weights: Mapping[str, Tensor]
    """the network's ``state_dict``, on the host; never changed"""

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"past-self-{self.step:013d}.safetensors"

    @property
    def bytes(self) -> int:
        """What its tensors take."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.weights.values())


@dataclass(frozen=True)
class Written:
    """A past self's file in a checkpoint that was published."""

    path: Path
    bytes: int
    sha256: str

    def _is_whole(self) -> bool:
        return self.path.stat().st_size == self.bytes and sha256_of_file(self.path) == self.sha256

    def link(self, target: Path) -> bool:
        """Makes ``target`` the same file, if that is as it was and the disk can."""
        try:
            if not self._is_whole():
                return False
            os.link(self.path, target)
        except OSError:
            return False
        return True


def write_past_self(folder: Path, one: PastSelf, written: Mapping[PastSelf, Written]) -> Path:
    """Puts a past self's file into ``folder``, linked to where it is ``written``, or anew."""
    target = folder / one.file
    if one not in written or not written[one].link(target):
        with replacing(target) as temporary:
            save_file(plain_tensors(one.weights), temporary)
    return target


def read_past_self(folder: Path, step: int) -> PastSelf:
    """The past self of that step, from a checkpoint whose sums were checked; CheckpointError."""
    path = folder / PastSelf(step, {}).file
    try:
        with safe_open(path, framework="pt") as opened:
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise unreadable(f"{path}: a past self", error) from error
    return PastSelf(step, weights)
