"""One session of a run: its folder, its log of figures, its mirror at Weights & Biases."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from keisei.config_schema import AppConfig, ConfigError
from keisei.core.model_file import CHECKPOINT_FOLDER, list_checkpoints
from keisei.core.ranks import SINGLE, Ranks
from keisei.training.final_figures import FINAL_FIGURES, hyperparameters
from keisei.training.resume import ResumePoint, load_resume_point
from keisei.training.train_state import TrainState
from keisei.utils.event_file import EventFile, write_hparams
from keisei.utils.files import replacing
from keisei.utils.metrics_writer import TENSORBOARD_FOLDER, MetricsWriter
from keisei.utils.provenance import run_record, write_run_record
from keisei.utils.run_lock import RunInUseError, RunLock
from keisei.utils.safe_paths import FOLDER_MODE, check_inside, make_folder
from keisei.utils.wandb_mirror import WandbMirror

CONFIG_FILE = "config.json"
LOG_FILE = "train.log"
EVALUATION_LOG_FILE = "evaluation.log"

_log = logging.getLogger(__name__)


class SessionManager:
    """Settles where a run writes and keeps its figures from start to end.

    ``config`` is resolved; ``args.resume`` (if there is one) is a checkpoint folder, a run's folder
    or ``latest``, and ``resume_point`` what was found there, if that was loaded already.
    Constructing it writes nothing. Of several ``ranks`` the first one chooses the folder, writes
    and logs. Raises ConfigError for a name that is taken or would leave ``run_root``,
    CheckpointError for a checkpoint that cannot be used.
    """

    def __init__(
        self,
        config: AppConfig,
        args: Any,
        *,
        resume_point: ResumePoint | None = None,
        ranks: Ranks = SINGLE,
    ) -> None:
        self._config = config
        self._ranks = ranks
        self._root = Path(config.logging.run_root)
        point = resume_point or load_resume_point(getattr(args, "resume", None), config, ranks)
        run = self._agree_on_run_dir(point)
        self._resumed_from = None if point is None else point.directory
        self.run_artifact_dir = run
        self.run_name = run.name
        self.model_dir = run / CHECKPOINT_FOLDER
        self._point = point
        self._must_be_new = config.logging.run_name is None and not run.exists()
        self.log_file_path = run / LOG_FILE
        self.eval_log_file_path = run / EVALUATION_LOG_FILE
        self._writer: MetricsWriter | None = None
        self._mirror: WandbMirror | None = None
        self._step: Callable[[], int] = lambda: 0
        self._started_at: float | None = None
        self._active = False
        self._lock: RunLock | None = None
        self._made = self._locked_before = False

    @property
    def is_active(self) -> bool:
        """Whether the session has started and not ended."""
        return self._active

    @property
    def is_wandb_active(self) -> bool:
        """Whether figures reach Weights & Biases now."""
        return self._mirror is not None and self._mirror.active

    def setup_directories(self, *, lock: bool = True, own: Collection[str] = ()) -> None:
        """Makes the run's folders; with ``lock`` keeps others out until ``finalize_session``.

        What is there already stays. Raises OSError where that is not allowed, ConfigError, on every
        rank, if the run is in use or has gone on since it was chosen: if there are checkpoints that
        are neither in ``own``, names of this process's, nor known from a resume.
        """
        error: Exception | None = None
        if self._ranks.is_main:
            try:
                self._make_folder()
                if lock:
                    self._take_folder(own)
            except (OSError, ConfigError) as caught:
                error = caught
        if error is not None:
            self._ranks.share(str(error))
            raise error
        text: str | None = self._ranks.share(None)
        if text is not None:
            raise ConfigError(text)

    def _make_folder(self) -> None:
        run = self.run_artifact_dir
        if self._must_be_new and not self._made:
            make_folder(run.parent)
            try:
                run.mkdir(mode=FOLDER_MODE)
            except FileExistsError as error:
                raise ConfigError(
                    f"run folder: expected a new one, got {run}, which another process has just "
                    "made; start again or give logging.run_name"
                ) from error
        make_folder(self.model_dir)
        self._made = True

    def _take_folder(self, own: Collection[str] = ()) -> None:
        if self._lock is not None and self._lock.is_held:
            return
        try:
            lock = RunLock(self.run_artifact_dir)
        except RunInUseError as error:
            raise ConfigError(str(error)) from error
        if not self._locked_before and self._has_gone_on(own):
            lock.release()
            raise ConfigError(
                f"run folder: expected {self.run_artifact_dir} as it was found, got another "
                "process's checkpoints in it since; start again"
            )
        self._lock, self._locked_before = lock, True

    def _has_gone_on(self, own: Collection[str]) -> bool:
        """Whether another process has saved in the run's folder since this one looked there."""
        saved = {path.name for path in list_checkpoints(self.model_dir)} - set(own)
        point = self._point
        if point is not None and point.directory.resolve().parent == self.model_dir.resolve():
            saved -= {one.directory.name for one in point.rejected}
            saved = {name for name in saved if name > point.directory.name}
        return bool(saved)

    def start(self, progress: TrainState) -> None:
        """Opens the figures where ``progress`` stands; stores what the run is started with."""
        if self.is_active:
            return
        if self._ranks.is_main:
            self._open(progress)
        if self._lock is not None:
            self._lock.busy = True
        self._active = True
        self._started_at = time.monotonic()

    def _open(self, progress: TrainState) -> None:
        self._make_folder()
        self._take_folder()
        with replacing(self.run_artifact_dir / CONFIG_FILE) as temporary:
            temporary.write_text(self._config.model_dump_json(indent=1) + "\n")
        record = run_record(
            self._config,
            device=torch.device(self._config.training.device),
            ranks=self._ranks.world_size,
            resumed_from=self._resumed_from,
        )
        write_run_record(self.run_artifact_dir, record)
        folder = self.run_artifact_dir / TENSORBOARD_FOLDER
        write_hparams(folder, hyperparameters(self._config), FINAL_FIGURES)
        self._writer = MetricsWriter(
            self.run_artifact_dir, iteration=progress.iteration, step=progress.step
        )
        self._mirror = WandbMirror(self._config, self.run_artifact_dir, progress.step)
        self._step = lambda: progress.step

    @property
    def events(self) -> EventFile | None:
        """What TensorBoard alone gets is written there; None elsewhere than between start and end.

        The first rank has it.
        """
        return None if self._writer is None else self._writer.events

    def alert(self, title: str, text: str) -> None:
        """Raises an alert at Weights & Biases, if that is active."""
        if self._mirror is not None:
            self._mirror.alert(title, text)

    def write_metrics(self, iteration: int, step: int, metrics: Mapping[str, float]) -> None:
        """Writes one iteration's figures everywhere; RuntimeError before ``start``."""
        if self._active and not self._ranks.is_main:
            return
        if self._writer is None or self._mirror is None:
            raise RuntimeError("SessionManager.write_metrics: expected start() before")
        self._writer.write(iteration, step, dict(metrics))
        self._mirror.log(metrics, step)

    def log_both(
        self,
        message: str,
        also_to_wandb: bool = True,
        wandb_data: Mapping[str, Any] | None = None,
        log_level: str = "info",
    ) -> None:
        """Says a line in the log and, when that is active, at Weights & Biases; once for all ranks.

        ``wandb_data`` goes there with it. ``log_level`` is debug, info, warning or error.
        """
        number = logging.getLevelNamesMapping().get(log_level.upper())
        if number is None:
            raise ValueError(
                f"log_level: expected debug, info, warning or error, got {log_level!r}"
            )
        if not self._ranks.is_main:
            return
        _log.log(number, "%s", message)
        if also_to_wandb and self._mirror is not None:
            self._mirror.log({"message": message, **(wandb_data or {})}, self._step())

    def log_session_start(self) -> None:
        """Says which session this is."""
        self.log_both(f"run folder: {self.run_artifact_dir}")

    def get_session_summary(self) -> dict[str, Any]:
        """Where the session writes and how long it has lasted, as plain values."""
        lasted = 0.0 if self._started_at is None else time.monotonic() - self._started_at
        return {
            "run_name": self.run_name,
            "run_artifact_dir": str(self.run_artifact_dir),
            "model_dir": str(self.model_dir),
            "log_file_path": str(self.log_file_path),
            "eval_log_file_path": str(self.eval_log_file_path),
            "is_wandb_active": self.is_wandb_active,
            "seconds": lasted,
        }

    def finalize_session(self) -> None:
        """Flushes and closes the figures, ends the run at Weights & Biases, frees the folder.

        A second call, or one before ``start``, does nothing.
        """
        self._active = False
        writer, self._writer = self._writer, None
        mirror, self._mirror = self._mirror, None
        try:
            if writer is not None:
                writer.close()
        finally:
            if mirror is not None:
                mirror.close()
            if self._lock is not None:
                self._lock.release()

    def _agree_on_run_dir(self, point: ResumePoint | None) -> Path:
        """The folder of this run, the same on all ranks; so is the ConfigError."""
        run: Path | None = None
        error: str | None = None
        if self._ranks.is_main:
            try:
                run = self._checked_run_dir(point)
            except ValueError as caught:  # a ConfigError is one
                error = str(caught)
        shared: tuple[Path | None, str | None] = self._ranks.share((run, error))
        if shared[0] is None:
            raise ConfigError(shared[1])
        return shared[0]

    def _checked_run_dir(self, point: ResumePoint | None) -> Path:
        run = self._choose_run_dir(point)
        if run.parent == self._root:
            check_inside(run, self._root, "run folder")
        for name in (CHECKPOINT_FOLDER, LOG_FILE, EVALUATION_LOG_FILE):
            check_inside(run / name, run, name)
        return run

    def _refuse_taken(self, name: str | None) -> None:
        if name is not None and list_checkpoints(self._root / name / CHECKPOINT_FOLDER):
            raise ConfigError(
                f"logging.run_name: expected a new run, got {name!r}, which has checkpoints in "
                f"{self._root}; resume it with --resume {self._root / name} or take another name"
            )

    def _choose_run_dir(self, point: ResumePoint | None) -> Path:
        """The folder of this run.

        A run that is resumed from its newest checkpoint goes on in its folder; from an older one,
        or from a checkpoint that lies elsewhere, it is a new run.
        """
        root, name = self._root, self._config.logging.run_name
        if point is not None:
            folder = point.directory.resolve().parent
            run = folder.parent
            in_run = folder.name == CHECKPOINT_FOLDER and (run / CONFIG_FILE).is_file()
            if name == point.model.config.logging.run_name or (in_run and name == run.name):
                if in_run and point.is_newest and point.directory.name.startswith("step-"):
                    return run
                step = point.model.manifest["step"]
                name = f"{run.name if in_run else 'resumed'}-from-{step}"
            else:
                self._refuse_taken(name)
        else:
            self._refuse_taken(name)
        base = name or time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        candidate, number = root / base, 2
        while candidate.exists() and (
            name is None or list_checkpoints(candidate / CHECKPOINT_FOLDER)
        ):
            candidate, number = root / f"{base}-{number}", number + 1
        return candidate
