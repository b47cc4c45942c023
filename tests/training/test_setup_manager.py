"""What a run trains with is built from its configuration and its seed."""

from __future__ import annotations

import pytest
import torch

from keisei.config_schema import (
    AppConfig,
    ConfigError,
    EnvConfig,
    ModelConfig,
    TrainingConfig,
    resolve,
)
from keisei.envs import ShogiVectorEnv
from keisei.envs.policy_output_mapper import PolicyOutputMapper
from keisei.training import setup_manager
from keisei.training.setup_manager import SetupManager
from keisei.training.train_state import TrainState

CPU = torch.device("cpu")


def config(**training: object) -> AppConfig:
    given = AppConfig(
        training=TrainingConfig(
            **{"rollout_length": 3, "batch_size": 4, "device": "cpu"} | training
        ),
        env=EnvConfig(num_games=5),
        model=ModelConfig(tower_depth=1, tower_width=8),
    )
    return resolve(given, device="cpu", compile_network=False)


def weights(settings: AppConfig) -> list[torch.Tensor]:
    model, *_ = SetupManager(settings, CPU).setup_training_components()
    return [weight.detach() for _, weight in model.named_parameters()]


def test_the_network_is_that_of_the_seed() -> None:
    first, again, other = (weights(config(seed=seed)) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_learner_and_store_are_those_of_the_configuration() -> None:
    model, agent, buffer = SetupManager(config(), CPU).setup_training_components()
    assert agent.model is model and agent.batch_size == 4
    assert (buffer.rollout_length, buffer.num_games) == (3, 5)


def test_a_failed_allocation_is_an_error_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(setup_manager, "build_network", lambda _: torch.empty(2**60))
    with pytest.raises(
        ConfigError, match=r"^model, env\.num_games, .* fit on cpu, got .*"
    ) as caught:
        SetupManager(config(), CPU).setup_training_components()
    assert "\n" not in str(caught.value)


def test_games_are_asked_of_what_builds_them() -> None:
    class Games:
        action_space_size = 2187
        obs_space_shape = (121, 9, 9)

        def setup_game_components(self) -> tuple[ShogiVectorEnv, PolicyOutputMapper]:
            return ShogiVectorEnv(2), PolicyOutputMapper()

    game, mapper, actions, shape = SetupManager(config(), CPU).setup_game_components(Games())
    assert game.num_envs == 2 and isinstance(mapper, PolicyOutputMapper)
    assert (actions, shape) == (2187, (121, 9, 9))


def test_nothing_to_resume_is_false_and_touches_nothing() -> None:
    model, agent, _ = SetupManager(config(), CPU).setup_training_components()
    before = [weight.detach().clone() for _, weight in model.named_parameters()]
    taken: list[TrainState] = []
    resumed = SetupManager(config(), CPU).handle_checkpoint_resume(
        None,
        agent=agent,
        game=ShogiVectorEnv(5),
        shuffle=torch.Generator(),
        take_progress=taken.append,
        warn=lambda text: pytest.fail(text),
    )
    assert resumed is False and taken == []
    now = [weight for _, weight in model.named_parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, now, strict=True))


def test_a_configuration_that_is_not_settled_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a resolved configuration"):
        SetupManager(AppConfig(), CPU).setup_training_components()


def test_what_is_trained_is_said_in_lines() -> None:
    settings = config()
    setup = SetupManager(settings, CPU)
    _, agent, _ = setup.setup_training_components()
    lines: list[str] = []
    setup.log_run_info(
        lines.append,
        agent=agent,
        game=ShogiVectorEnv(5),
        resumed_from=None,
        progress=TrainState(),
        warnings=["mind the step"],
        setup_seconds={"env_manager": 0.25},
    )
    text = "\n".join(lines)
    for words in ("1 blocks of 8 channels", "5 games x 3 plies", "float32 on cpu",
                  "warning: mind the step", "set up, in seconds: env_manager 0.25"):  # fmt: skip
        assert words in text
    assert "resumed" not in text
