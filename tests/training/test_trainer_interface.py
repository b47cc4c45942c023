"""What the trainer's specification says of its attributes and methods."""

from __future__ import annotations

import gc
import io
import json
import logging
import re
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, get_type_hints
from unittest.mock import MagicMock

import pytest
import torch
from rich.console import Console

from keisei.config_schema import (
    AppConfig,
    ConfigError,
    EnvConfig,
    LoggingConfig,
    ModelConfig,
    ResourcesConfig,
    TrainingConfig,
)
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.model_file import CheckpointError, list_checkpoints, load_model
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.envs.policy_output_mapper import PolicyOutputMapper
from keisei.training import Trainer
from keisei.training import trainer as module
from keisei.training.callback_manager import CallbackManager
from keisei.training.callbacks import Callback, Snapshot
from keisei.training.checkpoint_writer import CheckpointWriteError
from keisei.training.data_structures import TrainerState
from keisei.training.display_manager import DisplayManager
from keisei.training.env_manager import EnvManager
from keisei.training.episode_state import EpisodeState
from keisei.training.message_panel import MessagePanel
from keisei.training.metrics_manager import MetricsManager
from keisei.training.model_manager import ModelManager
from keisei.training.session_manager import SessionManager
from keisei.training.setup_manager import SetupManager
from keisei.training.step_manager import StepManager
from keisei.training.training_loop_manager import TrainingLoopManager
from keisei.utils import TrainingLogger

GAMES, LENGTH = 4, 2
PLIES = GAMES * LENGTH


def config(tmp_path: Path, total: int = 2 * PLIES, **logging: object) -> AppConfig:
    return AppConfig(
        training=TrainingConfig(
            total_timesteps=total, rollout_length=LENGTH, batch_size=4, device="cpu", seed=1
        ),
        env=EnvConfig(num_games=GAMES, max_plies=9),
        model=ModelConfig(tower_depth=1, tower_width=8),
        logging=LoggingConfig(**{"run_root": str(tmp_path / "runs"), "run_name": "run"} | logging),
        resources=ResourcesConfig(threads=1),
    )


def build(settings: AppConfig, resume: str | None = None) -> Trainer:
    return Trainer(settings, SimpleNamespace(resume=resume), Console(file=io.StringIO(), width=120))


