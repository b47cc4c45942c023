"""The usage examples and unit tests of the trainer's specification run as they are written there.

What they leave out comes before them: names, a configuration file, a checkpoint, and numbers small
enough for a test (a total of a few plies, few games).
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, patch

import pytest

from keisei import config_schema
from keisei.core.model_file import list_checkpoints
from keisei.training import Trainer

PLIES = 2 * 2

BASIC = """
from keisei.training import Trainer
from keisei.config_schema import load_config

# Load configuration
config = load_config("config.yaml")
args = parse_command_line_args()

# Create and run trainer
trainer = Trainer(config, args)
trainer.run_training_loop()
"""

CUSTOM = """
# Custom configuration setup
config = AppConfig(
    training=TrainingConfig(
        total_timesteps=500000,
        learning_rate=0.001,
        batch_size=128
    ),
    model=ModelConfig(
        type="resnet",
        tower_depth=6,
        tower_width=128
    )
)

trainer = Trainer(config, args)
trainer.run_training_loop()
"""

RESUME = """
# Resume from checkpoint
args.resume = "path/to/checkpoint.ckpt"
trainer = Trainer(config, args)

if trainer.resumed_from_checkpoint:
    print("Successfully resumed from checkpoint")

trainer.run_training_loop()
"""

COMPONENTS = """
# Access specific components
trainer = Trainer(config, args)

# Access metrics
current_stats = trainer.metrics_manager.get_current_stats()
print(f"Current timestep: {trainer.metrics_manager.global_timestep}")

# Save checkpoint manually
trainer.model_manager.save_checkpoint(
    agent=trainer.agent,
    timestep=trainer.metrics_manager.global_timestep
)

# Access session information
print(f"Run name: {trainer.run_name}")
print(f"Model directory: {trainer.model_dir}")
"""

PATTERNS = """
# Primary usage pattern
trainer = Trainer(config, args)
trainer.run_training_loop()

# Component access pattern
trainer.metrics_manager.get_current_stats()
trainer.model_manager.save_checkpoint()
trainer.session_manager.finalize_session()
"""

INITIALIZATION_ERRORS = """
try:
    trainer = Trainer(config, args)
except (RuntimeError, ValueError) as e:
    logger.error(f"Trainer initialization failed: {e}")
    # Handle initialization failure
"""

TRAINING_ERRORS = """
try:
    trainer.run_training_loop()
except KeyboardInterrupt:
    logger.info("Training interrupted by user")
    # Graceful shutdown
except Exception as e:
    logger.error(f"Training failed: {e}")
    # Error recovery and cleanup
"""

# The specification's own, but for the total, the batch and the network's size.
YAML = """
training:
  total_timesteps: 8
  learning_rate: 0.0003
  batch_size: 4
  ppo_epochs: 4

model:
  type: "resnet"
  tower_depth: 1
  tower_width: 8

logging:
  wandb_enabled: true
  log_level: "info"
  checkpoint_interval: 10000
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs lie below the working directory. Weights & Biases writes there and sends nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


def create_test_config() -> config_schema.AppConfig:
    return config_schema.AppConfig(
        training=config_schema.TrainingConfig(
            total_timesteps=2 * PLIES, rollout_length=2, batch_size=4, device="cpu"
        ),
        env=config_schema.EnvConfig(num_games=2, max_plies=8),
        model=config_schema.ModelConfig(tower_depth=1, tower_width=8),
        resources=config_schema.ResourcesConfig(threads=1),
    )


def create_test_args() -> SimpleNamespace:
    return SimpleNamespace(resume=None)


def create_test_trainer() -> Trainer:
    return Trainer(create_test_config(), create_test_args())


mock_log_function = MagicMock()


def run(example: str, **names: Any) -> dict[str, Any]:
    """Runs an example with the names that it leaves out; returns all of its names."""
    namespace = {"Trainer": Trainer, "args": create_test_args(), "logger": MagicMock()} | names
    exec(compile(example, "the specification", "exec"), namespace)
    return namespace


# The three unit tests, as written there.


def test_trainer_initialization():
    """Test trainer initialization with valid config."""
    config = create_test_config()
    args = create_test_args()
    trainer = Trainer(config, args)

    assert trainer.config == config
    assert trainer.args == args
    assert trainer.device is not None
    assert trainer.session_manager is not None


def test_component_initialization():
    """Test all components are properly initialized."""
    trainer = create_test_trainer()

    assert trainer.model is not None
    assert trainer.agent is not None
    assert trainer.experience_buffer is not None
    assert all(manager is not None for manager in [
        trainer.session_manager,
        trainer.display_manager,
        trainer.model_manager,
        trainer.env_manager,
        trainer.metrics_manager,
        trainer.callback_manager,
        trainer.setup_manager
    ])  # fmt: skip


