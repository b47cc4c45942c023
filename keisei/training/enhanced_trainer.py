"""The trainer for those who build on it: plugins, managers of one's own, ranks, awaiting."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from keisei.config_schema import AppConfig
from keisei.core.ranks import Ranks
from keisei.training.async_operations import AsyncOperations, Evaluation, Operations
from keisei.training.checkpoint import checkpoint_name
from keisei.training.distributed import join
from keisei.training.plugin_manager import ManagerCallback, Plugin, PluginManager, build_manager
from keisei.training.resume import ResumePoint
from keisei.training.trainer import Trainer, note_evaluation
from keisei.utils.files import remove_empty_folders
from keisei.utils.plugins import PluginError


class EnhancedTrainer(Trainer):
    """A ``Trainer`` that takes more in than its configuration says.

    ``plugins``: see ``PluginManager``. ``async_operations`` has what may be awaited while it
    trains. The other arguments are those of ``Trainer``.
    """

    # Ranks that join by a call are built apart, for the same run; it is one process's afterwards.
    _locks_at_once = False

    def __init__(
        self,
        config: AppConfig,
        args: Any = None,
        plugins: Iterable[Plugin] | None = None,
        console: Console | None = None,
        *,
        ranks: Ranks | None = None,
        resume_point: ResumePoint | None = None,
        exit_at_once: bool = False,
    ) -> None:
        self.plugin_manager = PluginManager(plugins)
        self.custom_managers: dict[str, Any] = {}
        self._manager_classes: dict[str, type] = {}
        self._console_given = console
        self._begun = False
        super().__init__(
            config,
            args,
            console,
            ranks=ranks,
            resume_point=resume_point,
            exit_at_once=exit_at_once,
        )
        self._take_plugins()

    def register_custom_manager(self, name: str, manager_class: type) -> Any:
        """Builds a manager, calls it at the events of the run, and returns it.

        Its constructor takes what it names of ``config`` (resolved), ``args``, ``device``,
        ``logger``, ``log_file_path`` and ``model_dir``, as the trainer's own managers do. Methods
        ``on_start``, ``on_update_end``, ... get a ``Snapshot`` each, as those of a ``Callback``.
        From then on the manager is ``trainer.NAME`` and in ``custom_managers``.

        Raises PluginError if the name is taken or no identifier, or the manager cannot be built;
        RuntimeError while the run trains.
        """
        self._refuse_while_training("register_custom_manager")
        if not name.isidentifier() or name.startswith("_"):
            raise PluginError(f"manager {name!r}: expected an identifier without underscore first")
        if hasattr(self, name):
            raise PluginError(f"manager {name!r}: expected a name that is free, got one in use")
        manager = self._build_custom_manager(name, manager_class)
        self._manager_classes[name] = manager_class
        return manager

    def enable_distributed_training(self, world_size: int, rank: int) -> None:
        """Makes this process rank ``rank`` of ``world_size`` that train together.

        The ranks meet at MASTER_ADDR and MASTER_PORT; each takes the device of its LOCAL_RANK.
        Everything is then built anew for this rank's share of the games, plugins and custom
        managers too. ``torchrun -m keisei.train`` does the same without building twice.

        Raises RuntimeError once training has begun or if the others are not met, ConfigError if
        the settings cannot be shared.
        """
        self._refuse_while_training("enable_distributed_training")
        if self._begun:
            raise RuntimeError("enable_distributed_training: expected a run that has not begun")
        ranks = join(self.config, world_size=world_size, rank=rank)
        if ranks == self.ranks:
            return
        # What the run alone would have written to; the first rank names a folder for all.
        remove_empty_folders(Path(self.run_artifact_dir))
        ranks.barrier()
        classes, self._manager_classes = self._manager_classes, {}
        for name in self.custom_managers:
            delattr(self, name)
        self.custom_managers = {}
        self.async_operations.close()
        super().__init__(
            self.config,
            self.args,
            self._console_given,
            ranks=ranks,
            exit_at_once=self._exit_at_once,
        )
        self._take_plugins()
        for name, manager_class in classes.items():
            self.register_custom_manager(name, manager_class)

    def _train(self) -> bool:
        self._begun = True
        try:
            return super()._train()
        finally:
            self.async_operations.end_of_run()

    def _refuse_while_training(self, what: str) -> None:
        if self.training_loop_manager.is_running:
            raise RuntimeError(f"{what}: expected a run that is not training, got one that is")

    def _take_plugins(self) -> None:
        for callback in self.plugin_manager.callbacks:
            self.callback_manager.add(callback)
        for name, opponent in self.plugin_manager.opponents.items():
            self.evaluator.add_opponent(name, opponent)
        self.async_operations = AsyncOperations(self._operations())
        self.callback_manager.add(self.async_operations, order=40)

    def _build_custom_manager(self, name: str, manager_class: type) -> Any:
        catalogue = {
            "config": self.resolved_config,
            "args": self.args,
            "device": self.device,
            "logger": self.logger,
            "log_file_path": self.log_file_path,
            "model_dir": self.model_dir,
        }
        manager = build_manager(name, manager_class, catalogue)
        self.callback_manager.add(ManagerCallback(name, manager))
        self.custom_managers[name] = manager
        setattr(self, name, manager)
        return manager

    def _operations(self) -> Operations:
        models, loop, metrics = self.model_manager, self.training_loop_manager, self.metrics_manager
        return Operations(
            train=self._train_in_thread,
            stop=functools.partial(self._request_stop, "its task was cancelled"),
            between_iterations=lambda: not loop.in_iteration,
            save=self._save_now,
            published=lambda: models.published,
            raise_failure=models.raise_failure,
            step=lambda: metrics.state.step,
            prepare_evaluation=self._prepare_evaluation,
            record=functools.partial(
                note_evaluation, models, self.session_manager.log_both, self.evaluator.rating
            ),
            announce=self.callback_manager.fire,
        )

    def _train_in_thread(self) -> bool:
        if self.device.type == "cuda":  # the current device is a thread's own
            torch.cuda.set_device(self.device)
        return self.run_training_loop()

    def _request_stop(self, reason: str) -> None:
        self.callback_manager.stop_reason = reason
        if self._stop.request is not None:
            self._stop.request.request()

    def _prepare_evaluation(self, step: int) -> Evaluation:
        if not self.ranks.is_main:
            raise RuntimeError("evaluate: expected to be asked of the first rank")
        return self.evaluator.prepare(step)

    def _save_now(self, wait: bool) -> Path:
        if self.ranks.world_size > 1:
            raise RuntimeError("save_checkpoint: every rank takes part; expected a run of one rank")
        models, step = self.model_manager, self.metrics_manager.state.step
        if models.saved_step == step:
            return models.directory / checkpoint_name(step)
        return models.save_checkpoint(wait=wait)