ATTRIBUTES: dict[str, Any] = {
    "config": AppConfig,
    "args": SimpleNamespace,
    "device": torch.device,
    "model": ActorCriticProtocol,
    "agent": PPOAgent,
    "experience_buffer": ExperienceBuffer,
    "step_manager": StepManager,
    "game": ShogiVectorEnv,
    "policy_output_mapper": PolicyOutputMapper,
    "action_space_size": int,
    "obs_space_shape": tuple,
    "session_manager": SessionManager,
    "display_manager": DisplayManager,
    "model_manager": ModelManager,
    "env_manager": EnvManager,
    "metrics_manager": MetricsManager,
    "callback_manager": CallbackManager,
    "setup_manager": SetupManager,
    "training_loop_manager": TrainingLoopManager,
    "run_name": str,
    "run_artifact_dir": str,
    "model_dir": str,
    "log_file_path": str,
    "eval_log_file_path": str,
    "is_train_wandb_active": bool,
    "logger": TrainingLogger,
    "rich_console": Console,
    "rich_log_messages": MessagePanel,
    "log_both": Callable,
    "execute_full_evaluation_run": Callable,
    "resumed_from_checkpoint": bool,
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """One that is only looked at."""
    return build(config(tmp_path_factory.mktemp("built")))


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attribute(name: str, built: Trainer) -> None:
    assert isinstance(getattr(built, name), ATTRIBUTES[name])


def test_what_the_attributes_hold(built: Trainer) -> None:
    run = Path(built.config.logging.run_root) / "run"
    assert built.run_name == "run"
    assert built.run_artifact_dir == str(run)
    assert Path(built.model_dir).parent == run == Path(built.log_file_path).parent
    assert Path(built.eval_log_file_path).parent == run
    assert (built.action_space_size, built.obs_space_shape) == (2187, (121, 9, 9))
    assert built.device == torch.device("cpu")
    assert built.game.num_envs == GAMES == built.experience_buffer.num_games
    assert built.agent.model is built.model
    assert built.resolved_config.training.compile is False, "expected nothing to be left auto"
    assert not built.is_train_wandb_active and not built.resumed_from_checkpoint


def test_constructing_makes_the_folders_and_writes_no_figures(built: Trainer) -> None:
    files = {p.relative_to(built.run_artifact_dir) for p in Path(built.run_artifact_dir).rglob("*")}
    assert {str(file) for file in files} == {"checkpoints", ".lock"}


def test_trainer_state(tmp_path: Path) -> None:
    trainer = build(config(tmp_path))
    assert set(get_type_hints(TrainerState)) == set(trainer.trainer_state)
    assert all(isinstance(value, bool) for value in trainer.trainer_state.values())
    ready = {"initialization_complete", "model_ready", "agent_ready"}
    assert {name for name, value in trainer.trainer_state.items() if value} == ready
    seen: list[TrainerState] = []

    class Looks(Callback):
        def on_update_end(self, snapshot: Snapshot) -> None:
            seen.append(trainer.trainer_state)

    trainer.callback_manager.add(Looks())
    trainer.run_training_loop()
    active = {name for name, value in seen[0].items() if value}
    assert active == ready | {"session_active", "training_active"}
    assert {name for name, value in trainer.trainer_state.items() if value} == ready


def test_initializing_components_anew_begins_anew(tmp_path: Path) -> None:
    trainer = build(config(tmp_path))
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    old, callbacks = trainer.model, trainer.callback_manager.callbacks
    trainer._initialize_components()
    assert trainer.model is not old
    assert trainer.callback_manager.callbacks == callbacks, "expected none to be hung twice"
    weights = dict(trainer.agent.network_tensors())
    for name, tensor in trainer.model_manager.capture().network.items():
        assert tensor.data_ptr() == weights[name].data_ptr(), f"{name}: expected what is there now"
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, before[name]), f"{name}: expected the weights of the seed"


def test_components_set_up_together_are_those_set_up_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = build(config(tmp_path / "together"))
    together.run_training_loop()

    def in_turn(parts: dict[str, Callable[[], Any]], *_: object) -> dict[str, Any]:
        return {name: part() for name, part in parts.items()}

    monkeypatch.setattr(module, "set_up_together", in_turn)
    apart = build(config(tmp_path / "apart"))
    apart.run_training_loop()
    for name, tensor in together.model.state_dict().items():
        assert torch.equal(tensor, apart.model.state_dict()[name]), name
    assert torch.equal(together.game.positions, apart.game.positions)


def test_a_manager_that_cannot_be_set_up_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("too little memory")

    monkeypatch.setattr(SetupManager, "setup_training_components", fail)
    with pytest.raises(RuntimeError, match="too little memory") as caught:
        build(config(tmp_path))
    assert caught.value.__notes__ == ["while setting up setup_manager"]
    assert list(tmp_path.iterdir()) == [], "expected nothing to be created"


def test_the_games_as_training_begins(tmp_path: Path) -> None:
    trainer = build(config(tmp_path))
    state = trainer._initialize_game_state(trainer.log_both)
    assert isinstance(state, EpisodeState)
    assert torch.equal(state.positions, trainer.game.positions)
    assert state.current_obs.shape == (GAMES, 121, 9, 9)


