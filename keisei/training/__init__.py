"""The trainer."""

from keisei.training.trainer import Trainer

__all__ = ["Trainer"]
