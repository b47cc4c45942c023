"""keisei trains a shogi player from nothing and lets it play.

``keisei.Position`` is one position of one game; ``keisei.perft`` counts the moves below one.
Everything else is imported from its own module: ``keisei.envs``, ``keisei.ops``, ``keisei.core``,
``keisei.training``. Importing this package checks that the installed torch is the one keisei was
built against, and does not import torch.
"""

from typing import TYPE_CHECKING, Any

from keisei._torch_check import check as _check

try:
    from keisei import _build
except ImportError as error:
    raise ImportError(
        f"keisei: {__path__[0]} holds sources that were not built; run "
        "'pip install --no-build-isolation -e .' in its parent folder, or leave that folder to "
        "use the keisei that is installed"
    ) from error

if TYPE_CHECKING:
    from keisei._core import Outcome, Position
    from keisei._perft import divide, perft

__version__ = _build.VERSION
__all__ = ["Outcome", "Position", "__version__", "divide", "perft"]

_check(_build.TORCH_VERSION, _build.TORCH_CUDA)


def __getattr__(name: str) -> Any:
    """Load the module of a name when that is first asked for."""
    if name in ("Outcome", "Position"):
        from keisei import _core as module
    elif name in ("divide", "perft"):
        from keisei import _perft as module  # type: ignore[no-redef]
    else:
        raise AttributeError(f"module 'keisei' has no attribute {name!r}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
