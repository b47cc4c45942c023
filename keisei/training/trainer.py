"""The training run: one plain loop of collecting and learning."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from keisei import Position
from keisei.config_schema import AppConfig, ConfigError, resolve
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.model_file import (
    CHECKPOINT_FOLDER,
    CheckpointError,
    LoadedModel,
    list_checkpoints,
)
from keisei.core.network import build_network
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.checkpoint import (
    TrainingState,
    checkpoint_name,
    load_checkpoint,
    save_checkpoint,
)
from keisei.training.display import ProgressDisplay, format_seconds
from keisei.training.interrupt import StopRequest
from keisei.training.resume import find_latest
from keisei.training.rollout import Collector, rollout_counts, rollout_values
from keisei.training.train_state import TrainState
from keisei.utils.files import replacing
from keisei.utils.metrics_writer import MetricsWriter, check_wandb
from keisei.utils.training_logger import TrainingLogger

CONFIG_FILE = "config.json"
LOG_FILE = "train.log"

_log = logging.getLogger(__name__)


def find_device(name: str) -> torch.device:
    """The device that ``training.device`` names; ConfigError if it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"training.device: expected auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = device.index or 0
    if index >= count:
        raise ConfigError(f"training.device: expected one of {count} CUDA devices, got {name!r}")
    return torch.device("cuda", index)


def why_not_compiled(device: torch.device) -> str:
    """Why kernels cannot be compiled for ``device``, in one line; empty if a trial of it worked.

    It takes Triton, a C compiler and Python's headers, and nothing tells beforehand.
    """
    try:
        if device.type == "cuda":
            from keisei.core.fused import try_kernel

            try_kernel(device)
        else:
            torch.compile(lambda x: x * 2 + 1)(torch.ones(8, device=device))
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        return f"{type(error).__name__}: {lines[0] if lines else ''}"
    return ""


def find_checkpoint(resume: str, config: AppConfig) -> Path:
    """The checkpoint folder that ``--resume`` names.

    It may be that folder, a file in it, a run's folder (its newest checkpoint), or ``latest``.
    """
    if resume == "latest":
        return find_latest(Path(config.logging.run_root), config.logging.run_name)
    path = Path(resume)
    if (path / CHECKPOINT_FOLDER).is_dir():
        return find_latest(path.parent, path.name)
    return path.parent if path.is_file() else path


def read_start_positions(path: str) -> list[str]:
    """SFENs, one a line; blank lines and lines that begin with ``#`` do not count."""
    setting = f"env.start_positions: {path}"
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: cannot be read: {error}") from error
    sfens = []
    for number, line in enumerate(lines, start=1):
        sfen = line.strip()
        if not sfen or sfen.startswith("#"):
            continue
        try:
            outcome = Position.from_sfen(sfen).outcome()
        except ValueError as error:
            raise ConfigError(f"{setting}: line {number}: {error}") from error
        if outcome is not None:
            raise ConfigError(
                f"{setting}: line {number}: expected a game that goes on, got one that is over "
                f"({outcome.ending}): {sfen}"
            )
        sfens.append(sfen)
    if not sfens:
        raise ConfigError(f"{setting}: expected SFENs, one a line, got none")
    return sfens


