"""The trainer: wires the managers of one run together and passes the work on to them."""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from keisei.config_schema import AppConfig
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.ppo_agent import PPOAgent
from keisei.core.ranks import Ranks
from keisei.envs import ShogiVectorEnv
from keisei.envs.policy_output_mapper import PolicyOutputMapper
from keisei.evaluation.evaluate import EvaluationResult
from keisei.evaluation.ratings import Rating
from keisei.training.callback_manager import CallbackManager
from keisei.training.callbacks import Event
from keisei.training.checkpoint import Snapshot, hold, on_host
from keisei.training.checkpoint_writer import CheckpointWriteError
from keisei.training.closing import do_all
from keisei.training.compatibility_mixin import CompatibilityMixin
from keisei.training.component_timing import ComponentTimes
from keisei.training.data_structures import TrainerState
from keisei.training.display_manager import DisplayManager
from keisei.training.distributed import fit_shuffle_blocks, join
from keisei.training.env_manager import EnvManager
from keisei.training.episode_state import EpisodeState
from keisei.training.game_log import GameLog
from keisei.training.interrupt import CurrentStop, StopRequest, leave
from keisei.training.message_panel import MessagePanel
from keisei.training.metrics_manager import MetricsManager
from keisei.training.model_manager import ModelManager
from keisei.training.parallel_setup import set_up_together
from keisei.training.past_selves import PastSelves
from keisei.training.profiling import Profiler
from keisei.training.relaunch import find_launch, record_launch
from keisei.training.resource_monitor import ResourceMonitor, look
from keisei.training.resume import (
    ResumePoint,
    as_in_checkpoint,
    config_changes,
    load_resume_point,
)
from keisei.training.run_callbacks import add_run_callbacks
from keisei.training.run_evaluator import RunEvaluator
from keisei.training.run_state import capture_now
from keisei.training.session_manager import SessionManager
from keisei.training.settle import settle, unread_here
from keisei.training.setup_manager import SetupManager
from keisei.training.standard_callbacks import LadderCallback
from keisei.training.step_manager import StepManager
from keisei.training.training_loop_manager import TrainingLoopManager
from keisei.training.watching import add_watching
from keisei.utils import TrainingLogger
from keisei.utils.plugins import import_modules

_log = logging.getLogger(__name__)
_CLOSING_SECONDS = 3.0

LogBoth = Callable[..., None]
P = ParamSpec("P")
T = TypeVar("T")


