"""A whole run as a snapshot, and back."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from keisei.core.model_file import CheckpointError, LoadedModel
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.checkpoint import Snapshot, TrainingState
from keisei.training.past_selves import PastSelves
from keisei.training.train_state import TrainState
from keisei.utils.random_state import capture_generators, restore_generators

_GAMES = "env."
_RANDOM = "random."
_SHUFFLE = "shuffle"


def capture_run(
    agent: PPOAgent,
    env: ShogiVectorEnv,
    shuffle: torch.Generator,
    progress: TrainState,
    past_selves: PastSelves | None = None,
) -> Snapshot:
    """Everything that the run's future depends on, between two iterations.

    Tensors stay where they are and may be those that training changes: copy them before it goes on.
    Nothing waits for the device.
    """
    tensors: dict[str, Tensor] = dict(agent.training_tensors())
    tensors |= {f"{_GAMES}{name}": tensor for name, tensor in env.state_dict().items()}
    tensors |= {f"{_RANDOM}{name}": t for name, t in capture_generators(agent.device).items()}
    tensors[_SHUFFLE] = shuffle.get_state()
    return Snapshot(
        network=agent.network_tensors(),
        step=progress.step,
        state=TrainingState(
            tensors, progress.to_json(), past_selves.members if past_selves is not None else ()
        ),
    )


class HasProgress(Protocol):
    """What keeps the progress of a run."""

    @property
    def state(self) -> TrainState: ...  # noqa: D102


def capture_now(
    agent: PPOAgent,
    env: ShogiVectorEnv,
    shuffle: torch.Generator,
    keeper: HasProgress,
    past_selves: PastSelves | None = None,
) -> Snapshot:
    """See ``capture_run``: with the progress of this moment."""
    return capture_run(agent, env, shuffle, keeper.state, past_selves)


def restore_run(
    model: LoadedModel,
    saved: TrainingState,
    agent: PPOAgent,
    env: ShogiVectorEnv,
    shuffle: torch.Generator,
    past_selves: PastSelves | None = None,
) -> tuple[TrainState, list[str]]:
    """Puts back what ``capture_run`` took; returns the progress and what could not be put back.

    Without ``past_selves`` a run that had some goes on without them. What could not be put back is
    the shuffling, if the checkpoint comes from another kind of device. Raises CheckpointError if
    something is missing or does not fit; the run is then of no use.
    """
    warnings = []
    try:
        model.fill(agent.model)
        agent.load(model.weights, saved.tensors)
        env.load_state_dict(_below(saved, _GAMES))
        restore_generators(_below(saved, _RANDOM), agent.device)
        if shuffle.get_state().shape == saved.tensors[_SHUFFLE].shape:
            shuffle.set_state(saved.tensors[_SHUFFLE])
        else:
            warnings.append("the checkpoint comes from another kind of device: shuffling restarts")
        progress = TrainState.from_json(dict(saved.values))
        if past_selves is None:
            progress.past_selves = {}
        else:
            past_selves.load(saved.past_selves, progress.past_selves)
    except CheckpointError:
        raise
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        text = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{model.path.parent}: training state: {text}") from error
    return progress, warnings


def _below(saved: TrainingState, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in saved.tensors.items()
        if name.startswith(prefix)
    }
