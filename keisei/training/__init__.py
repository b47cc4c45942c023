"""The trainer and its managers, one a module. ``Trainer`` is loaded when it is first asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keisei.training.trainer import Trainer

__all__ = ["Trainer"]


def __getattr__(name: str) -> Any:
    """Load the trainer, and with it the configuration's models and what draws, when it is used."""
    if name == "Trainer":
        from keisei.training.trainer import Trainer

        globals()[name] = Trainer
        return Trainer
    raise AttributeError(f"module 'keisei.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