class Trainer(CompatibilityMixin):
    """One run, from the start or from a checkpoint.

    ``config`` is the configuration as given, ``resolved_config`` the same with nothing ``auto``,
    which the managers go by. ``args.resume`` is a checkpoint folder, a run's folder, ``latest``, or
    None (also if ``args`` has no such name); ``resume_point`` is what was found there, if it was
    loaded already. ``console`` is where the run is shown, ``ranks`` the processes that share it: by
    default those that torchrun started.
    ``exit_at_once``: a second SIGINT ends the process, as a command should, and so does, once the
    run is saved, an iteration that goes on 18 seconds after the first; otherwise a second SIGINT
    raises KeyboardInterrupt and an iteration is waited for.

    Whatever can be refused is refused by the constructor before a file or folder is made: it raises
    ConfigError or CheckpointError.
    """

    _locks_at_once = True

    def __init__(
        self,
        config: AppConfig,
        args: Any = None,
        console: Console | None = None,
        *,
        ranks: Ranks | None = None,
        resume_point: ResumePoint | None = None,
        exit_at_once: bool = False,
    ) -> None:
        self._initialized = False
        self._run_taken = False
        self._exit_at_once = exit_at_once
        self.config = config
        self.args = args
        ranks = join(config) if ranks is None else ranks
        self.ranks = ranks
        self._launch = find_launch(ranks)
        self._warnings: list[str] = []  # said once there is a log
        self._setup_seconds: dict[str, float] = {}
        self.times = ComponentTimes()
        begun = time.perf_counter()
        self._stop = CurrentStop()
        self._training = threading.Lock()  # held while the loop runs
        self._resume_point = resume_point or load_resume_point(
            getattr(args, "resume", None), config, ranks
        )
        self.resolved_config, self.device = self._settle()

        self.session_manager = SessionManager(
            self.resolved_config, args, resume_point=self._resume_point, ranks=ranks
        )
        self.run_name: str = self.session_manager.run_name
        self.run_artifact_dir = str(self.session_manager.run_artifact_dir)
        self.model_dir = str(self.session_manager.model_dir)
        self.log_file_path = str(self.session_manager.log_file_path)
        self.eval_log_file_path = str(self.session_manager.eval_log_file_path)
        self.log_both: LogBoth | None = self.session_manager.log_both

        import_modules(self.resolved_config.plugins.modules)
        self._initialize_managers(console)

        self.resumed_from_checkpoint = False
        self._initialize_components()
        self._initialize_callbacks()

        self._take_run(lock=self._locks_at_once)
        self._note_launch(complete=False)
        self._setup_seconds["all"] = time.perf_counter() - begun
        self._initialized = True

    def _take_run(self, *, lock: bool) -> None:
        """Makes the run's folder; with ``lock`` it is this process's, and clears it."""
        self.session_manager.setup_directories(lock=lock, own=self.model_manager.own_checkpoints)
        point = self._resume_point
        self.model_manager.attach(
            self._capture_parts(),
            directory=self.session_manager.model_dir,
            rejected=point.rejected if point is not None else (),
            clear=lock and not self._run_taken,
        )
        self._run_taken = self._run_taken or lock

    def _settle(self) -> tuple[AppConfig, torch.device]:
        """The configuration with nothing left open; what may not change on resume is refused."""
        config, point = self.config, self._resume_point
        if point is not None:
            config = as_in_checkpoint(config, fit_shuffle_blocks(point.model.config, self.ranks))
        settled = settle(config, self.ranks)
        self._warnings += settled.warnings
        places = getattr(self.args, "places", None)
        if isinstance(places, Mapping):
            self._warnings += unread_here(places, settled.device, self.ranks)
        if point is not None:
            changes = config_changes(settled.config, point.model.config, point.directory)
            self._warnings += [f"changed since the checkpoint: {change}" for change in changes]
        return settled.config, settled.device

    def _initialize_managers(self, console: Console | None) -> None:
        config, log_file_path, ranks = self.resolved_config, self.log_file_path, self.ranks
        self.display_manager = DisplayManager(config, log_file_path, console=console, ranks=ranks)
        self.rich_console: Console = self.display_manager.rich_console
        self.rich_log_messages: MessagePanel = self.display_manager.rich_log_messages
        if ranks.is_main:
            self.logger = TrainingLogger(
                Path(log_file_path),
                self.rich_console,
                config.logging.log_level,
                extra=[self.rich_log_messages],
                hushed=functools.partial(_is_drawing, self.display_manager),
            )
        else:  # what all ranks have to say is said once
            self.logger = TrainingLogger(
                None, Console(stderr=True), "error", prefix=f"rank {ranks.rank}: "
            )
        managers = self._together(
            {
                "model_manager": lambda: ModelManager(
                    config, self.args, self.device, self.logger, ranks=ranks
                ),
                "env_manager": lambda: EnvManager(config, self.logger, ranks=ranks),
                "metrics_manager": MetricsManager,
                "callback_manager": lambda: CallbackManager(
                    config, self.model_dir, is_main=ranks.is_main, ranks=ranks.world_size
                ),
                "setup_manager": lambda: SetupManager(config, self.device, ranks=ranks),
            }
        )
        self.model_manager: ModelManager = managers["model_manager"]
        self.env_manager: EnvManager = managers["env_manager"]
        self.metrics_manager: MetricsManager = managers["metrics_manager"]
        self.callback_manager: CallbackManager = managers["callback_manager"]
        self.setup_manager: SetupManager = managers["setup_manager"]
        self.resource_monitor = ResourceMonitor(
            self.device,
            config.resources.monitor_interval,
            functools.partial(look, folder=Path(self.run_artifact_dir)),
        )

    def _initialize_components(self) -> None:
        """Builds games, network, learner and rollout store, and resumes if that was asked for."""
        setup = self.setup_manager
        parts = self._together(
            {
                "env_manager": lambda: setup.setup_game_components(self.env_manager),
                "setup_manager": setup.setup_training_components,
            }
        )
        self.game: ShogiVectorEnv
        self.policy_output_mapper: PolicyOutputMapper
        self.action_space_size: int
        self.obs_space_shape: tuple[int, int, int]
        (
            self.game,
            self.policy_output_mapper,
            self.action_space_size,
            self.obs_space_shape,
        ) = parts["env_manager"]
        self.model: ActorCriticProtocol
        self.agent: PPOAgent
        self.experience_buffer: ExperienceBuffer
        self.model, self.agent, self.experience_buffer = parts["setup_manager"]
        metrics = self.metrics_manager
        self.past_selves = setup.setup_past_selves(self.agent, self.game, lambda: metrics.state)
        self.step_manager = StepManager(
            self.game,
            self.agent,
            self.experience_buffer,
            seed=self.resolved_config.training.seed,
            follow=self.resolved_config.logging.follow_games if self.ranks.is_main else 0,
            past_selves=self.past_selves,
            watched=self.resolved_config.display.game,
        )
        if self._resume_point is not None:
            self.model_manager.take_over(self._resume_point)
        self.training_loop_manager = TrainingLoopManager(
            self.resolved_config.training,
            steps=self.step_manager,
            learner=self.agent,
            metrics=self.metrics_manager,
            display=self.display_manager,
            callbacks=self.callback_manager,
            write=self.session_manager.write_metrics,
            after_update=self.model_manager.raise_failure,
            # Ranks give up together or not at all: there every iteration is finished.
            hold=None
            if self.ranks.world_size > 1
            else functools.partial(_hold, self.model_manager),
            save_held=functools.partial(_save_held, self.model_manager, self.display_manager),
            ranks=self.ranks,
            times=self.times,
            resources=functools.partial(
                _latest, self.resource_monitor, self.past_selves, self.display_manager
            ),
        )
        self._handle_checkpoint_resume()
        if self._initialized:  # built anew: what is saved is what is there now
            self.model_manager.capture_with(self._capture_parts())
            for callback in self.callback_manager.callbacks:
                if isinstance(callback, GameLog):
                    callback.read_with(self.step_manager.followed_rows)

    def _initialize_callbacks(self) -> None:
        """Hangs on the run's events what the configuration and ``--profile`` ask for."""
        config, models = self.resolved_config, self.model_manager
        during = functools.partial(_during, self.display_manager, self.times)
        self.evaluator = RunEvaluator(
            config,
            self.model,
            self.agent.network_tensors,
            Path(self.eval_log_file_path),
            self.session_manager.model_dir,
            self._stop.check,
        )
        self.execute_full_evaluation_run: Callable[[int], EvaluationResult] = (
            self.evaluator.evaluate
        )
        add_run_callbacks(
            self.callback_manager,
            config,
            save=during("saving", "checkpoint", models.save_checkpoint),
            saved_step=lambda: models.saved_step,
            published=lambda: models.published,
            evaluate=during("evaluating", "evaluation", self.evaluator.evaluate),
            record=functools.partial(
                note_evaluation, models, self.session_manager.log_both, self.evaluator.rating
            ),
            forget_after=self.evaluator.forget_after,
            followed_rows=self.step_manager.followed_rows,
        )
        session = self.session_manager
        add_watching(
            self.callback_manager,
            config,
            buffer=self.experience_buffer,
            game=self.game,
            events=lambda: session.events,
            alert_elsewhere=session.alert,
            evaluation_log=Path(self.eval_log_file_path),
        )
        ladder = LadderCallback(self.evaluator.ladder_rows, self.display_manager.ladder)
        self.callback_manager.add(ladder, order=90)  # once the evaluation has been added to it
        profile = getattr(self.args, "profile", None)
        if profile is not None:
            profiler = Profiler(self.device, profile, self.training_loop_manager.warm_up)
            self.callback_manager.add(profiler, order=50)

    def _note_launch(self, *, complete: bool) -> None:
        """So that torchrun, if it starts the ranks anew, goes on with this run."""
        if self._launch is not None and self.ranks.is_main:
            record_launch(Path(self.run_artifact_dir), self._launch, complete=complete)

    def _together(self, parts: dict[str, Callable[[], Any]]) -> dict[str, Any]:
        prepare: Callable[[], None] = lambda: None  # noqa: E731
        if self.device.type == "cuda":  # the current device is a thread's own
            prepare = functools.partial(torch.cuda.set_device, self.device)
        return set_up_together(parts, prepare, self._setup_seconds)

    def _capture_parts(self) -> Callable[[], Snapshot]:
        return functools.partial(
            capture_now,
            self.agent,
            self.game,
            self.step_manager.shuffle,
            self.metrics_manager,
            self.past_selves,
        )

    def _end_at_last(self) -> None:
        """Saves what is held and ends the process, though the main thread is busy in an iteration.

        In a thread of its own, which the main thread does not pass: see ``StopRequest``.
        """
        loop, number = self.training_loop_manager, self.metrics_manager.state.iteration + 1
        if not loop.in_iteration:  # it is between iterations, and sees the request next
            return
        last = self.model_manager.published or (
            self._resume_point.directory if self._resume_point is not None else "none"
        )
        text, status = f"iteration {number} takes too long to be finished", 1
        try:
            if loop.held is None:
                text += f"; nothing was saved; the checkpoint saved last is {last}"
            else:
                saved = self.model_manager.save_apart(on_host(loop.held))
                text += (
                    f"; it is given up and the run saved as it was before: {saved}; "
                    f"go on with --resume {self.run_artifact_dir}"
                )
                status = 0
        except Exception as error:  # whatever it is, the process is to end
            text += f"; nothing was saved: {type(error).__name__}: {error}"
        _log.log(logging.ERROR if status else logging.WARNING, "%s", text)
        closing = threading.Thread(target=self.session_manager.finalize_session, daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)
        leave(text, status)

    @property
    def is_train_wandb_active(self) -> bool:
        """Whether figures reach Weights & Biases."""
        return self.session_manager.is_wandb_active

    @property
    def trainer_state(self) -> TrainerState:
        """What this trainer has reached."""
        return {
            "initialization_complete": self._initialized,
            "model_ready": hasattr(self, "model"),
            "agent_ready": hasattr(self, "agent"),
            "session_active": self.session_manager.is_active,
            "training_active": self.training_loop_manager.is_running,
            "wandb_active": self.is_train_wandb_active,
            "resumed_from_checkpoint": self.resumed_from_checkpoint,
        }

    def run_training_loop(self) -> bool:
        """Trains until ``total_timesteps`` plies are played, or until a signal asks to stop.

        SIGINT and SIGTERM let the iteration end and be saved; a second one raises
        KeyboardInterrupt at once. Any other failure is logged and raised. In each case the run is
        finalized. Returns whether it is complete. RuntimeError if it trains already.
        """
        if not self._training.acquire(blocking=False):
            raise RuntimeError("run_training_loop: expected one at a time, this run trains already")
        try:
            self.callback_manager.stop_reason = None
            return self._train()
        finally:
            self._stop.request = None
            self._training.release()

    def _train(self) -> bool:
        log_both = self.session_manager.log_both
        failure: BaseException | None = None
        self._take_run(lock=True)
        # Of several ranks none may leave by itself, nor a process that does more than to train.
        alone = self._exit_at_once and self.ranks.world_size == 1
        at_last = self._end_at_last if alone else None
        with StopRequest(exit_at_once=self._exit_at_once, at_last=at_last) as stop, self.logger:
            self._stop.request = stop
            try:
                self.session_manager.start(self.metrics_manager.state)
                self.session_manager.log_session_start()
                self._log_run_info(log_both)
                self._initialize_game_state(log_both)
                self.display_manager.start()
                self.resource_monitor.start()
                self.training_loop_manager.tell(Event.START)
                return self.training_loop_manager.run(stop)
            except BaseException as error:  # Ctrl-C too: it is told and raised again
                failure = error
                self._report_failure(error)
                raise
            finally:
                self._finalize_after(failure, log_both)

    def _report_failure(self, error: BaseException) -> None:
        iteration = self.metrics_manager.state.iteration + 1
        if isinstance(error, KeyboardInterrupt):
            _log.warning("training was interrupted in iteration %d", iteration)
            return
        if isinstance(error, CheckpointWriteError):  # whose text is in the log already
            _log.error("training ends in iteration %d: what cannot be saved is lost", iteration)
        elif isinstance(error, OSError):
            _log.error("training failed in iteration %d: %s", iteration, error)
        else:
            _log.error("training failed in iteration %d", iteration, exc_info=error)
        self.training_loop_manager.tell(
            Event.EXCEPTION,
            type=type(error).__name__,
            message=str(error),
            traceback="".join(traceback.format_exception(error)),
        )

    def _finalize_after(self, failure: BaseException | None, log_both: LogBoth) -> None:
        try:
            self._finalize_training(log_both, failure)
        except Exception as error:  # it is not to take the place of what ended the training
            if failure is None:
                raise
            notes = getattr(error, "__notes__", ())
            if str(error) == str(failure) and not notes:  # said already
                return
            plain = isinstance(error, (OSError, CheckpointWriteError))
            text = "; ".join([str(error), *notes])
            _log.error(
                "after that, the run could not be finalized: %s",
                text,
                exc_info=None if plain else error,
            )

    def _log_run_info(self, log_both: LogBoth) -> None:
        """Says what is trained, on what, and where the run stands."""
        self.setup_manager.log_run_info(
            log_both,
            agent=self.agent,
            game=self.game,
            resumed_from=self._resume_point.directory if self._resume_point else None,
            progress=self.metrics_manager.state,
            warnings=self._warnings,
            setup_seconds=self._setup_seconds,
        )

    def _initialize_game_state(self, log_both: LogBoth) -> EpisodeState:
        """Where the games stand as training begins; those of a resumed run are in flight.

        A failure is said through ``log_both`` and raised as RuntimeError.
        """
        try:
            return self.env_manager.initialize_game_state()
        except (RuntimeError, ValueError, OSError) as error:
            text = f"the games cannot begin: {error}"
            log_both(text, log_level="error")
            raise RuntimeError(text) from error

    def _perform_ppo_update(
        self, current_obs_np: NDArray[np.float32], log_both: LogBoth
    ) -> dict[str, float]:
        """Learns from the rollout in the buffer, clears it, says and returns the figures.

        ``current_obs_np``: planes [N, 121, 9, 9] of the positions after the rollout, whose values
        the advantages take. Raises ValueError for another shape, RuntimeError unless the buffer is
        full.
        """
        values = self.step_manager.estimate_values(current_obs_np)
        figures = self.step_manager.learn(values)
        data = {f"learn.{name}": value for name, value in figures.items()}
        log_both(
            self.metrics_manager.format_ppo_metrics(figures), also_to_wandb=True, wandb_data=data
        )
        return figures

    def _finalize_training(self, log_both: LogBoth, failure: BaseException | None = None) -> None:
        """Saves what is to be saved and closes everything; what fails on the way is raised at last.

        The final checkpoint is saved whether the run is complete or not, unless it failed inside of
        an iteration (the games are then ahead of the weights), on one of several ranks, or because
        a checkpoint could not be written: the last one that was published is then where the run
        goes on.
        """
        loop = self.training_loop_manager
        step = f"{self.metrics_manager.state.step:,} of {loop.total_timesteps:,} plies"
        log_both(
            f"training is complete: {step}" if loop.is_complete else f"training has stopped: {step}"
        )
        done = loop.is_complete and failure is None
        do_all(
            [
                functools.partial(self._save_at_the_end, log_both, done, failure),
                functools.partial(loop.tell, Event.FINISH, done=done),
                self.resource_monitor.close,
                self.session_manager.finalize_session,
                self.display_manager.finalize_display,
            ]
        )

    def _save_at_the_end(
        self, log_both: LogBoth, done: bool, failure: BaseException | None
    ) -> None:
        if isinstance(failure, CheckpointWriteError):  # a second try would fail too
            return
        parts: list[Callable[[], object]] = [self.model_manager.save_final_model] if done else []
        parts.append(functools.partial(self._save_final_checkpoint, log_both, failure))
        parts.append(self.model_manager.close)
        do_all(parts)
        if done:
            self._note_launch(complete=True)

    def _save_final_checkpoint(self, log_both: LogBoth, failure: BaseException | None) -> None:
        models, state = self.model_manager, self.metrics_manager.state
        if models.saved_step == state.step:
            return
        if self.training_loop_manager.in_iteration:
            log_both("no checkpoint of the middle of an iteration is saved")
            return
        if failure is not None and self.ranks.world_size > 1:
            log_both("no checkpoint is saved: the other ranks may stand elsewhere")
            return
        self.display_manager.phase("saving")
        models.save_checkpoint(wait=True)

    def _handle_checkpoint_resume(self) -> bool:
        """Puts every part where the checkpoint of ``args.resume`` left it, if there is one."""
        self.resumed_from_checkpoint = self.setup_manager.handle_checkpoint_resume(
            self._resume_point,
            agent=self.agent,
            game=self.game,
            shuffle=self.step_manager.shuffle,
            past_selves=self.past_selves,
            take_progress=self.metrics_manager.take_progress,
            warn=self._warnings.append,
        )
        return self.resumed_from_checkpoint


