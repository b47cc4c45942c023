"""The trainer's state in words, and what its managers are made from."""

from __future__ import annotations

from typing import Final, TypedDict


class TrainerState(TypedDict):
    """What a trainer has reached: ``Trainer.trainer_state``."""

    initialization_complete: bool
    """the constructor is through"""
    model_ready: bool
    """there is a network"""
    agent_ready: bool
    """there is a learner"""
    session_active: bool
    """figures and log are open"""
    training_active: bool
    """the loop runs"""
    wandb_active: bool
    """figures reach Weights & Biases"""
    resumed_from_checkpoint: bool
    """the run goes on from a checkpoint"""


class ComponentDependencies(TypedDict):
    """What each manager is made from, by position; keywords with defaults may follow."""

    session_manager: list[str]
    display_manager: list[str]
    model_manager: list[str]
    env_manager: list[str]
    metrics_manager: list[str]
    callback_manager: list[str]
    setup_manager: list[str]


COMPONENT_DEPENDENCIES: Final[ComponentDependencies] = {
    "session_manager": ["config", "args"],
    "display_manager": ["config", "log_file_path"],
    "model_manager": ["config", "args", "device", "logger"],
    "env_manager": ["config", "logger"],
    "metrics_manager": [],
    "callback_manager": ["config", "model_dir"],
    "setup_manager": ["config", "device"],
}