class Trainer:
    """One run, from the start or from a checkpoint.

    ``args.resume`` is a checkpoint folder, ``latest``, or None (also if ``args`` has no such name).
    Public attributes: ``config`` (resolved), ``device``, ``model``, ``agent``, ``env``,
    ``experience_buffer``, ``state``, ``run_name``, ``run_artifact_dir``, ``model_dir``,
    ``log_file_path``, ``resumed_from_checkpoint``.

    Raises ConfigError or CheckpointError before anything is written.
    """

    def __init__(self, config: AppConfig, args: Any = None, console: Console | None = None) -> None:
        self.args = args
        self.device = find_device(config.training.device)
        self._warnings: list[str] = []  # said once there is a log
        compile_network = self.device.type == "cuda"
        if config.training.compile == "auto" and compile_network:
            reason = why_not_compiled(self.device)
            if reason:
                compile_network = False
                self._warnings.append(f"the network is not fused: {reason}")
        self.config = resolve(
            config,
            device=str(self.device),
            compile_network=compile_network,
        )
        check_wandb(self.config)
        self._console = console or Console()
        self.state = TrainState()
        resume = getattr(args, "resume", None)
        restored = None
        self._checkpoint = None
        if resume is not None:
            self._checkpoint = find_checkpoint(resume, self.config)
            restored = load_checkpoint(self._checkpoint)
            self._check_fits(restored[0])
        self.resumed_from_checkpoint = restored is not None

        training, games = self.config.training, self.config.env
        torch.manual_seed(training.seed)
        self.model = build_network(self.config.model)
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.agent = PPOAgent(self.model, training, self.device)
        self.env = ShogiVectorEnv(
            _settled(games.num_games),
            self.device,
            max_plies=games.max_plies,
            seed=training.seed,
            # The actions are drawn from the legal mask; the rollout asks once for errors.
            check_actions=False,
        )
        if games.start_positions is not None:
            self.env.reset(read_start_positions(games.start_positions))
        self.experience_buffer = ExperienceBuffer(
            _settled(training.rollout_length), self.env.num_envs, self.device
        )
        self._collector = Collector(self.env, self.agent, self.experience_buffer)
        self._shuffle = torch.Generator(self.device).manual_seed(training.seed)
        if restored is not None:
            self._restore(*restored)

        self.run_artifact_dir = self._choose_run_dir(restored[0] if restored else None)
        self.run_name = self.run_artifact_dir.name
        self.model_dir = self.run_artifact_dir / CHECKPOINT_FOLDER
        self.log_file_path = self.run_artifact_dir / LOG_FILE
        self._saved_step = self.state.step if restored else -1

    @property
    def total_timesteps(self) -> int:
        """Plies after which the run is done."""
        return _settled(self.config.training.total_timesteps)

    def run_training_loop(self) -> bool:
        """Trains until ``total_timesteps`` plies are played, or until a signal asks to stop.

        SIGINT and SIGTERM let the iteration end and be saved; a second one raises
        KeyboardInterrupt at once. Returns whether the run is done.
        """
        self.model_dir.mkdir(parents=True, exist_ok=True)
        for unpublished in self.model_dir.glob(".*.tmp"):  # of a run that was killed while saving
            shutil.rmtree(unpublished)
        with replacing(self.run_artifact_dir / CONFIG_FILE) as temporary:
            temporary.write_text(self.config.model_dump_json(indent=1) + "\n")
        state, total = self.state, self.total_timesteps
        with contextlib.ExitStack() as stack:
            stack.enter_context(
                TrainingLogger(self.log_file_path, self._console, self.config.logging.log_level)
            )
            writer = stack.enter_context(
                MetricsWriter(
                    self.run_artifact_dir, self.config, iteration=state.iteration, step=state.step
                )
            )
            stop = stack.enter_context(StopRequest())
            self._log_run_info()
            display = stack.enter_context(ProgressDisplay(self._console, self._title(), total))
            try:
                self._train(display, writer, stop)
            except Exception:
                _log.exception("training failed in iteration %d", state.iteration + 1)
                raise
        return state.step >= total

    def _train(self, display: ProgressDisplay, writer: MetricsWriter, stop: StopRequest) -> None:
        state, total = self.state, self.total_timesteps
        interval = _settled(self.config.logging.checkpoint_interval)
        # The first figures come at once, uncompiled; the second iteration compiles, and what it ran
        # is recorded in the third. The pace is that of the iterations after those that warm up.
        compiling = state.iteration + 1 if self.config.training.compile else -1
        warm_up = state.iteration + (3 if self.config.training.compile else 2)
        mark = state.step, state.seconds
        while state.step < total and not stop.requested:
            if state.iteration == compiling:
                self.agent.compile_network()
            metrics = self._iterate(display)
            writer.write(state.iteration, state.step, metrics)
            if state.iteration <= warm_up:
                mark = state.step, state.seconds
                pace = metrics["speed.positions_per_second"]
            else:
                pace = (state.step - mark[0]) / (state.seconds - mark[1])
            left = max(0, total - state.step) / pace if pace else float("inf")
            display.update(state.step, state.seconds, left, metrics)
            if state.step - max(self._saved_step, 0) >= interval:
                self._save(display)
        if state.iteration and self._saved_step != state.step:
            self._save(display)

    def _iterate(self, display: ProgressDisplay) -> dict[str, float]:
        """One rollout and the learning from it; returns its figures."""
        config, state, buffer = self.config.training, self.state, self.experience_buffer
        learning_rate = config.learning_rate
        if config.lr_schedule == "linear":
            learning_rate *= max(0.0, 1.0 - state.step / self.total_timesteps)
        self.agent.set_learning_rate(learning_rate)

        start = time.perf_counter()
        length = buffer.rollout_length
        display.phase("collecting")
        self._collector.start(lambda ply: display.phase(f"collecting {ply}/{length}"))
        self.env.raise_errors()
        counts = rollout_counts(buffer)
        collected = time.perf_counter()
        display.phase("learning")
        learned = self.agent.learn(buffer, self._shuffle)
        values = rollout_values(buffer)
        end = time.perf_counter()

        state.iteration += 1
        state.step += counts["plies"]
        state.seconds += end - start
        state.count(counts)
        games = counts["games"]
        return {
            "speed.positions_per_second": counts["plies"] / (end - start),
            "speed.games_per_second": games / (end - start),
            "speed.collect_seconds": collected - start,
            "speed.learn_seconds": end - collected,
            "speed.total_seconds": state.seconds,
            **{f"learn.{name}": value for name, value in (learned | values).items()},
            "learn.learning_rate": learning_rate,
            **{f"games.{name}": float(count) for name, count in counts.items()},
            "games.mean_plies": counts["game_plies"] / games if games else 0.0,
        }

    def _save(self, display: ProgressDisplay) -> None:
        """Publishes a checkpoint of this moment and removes the oldest ones."""
        display.phase("saving")
        directory = self.model_dir / checkpoint_name(self.state.step)
        tensors: dict[str, Tensor] = dict(self.agent.optimizer_tensors())
        tensors |= {f"env.{name}": tensor for name, tensor in self.env.state_dict().items()}
        tensors["shuffle"] = self._shuffle.get_state()
        save_checkpoint(
            directory,
            network=self.model,
            config=self.config,
            step=self.state.step,
            state=TrainingState(tensors=tensors, values=self.state.to_json()),
        )
        self._saved_step = self.state.step
        _log.info("saved %s", directory)
        keep = self.config.logging.keep_checkpoints
        for old in list_checkpoints(self.model_dir)[:-keep] if keep else []:
            shutil.rmtree(old)

    def _restore(self, model: LoadedModel, saved: TrainingState) -> None:
        """Takes everything a checkpoint holds: weights, optimiser, games, shuffling, counters."""
        model.fill(self.model)
        prefix = "env."
        try:
            self.agent.load_optimizer_tensors(dict(saved.tensors))
            self.env.load_state_dict(
                {
                    name.removeprefix(prefix): tensor
                    for name, tensor in saved.tensors.items()
                    if name.startswith(prefix)
                }
            )
            if self._shuffle.get_state().shape == saved.tensors["shuffle"].shape:
                self._shuffle.set_state(saved.tensors["shuffle"])
            else:
                self._warnings.append(
                    "the checkpoint comes from another kind of device: shuffling restarts"
                )
            self.state = TrainState.from_json(dict(saved.values))
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"{self._checkpoint}: training state: {error}") from error

    def _check_fits(self, model: LoadedModel) -> None:
        for section, keys in (
            ("model", type(self.config.model).model_fields),
            ("training", ("seed",)),  # games and shuffling go on from the checkpoint
            ("env", ("num_games", "max_plies", "start_positions")),
        ):
            ours, theirs = getattr(self.config, section), getattr(model.config, section)
            for key in keys:
                if getattr(ours, key) != getattr(theirs, key):
                    raise ConfigError(
                        f"{section}.{key}: expected {getattr(theirs, key)!r} as in the checkpoint "
                        f"{self._checkpoint}, got {getattr(ours, key)!r}"
                    )

    def _choose_run_dir(self, restored: LoadedModel | None) -> Path:
        """The folder of this run.

        A run that is resumed from its newest checkpoint goes on in its folder; from an older one,
        or from a checkpoint that lies elsewhere, it is a new run.
        """
        root, name = Path(self.config.logging.run_root), self.config.logging.run_name
        if restored is not None and self._checkpoint is not None:
            checkpoint = self._checkpoint.resolve()
            run = checkpoint.parent.parent
            in_run = checkpoint.parent.name == CHECKPOINT_FOLDER and (run / CONFIG_FILE).is_file()
            if name == restored.config.logging.run_name or (in_run and name == run.name):
                if in_run and list_checkpoints(checkpoint.parent)[-1:] == [checkpoint]:
                    return run
                name = f"{run.name if in_run else 'resumed'}-from-{self.state.step}"
        elif name is not None and list_checkpoints(root / name / CHECKPOINT_FOLDER):
            raise ConfigError(
                f"logging.run_name: expected a new run, got {name!r}, which has checkpoints in "
                f"{root}; resume it with --resume latest or take another name"
            )
        base = name or time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        candidate, number = root / base, 2
        while candidate.exists() and (
            name is None or list_checkpoints(candidate / CHECKPOINT_FOLDER)
        ):
            candidate, number = root / f"{base}-{number}", number + 1
        return candidate

    def _title(self) -> str:
        model = self.config.model
        return f"{self.run_name}: {model.tower_depth}x{model.tower_width} on {self.device}"

    def _log_run_info(self) -> None:
        training, model = self.config.training, self.config.model
        weights = sum(p.numel() for p in self.model.parameters())
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        _log.info("run folder: %s", self.run_artifact_dir)
        _log.info(
            "network: %s, %s blocks of %s channels, %s weights; %s on %s",
            model.type,
            model.tower_depth,
            model.tower_width,
            f"{weights:,}",
            training.precision,
            name,
        )
        _log.info(
            "each iteration: %s games x %s plies, then %s passes in batches of %s",
            f"{self.env.num_envs:,}",
            training.rollout_length,
            training.ppo_epochs,
            f"{self.agent.batch_size:,}",
        )
        if self.resumed_from_checkpoint:
            _log.info(
                "resumed from %s: %s plies, %s of training",
                self._checkpoint,
                f"{self.state.step:,}",
                format_seconds(self.state.seconds),
            )
        for warning in self._warnings:
            _log.warning("%s", warning)
        if training.compile:
            _log.info("kernels are compiled in the second iteration, which takes some seconds")


def _settled(value: int | str) -> int:
    if isinstance(value, str):
        raise TypeError(f"expected a resolved configuration, got {value!r}")
    return value
