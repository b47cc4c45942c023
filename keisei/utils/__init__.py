"""Logging, metrics and files."""

from keisei.utils.training_logger import TrainingLogger

__all__ = ["TrainingLogger"]
