"""The trainer and its managers, one a module. The trainers are loaded when first asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keisei.training.enhanced_trainer import EnhancedTrainer
    from keisei.training.trainer import Trainer

__all__ = ["EnhancedTrainer", "Trainer"]


def __getattr__(name: str) -> Any:
    """Load a trainer, and with it the configuration's models and what draws, when it is used."""
    if name == "Trainer":
        from keisei.training import trainer as module
    elif name == "EnhancedTrainer":
        from keisei.training import enhanced_trainer as module  # type: ignore[no-redef]
    else:
        raise AttributeError(f"module 'keisei.training' has no attribute {name!r}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