def test_training_finalization():
    """Test proper cleanup during training finalization."""
    trainer = create_test_trainer()

    with patch('wandb.run') as mock_wandb:  # fmt: skip  # noqa: F841
        trainer._finalize_training(mock_log_function)
        # Verify finalization steps

    mock_log_function.assert_called()
    assert not trainer.trainer_state["session_active"]
    assert len(list_checkpoints(Path(trainer.model_dir))) == 1, "expected a final checkpoint"


# The examples.


def test_basic_training(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config.yaml").write_text(YAML)
    monkeypatch.setenv("KEISEI_ENV__NUM_GAMES", "2")
    monkeypatch.setenv("KEISEI_TRAINING__ROLLOUT_LENGTH", "2")
    monkeypatch.setenv("KEISEI_TRAINING__DEVICE", "cpu")
    trainer = run(BASIC, parse_command_line_args=create_test_args)["trainer"]
    assert trainer.metrics_manager.global_timestep >= 8
    assert (Path(trainer.run_artifact_dir) / "final_model.ckpt").is_file()


def test_training_with_custom_configuration() -> None:
    def training(**given: Any) -> config_schema.TrainingConfig:
        tiny = {"total_timesteps": PLIES, "rollout_length": 2, "device": "cpu"}
        return config_schema.TrainingConfig(**given | tiny)

    def app(**given: Any) -> config_schema.AppConfig:
        return config_schema.AppConfig(**given, env=config_schema.EnvConfig(num_games=2))

    names = run(
        CUSTOM, AppConfig=app, TrainingConfig=training, ModelConfig=config_schema.ModelConfig
    )
    trainer = names["trainer"]
    assert trainer.metrics_manager.global_timestep >= PLIES
    assert trainer.resolved_config.model.tower_width == 128
    assert trainer.agent.optimizer.param_groups[0]["lr"] == 0.001


def test_training_with_checkpoint_resume(capsys: pytest.CaptureFixture[str]) -> None:
    first = create_test_trainer()
    first.run_training_loop()
    newest = list_checkpoints(Path(first.model_dir))[-1]
    shutil.copytree(newest, "path/to/checkpoint.ckpt")
    config = create_test_config()
    longer = config.training.model_copy(update={"total_timesteps": 4 * PLIES})
    names = run(RESUME, config=config.model_copy(update={"training": longer}))
    assert "Successfully resumed from checkpoint" in capsys.readouterr().out
    assert names["trainer"].metrics_manager.global_timestep == 4 * PLIES


def test_manual_component_access(capsys: pytest.CaptureFixture[str]) -> None:
    names = run(COMPONENTS, config=create_test_config())
    trainer = names["trainer"]
    assert names["current_stats"]["global_timestep"] == 0
    trainer.model_manager.close()
    assert len(list_checkpoints(Path(trainer.model_dir))) == 1
    out = capsys.readouterr().out
    assert "Current timestep: 0\n" in out
    assert f"Run name: {trainer.run_name}\nModel directory: {trainer.model_dir}\n" in out


def test_usage_patterns() -> None:
    trainer = run(PATTERNS, config=create_test_config())["trainer"]
    trainer.model_manager.close()
    assert trainer.metrics_manager.get_current_stats()["global_timestep"] == 2 * PLIES
    assert not trainer.trainer_state["session_active"]


def test_initialization_errors() -> None:
    config = create_test_config()
    bad = config.training.model_copy(update={"device": "cuda:99"})
    logger = MagicMock()
    run(INITIALIZATION_ERRORS, config=config.model_copy(update={"training": bad}), logger=logger)
    (call,) = logger.error.call_args_list
    assert "Trainer initialization failed: training.device: expected" in call.args[0]
    assert list(Path().iterdir()) == [], "expected nothing to be created before the error"


def test_training_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    for raised, told in (
        (KeyboardInterrupt(), ("info", "Training interrupted by user")),
        (RuntimeError("it broke"), ("error", "Training failed: it broke")),
    ):
        trainer, logger = create_test_trainer(), MagicMock(spec=logging.Logger)

        def fail(*_: object, error: BaseException = raised) -> None:
            raise error

        monkeypatch.setattr(trainer.agent, "learn", fail)
        run(TRAINING_ERRORS, trainer=trainer, logger=logger)
        level, text = told
        getattr(logger, level).assert_called_once_with(text)
        assert not trainer.trainer_state["session_active"], "expected the run to be closed"