# What the managers are handed: over the parts it needs, never over the trainer.


def _hold(models: ModelManager) -> Snapshot:
    return hold(models.capture())


def _save_held(models: ModelManager, display: DisplayManager, held: Snapshot) -> None:
    if models.saved_step != held.step:
        display.phase("saving")
        models.save_snapshot(held, wait=True)


def _is_drawing(display: DisplayManager) -> bool:
    return display.is_drawing


def _latest(
    monitor: ResourceMonitor, past_selves: PastSelves | None, display: DisplayManager
) -> Mapping[str, float]:
    """What the machine and the past selves give, and what drawing took, in another thread."""
    figures = dict(monitor.latest)
    if past_selves is not None:
        figures |= past_selves.figures
    drawn = display.take_processor_seconds()
    return figures | ({"time.drawing_seconds": drawn} if drawn else {})


def _during(
    display: DisplayManager, times: ComponentTimes, phase: str, part: str, work: Callable[P, T]
) -> Callable[P, T]:
    """The same work, shown as ``phase`` and its time counted for ``part``."""

    def shown(*args: P.args, **kwargs: P.kwargs) -> T:
        display.phase(phase)
        with times.measure(part):
            return work(*args, **kwargs)

    return shown


def note_evaluation(
    models: ModelManager,
    log_both: LogBoth,
    rating: Callable[[int], Rating | None],
    step: int,
    result: EvaluationResult,
) -> None:
    """Keeps the result of an evaluation with the checkpoints, and says it."""
    models.record_evaluation(step, result.win_rate, result.to_json())
    found = rating(step)
    elo = {} if found is None else {"elo": found.elo, "low": found.low, "high": found.high}
    text = "" if found is None else "; Elo {elo:.0f}, 95%: {low:.0f} to {high:.0f}".format(**elo)
    log_both(
        f"evaluation after {step:,} plies: {result.score} in {result.games:,} games, "
        f"{100 * result.score.rate:.1f}% of the points{text}",
        wandb_data={
            f"evaluation.{one.opponent}.win_rate": one.result.win_rate for one in result.results
        }
        | {f"evaluation.elo.{name}": value for name, value in elo.items() if math.isfinite(value)},
    )
