"""Where the native parts lie, and loading the ops library into torch.

They lie beside the generated module ``keisei._build``, not beside this file: in an editable install
the two are different folders.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keisei import _build

if TYPE_CHECKING:
    import torch

OPS = "libkeisei_ops.so"
OPS_CUDA = "libkeisei_ops_cuda.so"


def folder() -> Path:
    """The folder that CMake installed into: the libraries, and ``bin/keisei_play``."""
    return Path(_build.__file__).parent


@cache
def load_ops() -> None:
    """Register ``torch.ops.keisei``: for the CPU, and for CUDA where torch and keisei have it.

    Raises:
        ImportError: The library was not built.
        OSError: The library does not load.
    """
    import torch

    library = folder() / OPS
    if not library.is_file():
        raise ImportError(f"{library}: expected the ops library, found no such file")
    load: Any = torch.ops.load_library
    load(str(library))
    if _build.CUDA_KERNELS and torch.version.cuda is not None:
        load(str(folder() / OPS_CUDA))


def require_cuda_kernels() -> None:
    """Raise RuntimeError, with the reason, if this keisei was built without CUDA kernels."""
    if not _build.CUDA_KERNELS:
        raise RuntimeError(
            f"device: this keisei was built without CUDA kernels ({_build.CUDA_REASON})"
        )


def device_of(device: "torch.device | str") -> "torch.device":
    """The device that is meant, a CUDA device with its index.

    Raises:
        ValueError: It is neither cpu nor cuda.
        RuntimeError: It is a CUDA device that torch or this build of keisei does not have.
    """
    import torch

    device = torch.device(device)
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda":
        raise ValueError(f"device: expected cpu or cuda, got {device}")
    require_cuda_kernels()
    if not torch.cuda.is_available():
        raise RuntimeError(f"device: expected a CUDA device for {device}, torch finds none")
    return torch.device(
        "cuda", torch.cuda.current_device() if device.index is None else device.index
    )