@pytest.mark.parametrize("error", [RuntimeError, ValueError, OSError])
def test_games_that_cannot_begin_are_told_of_clearly(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build(config(tmp_path))

    def fail() -> None:
        raise error("no board")

    monkeypatch.setattr(trainer.env_manager, "initialize_game_state", fail)
    log_both = MagicMock()
    with pytest.raises(RuntimeError, match=r"^the games cannot begin: no board$") as caught:
        trainer._initialize_game_state(log_both)
    assert isinstance(caught.value.__cause__, error)
    log_both.assert_called_once_with("the games cannot begin: no board", log_level="error")


def test_one_ppo_update(tmp_path: Path) -> None:
    trainer = build(config(tmp_path))
    trainer.step_manager.play()
    before = trainer.model.state_dict()["policy_out.weight"].clone()
    log_both = MagicMock()
    planes = trainer._initialize_game_state(log_both).current_obs
    figures = trainer._perform_ppo_update(planes, log_both)
    assert figures["gradient_steps"] > 0
    assert len(trainer.experience_buffer) == 0, "expected the buffer to be cleared"
    assert not torch.equal(before, trainer.model.state_dict()["policy_out.weight"])
    (call,) = log_both.call_args_list
    assert call.args[0].startswith("PPO: ") and "entropy" in call.args[0]
    assert call.kwargs["also_to_wandb"] is True
    assert call.kwargs["wandb_data"]["learn.entropy"] == figures["entropy"]
    with pytest.raises(RuntimeError, match="expected 2 plies, got 0"):
        trainer._perform_ppo_update(planes, log_both)


def test_an_update_by_hand_is_that_of_the_loop(tmp_path: Path) -> None:
    by_hand, by_loop = (build(config(tmp_path / name, PLIES)) for name in ("hand", "loop"))
    by_loop.run_training_loop()
    by_hand.agent.set_learning_rate(by_hand.resolved_config.training.learning_rate)
    by_hand.step_manager.play()
    by_hand._perform_ppo_update(by_hand.game.planes().numpy(), MagicMock())
    for name, tensor in by_hand.model.state_dict().items():
        assert torch.allclose(tensor, by_loop.model.state_dict()[name], atol=1e-6), name


def test_the_run_is_described(tmp_path: Path) -> None:
    trainer, lines = build(config(tmp_path)), []
    trainer._log_run_info(lambda text, **_: lines.append(text))
    text = "\n".join(lines)
    assert "resnet, 1 blocks of 8 channels" in text and "on cpu" in text
    assert f"{GAMES} games x {LENGTH} plies" in text


def test_a_complete_run_leaves_everything(tmp_path: Path) -> None:
    trainer = build(config(tmp_path))
    assert trainer.run_training_loop() is True
    run = Path(trainer.run_artifact_dir)
    assert load_model(run / "final_model.ckpt").manifest["step"] == 2 * PLIES
    newest = list_checkpoints(Path(trainer.model_dir))[-1]
    assert load_model(newest).manifest["step"] == 2 * PLIES
    log, console = (run / "train.log").read_text(), (run / "console.txt").read_text()
    for text in ("run folder: ", "training is complete: 16 of 16 plies"):
        assert text in log and text in console.replace("\n", " ")
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_run_that_was_stopped_saves_a_checkpoint_and_no_final_model(tmp_path: Path) -> None:
    class StopsAtOnce(Callback):
        def on_update_end(self, snapshot: Snapshot) -> None:
            from keisei.training.callbacks import StopTraining

            raise StopTraining("enough")

    trainer = build(config(tmp_path, 10 * PLIES))
    trainer.callback_manager.add(StopsAtOnce())
    assert trainer.run_training_loop() is False
    assert not (Path(trainer.run_artifact_dir) / "final_model.ckpt").exists()
    (only,) = list_checkpoints(Path(trainer.model_dir))
    assert load_model(only).manifest["step"] == PLIES
    assert "training has stopped: 8 of 80 plies" in Path(trainer.log_file_path).read_text()


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt("second SIGINT"),
        RuntimeError("it broke"),
        ValueError("it broke"),
        AttributeError("it broke"),
        ImportError("it broke"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_ends_a_run_is_logged_raised_and_the_run_closed(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build(config(tmp_path))
    told: list[str] = []

    class Hears(Callback):
        def on_exception(self, snapshot: Snapshot) -> None:
            told.append(f"{snapshot.data['type']}: {snapshot.data['message']}")

        def on_finish(self, snapshot: Snapshot) -> None:
            told.append(f"done: {snapshot.data['done']}")

    trainer.callback_manager.add(Hears())

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(trainer.agent, "learn", fail)
    with pytest.raises(type(error)) as caught:
        trainer.run_training_loop()
    assert caught.value is error
    log = Path(trainer.log_file_path).read_text()
    if isinstance(error, KeyboardInterrupt):
        assert "training was interrupted in iteration 1" in log
        assert told == ["done: False"]
    else:
        assert "training failed in iteration 1" in log and "it broke" in log
        assert told == [f"{type(error).__name__}: it broke", "done: False"]
    assert "no checkpoint of the middle of an iteration is saved" in log
    assert list_checkpoints(Path(trainer.model_dir)) == []
    assert not trainer.logger.is_open and not trainer.trainer_state["session_active"]
    assert (Path(trainer.run_artifact_dir) / "console.txt").exists()


def test_a_failure_between_two_iterations_still_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build(config(tmp_path))

    def fail(*_: object) -> None:
        raise OSError("no display")

    monkeypatch.setattr(trainer.display_manager, "update", fail)
    with pytest.raises(OSError, match="no display"):
        trainer.run_training_loop()
    (only,) = list_checkpoints(Path(trainer.model_dir))
    assert load_model(only).manifest["step"] == PLIES


def test_a_checkpoint_that_cannot_be_written_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, tries = build(config(tmp_path, checkpoint_interval=PLIES)), []

    def fail(*_: object, **__: object) -> None:
        tries.append(1)
        raise CheckpointWriteError("disk full")

    monkeypatch.setattr(trainer.model_manager, "save_snapshot", fail)
    with pytest.raises(CheckpointWriteError, match="disk full"):
        trainer.run_training_loop()
    assert len(tries) == 1
    assert not trainer.trainer_state["session_active"]


def test_what_fails_at_the_end_is_raised_after_everything_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build(config(tmp_path))

    def fail(*_: object, **__: object) -> None:
        raise OSError("no room for the final model")

    monkeypatch.setattr(trainer.model_manager, "save_final_model", fail)
    with pytest.raises(OSError, match="no room for the final model"):
        trainer.run_training_loop()
    assert len(list_checkpoints(Path(trainer.model_dir))) == 1
    assert not trainer.trainer_state["session_active"] and not trainer.logger.is_open


def test_resuming_is_told_by_a_boolean(tmp_path: Path) -> None:
    first = build(config(tmp_path))
    assert first._handle_checkpoint_resume() is False
    first.run_training_loop()
    second = build(config(tmp_path, 3 * PLIES), resume="latest")
    assert second.resumed_from_checkpoint is True
    assert second.metrics_manager.global_timestep == 2 * PLIES
    assert second._handle_checkpoint_resume() is True
    assert second.trainer_state["resumed_from_checkpoint"] is True
    with pytest.raises(CheckpointError):
        build(config(tmp_path), resume=str(tmp_path / "nowhere"))


def test_log_both_writes_to_the_log_of_the_run(tmp_path: Path) -> None:
    trainer = build(config(tmp_path))
    with trainer.logger:
        trainer.log_both("a line", also_to_wandb=True)
        trainer.logger.warning("another")
    text = Path(trainer.log_file_path).read_text()
    assert "INFO" in text and "a line" in text and "another" in text
    assert [line.split(" ", 1)[1] for line in trainer.rich_log_messages] == ["a line", "another"]


def test_weights_and_biases_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package itself: it writes its files below the run and hears of the end."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    trainer, active = build(config(tmp_path, wandb_enabled=True)), []

    class Looks(Callback):
        def on_update_end(self, snapshot: Snapshot) -> None:
            active.append(trainer.is_train_wandb_active)

    trainer.callback_manager.add(Looks())
    trainer.run_training_loop()
    assert active == [True, True] and not trainer.is_train_wandb_active
    assert list(Path(trainer.run_artifact_dir).glob("wandb/offline-run-*/*.wandb"))


def test_what_cannot_be_used_creates_nothing(tmp_path: Path) -> None:
    settings = config(tmp_path)
    for section, key, value in (
        ("training", "device", "cuda:99"),
        ("env", "start_positions", str(tmp_path / "nowhere")),
        ("logging", "run_name", "../out"),
        ("training", "total_timesteps", -1),
    ):
        changed = getattr(settings, section).model_copy(update={key: value})
        with pytest.raises(ConfigError, match=rf"{section}\.{key}: "):
            build(settings.model_copy(update={section: changed}))
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_of_a_run_is_stored_settled(tmp_path: Path) -> None:
    trainer = build(config(tmp_path))
    trainer.run_training_loop()
    stored = json.loads((Path(trainer.run_artifact_dir) / "config.json").read_text())
    assert stored == trainer.resolved_config.model_dump(mode="json")
    assert trainer.config.training.precision == "auto"
    assert stored["training"]["precision"] == "float32"


def test_the_log_says_how_long_the_set_up_took(tmp_path: Path) -> None:
    trainer = build(config(tmp_path))
    trainer.run_training_loop()
    log = Path(trainer.log_file_path).read_text()
    number = r"\d+\.\d\d"
    managers = ("model", "env", "metrics", "callback", "setup")
    parts = ", ".join(rf"{name}_manager {number}" for name in managers)
    assert re.search(rf"set up, in seconds: {parts}, all {number}\n", log), log


def test_figures_are_written_once_an_iteration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, written = build(config(tmp_path, 5 * PLIES)), []
    write = trainer.session_manager.write_metrics

    def watched(iteration: int, step: int, metrics: Any) -> None:
        written.append(iteration)
        write(iteration, step, metrics)

    monkeypatch.setattr(trainer.training_loop_manager, "_write", watched)
    trainer.run_training_loop()
    assert written == list(range(1, trainer.state.iteration + 1)) and len(written) >= 5


def test_iterations_share_their_memory(tmp_path: Path) -> None:
    """One rollout store, one set of games and weights from the first iteration to the last."""
    trainer, addresses = build(config(tmp_path, 4 * PLIES)), []

    class Looks(Callback):
        def on_update_end(self, snapshot: Snapshot) -> None:
            own = [trainer.experience_buffer.positions, trainer.experience_buffer.advantages]
            own += [trainer.game.positions, *trainer.model.state_dict().values()]
            addresses.append([tensor.data_ptr() for tensor in own])

    trainer.callback_manager.add(Looks())
    trainer.run_training_loop()
    assert len(addresses) == 4 and all(one == addresses[0] for one in addresses)


def calls_of_managers(settings: AppConfig) -> float:
    """How often functions in the managers' files are called in an iteration."""
    trainer = build(settings)
    managers = {str(path) for path in Path(module.__file__).parent.glob("*_manager.py")}
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename in managers

    sys.setprofile(count)
    try:
        for _ in range(2):
            trainer.training_loop_manager.iterate()
    finally:
        sys.setprofile(None)
    return calls / 2


def test_delegation_costs_the_same_however_many_the_games(tmp_path: Path) -> None:
    small = config(tmp_path / "small")
    large = config(tmp_path / "large")
    games = large.env.model_copy(update={"num_games": 16 * GAMES})
    batch = large.training.model_copy(update={"batch_size": 16 * 4})  # as many minibatches
    large = large.model_copy(update={"env": games, "training": batch})
    assert calls_of_managers(large) == calls_of_managers(small) < 80


def test_a_run_leaves_nothing_behind_in_the_process(tmp_path: Path) -> None:
    logger = logging.getLogger("keisei")
    handlers, threads = list(logger.handlers), threading.active_count()
    trainer = build(config(tmp_path))
    trainer.run_training_loop()
    parts = (trainer, trainer.game, trainer.model, trainer.experience_buffer, trainer.agent)
    left = [weakref.ref(part) for part in parts]
    assert logger.handlers == handlers
    assert threading.active_count() == threads
    del trainer, parts
    gc.collect()
    alive = [part for ref in left if (part := ref()) is not None]
    assert not alive, f"still in memory: {[type(part).__name__ for part in alive]}"
