"""The network and its checkpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from keisei.config_schema import AppConfig
from keisei.core.model_file import save_model
from keisei.core.ppo_agent import PPOAgent
from keisei.core.ranks import SINGLE, Ranks
from keisei.training.checkpoint import (
    Evaluation,
    Snapshot,
    check_finite,
    checkpoint_name,
    record_evaluation,
)
from keisei.training.checkpoint_writer import CheckpointWriter
from keisei.training.resume import Rejected, ResumePoint, load_resume_point, set_aside
from keisei.training.retention import prune
from keisei.utils.files import recover
from keisei.utils.training_logger import TrainingLogger

FINAL_MODEL_FILE = "final_model.ckpt"


class ModelManager:
    """Saves the run, keeps the checkpoints that are to stay, and finds the one to go on from.

    ``config`` must be resolved. Every rank has one and calls it alike.
    """

    def __init__(
        self,
        config: AppConfig,
        args: Any,
        device: torch.device,
        logger: TrainingLogger,
        *,
        ranks: Ranks = SINGLE,
    ) -> None:
        self._config = config
        self._args = args
        self._device = device
        self._logger = logger
        self._ranks = ranks
        self._writer = CheckpointWriter(ranks, self._on_published)
        self._capture: Callable[[], Snapshot] | None = None
        self._directory: Path | None = None
        self._saved_step = -1
        self._evaluations: dict[int, Evaluation] = {}
        self.own_checkpoints: set[str] = set()
        """names of the checkpoints that were saved, or begun, by this process"""
        self._lock = threading.Lock()

    @property
    def saved_step(self) -> int:
        """The step that was saved last, or is on its way, or was resumed from; -1: none."""
        return self._saved_step

    @property
    def published(self) -> Path | None:
        """The checkpoint that this process published last; None if it published none."""
        return self._writer.published

    @property
    def directory(self) -> Path:
        """The folder of the run's checkpoints; RuntimeError before ``attach``."""
        if self._directory is None:
            raise RuntimeError("ModelManager: expected attach() first, got none")
        return self._directory

    def load_for_resume(self) -> ResumePoint | None:
        """What ``args.resume`` names, the same on every rank; None if it names nothing.

        Raises CheckpointError, on every rank, if there is no checkpoint that can be used.
        """
        point = load_resume_point(getattr(self._args, "resume", None), self._config, self._ranks)
        if point is not None:
            self.take_over(point)
        return point

    def take_over(self, point: ResumePoint) -> None:
        """Says that the run goes on from there: that step is saved already."""
        self._saved_step = int(point.model.manifest["step"])

    def attach(
        self,
        capture: Callable[[], Snapshot],
        *,
        directory: Path,
        rejected: Iterable[Rejected] = (),
        clear: bool = True,
    ) -> None:
        """Says what is saved from now on, and where.

        With ``clear`` what a killed run left there goes: nobody else may be saving there now.

        ``rejected`` are checkpoints of that folder that cannot be used: the damaged ones are
        renamed, so that none of them is taken for the newest.
        """
        self._directory = directory
        self.capture_with(capture)
        if clear and self._ranks.is_main and directory.is_dir():
            recover(directory)
            for one in rejected:
                if one.damaged and one.directory.parent.resolve() == directory.resolve():
                    set_aside(one.directory)

    def capture_with(self, capture: Callable[[], Snapshot]) -> None:
        """Says how the run is taken from now on."""
        self._capture = capture

    def save_checkpoint(
        self, agent: PPOAgent | None = None, timestep: int | None = None, wait: bool = False
    ) -> Path:
        """Saves the run as it stands; returns the checkpoint's folder.

        Only the copy to the host is made here, unless ``wait``: see ``CheckpointWriter``. ``agent``
        and ``timestep`` need not be given; they must be the run's own, or ValueError is raised.
        Raises CheckpointWriteError if this or an earlier write failed.
        """
        snapshot = self.capture()
        if agent is not None and not _has_weights(agent, snapshot.network):
            raise ValueError(f"agent: expected the run's own, got another: {agent!r}")
        if timestep is not None and timestep != snapshot.step:
            raise ValueError(f"timestep: expected {snapshot.step}, the run's own, got {timestep}")
        return self.save_snapshot(snapshot, wait=wait)

    def capture(self) -> Snapshot:
        """The run as it stands, not copied; RuntimeError before ``attach``."""
        if self._capture is None:
            raise RuntimeError("ModelManager: expected attach() first, got none")
        return self._capture()

    def save_snapshot(self, snapshot: Snapshot, wait: bool = False) -> Path:
        """Saves the run as it stood then: see ``save_checkpoint``."""
        target = self.directory / checkpoint_name(snapshot.step)
        self.own_checkpoints.add(target.name)
        self._writer.save(target, snapshot, self._config)
        self._saved_step = snapshot.step
        if wait:
            self._writer.wait()
        return target

    def save_apart(self, snapshot: Snapshot) -> Path:
        """Saves from a thread of its own what ``snapshot`` has on the host, while the run goes on.

        See ``CheckpointWriter.save_apart``.
        """
        target = self.directory / checkpoint_name(snapshot.step)
        self.own_checkpoints.add(target.name)
        self._writer.save_apart(target, snapshot, self._config)
        return target

    def record_evaluation(
        self, timestep: int, score: float, details: Mapping[str, Any] | None = None
    ) -> None:
        """Notes how strong the run was at ``timestep``: ``logging.keep_best`` goes by the score.

        It is stored in the checkpoint of that step, once that is published; without one it is lost.
        """
        with self._lock:
            self._evaluations[timestep] = Evaluation(score=score, details=dict(details or {}))
            self._note_and_prune()

    def save_final_model(self) -> Path:
        """Writes the network alone as the run's ``final_model.ckpt``; returns its path."""
        path = self.directory.parent / FINAL_MODEL_FILE
        if self._ranks.is_main:
            snapshot = self.capture()
            check_finite(snapshot)
            save_model(path, snapshot.network, self._config, snapshot.step)
        return path

    def raise_failure(self) -> None:
        """Raises CheckpointWriteError if a checkpoint could not be written; never waits."""
        self._writer.raise_failure()

    def close(self) -> None:
        """Waits for what is being written; raises CheckpointWriteError if a write failed."""
        self._writer.wait()

    def _on_published(self, directory: Path, published: int) -> None:
        """In the writer's thread."""
        self._logger.info("saved %s", directory)
        with self._lock:
            self._note_and_prune()
            for earlier in [step for step in self._evaluations if step < published]:
                del self._evaluations[earlier]  # whose step was not saved

    def _note_and_prune(self) -> None:
        for step in list(self._evaluations):
            directory = self.directory / checkpoint_name(step)
            if directory.is_dir():
                record_evaluation(directory, self._evaluations.pop(step))
        logging = self._config.logging
        try:
            prune(self.directory, newest=logging.keep_checkpoints, best=logging.keep_best)
        except OSError as error:
            self._logger.error("an old checkpoint stays: %s", error)


def _has_weights(agent: Any, network: Mapping[str, torch.Tensor]) -> bool:
    """Whether these very tensors are the ones that an agent would save."""
    tensors = agent.network_tensors() if isinstance(agent, PPOAgent) else {}
    return {name: tensor.data_ptr() for name, tensor in tensors.items()} == {
        name: tensor.data_ptr() for name, tensor in network.items()
    }
