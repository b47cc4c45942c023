"""The training run: what it writes, that it goes on exactly, how it stops."""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keisei.config_schema import (
    AppConfig,
    ConfigError,
    EnvConfig,
    LoggingConfig,
    ModelConfig,
    TrainingConfig,
)
from keisei.core.divergence import Diagnosis, TrainingDivergedError
from keisei.core.model_file import CheckpointError, list_checkpoints
from keisei.core.network import build_network
from keisei.training import Trainer
from keisei.training.checkpoint import load_checkpoint, save_checkpoint
from keisei.training.device import find_device, why_not_compiled

PLIES = 8 * 4  # of one iteration, unless a game is at its move limit


def config(tmp_path: Path, total: int = 4 * PLIES, **training: object) -> AppConfig:
    return AppConfig(
        training=TrainingConfig(
            **{
                "total_timesteps": total,
                "rollout_length": 4,
                "batch_size": 16,
                "device": "cpu",
                "compile": False,
                "seed": 5,
            }
            | training
        ),
        # Games of at most five plies: they end, are cut off and begin again within the test.
        env=EnvConfig(num_games=8, max_plies=5),
        model=ModelConfig(tower_depth=1, tower_width=8),
        logging=LoggingConfig(
            run_root=str(tmp_path), run_name="run", checkpoint_interval=PLIES, keep_checkpoints=0
        ),
    )


def train(settings: AppConfig, resume: str | None = None) -> tuple[Trainer, str]:
    screen = io.StringIO()
    trainer = Trainer(settings, SimpleNamespace(resume=resume), Console(file=screen, width=120))
    trainer.run_training_loop()
    return trainer, screen.getvalue()


def records(trainer: Trainer) -> list[dict[str, float]]:
    path = Path(trainer.run_artifact_dir) / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_a_run_leaves_behind(tmp_path: Path) -> None:
    trainer, screen = train(config(tmp_path))
    run = tmp_path / "run"
    assert trainer.run_artifact_dir == str(run) and trainer.run_name == "run"
    assert trainer.state.step >= 4 * PLIES
    assert not trainer.resumed_from_checkpoint

    stored = json.loads((run / "config.json").read_text())
    assert stored == trainer.resolved_config.model_dump(mode="json")
    assert "auto" not in [v for section in stored.values() for v in section.values()]

    lines = records(trainer)
    assert [line["iteration"] for line in lines] == list(range(1, trainer.state.iteration + 1))
    assert lines[-1]["step"] == trainer.state.step
    assert all(math.isfinite(value) for line in lines for value in line.values())
    for name in ("games", "truncated", "black_wins", "white_wins", "draws", "ending_move_limit"):
        assert sum(line[f"games.{name}"] for line in lines) == trainer.state.totals[name]
    assert trainer.state.totals["truncated"] == trainer.state.totals["ending_move_limit"] > 0
    assert trainer.state.totals["plies"] == trainer.state.step

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    entropy = events.Scalars("learn/entropy")
    assert [event.step for event in entropy] == [line["step"] for line in lines]
    assert [event.value for event in entropy] == pytest.approx(
        [line["learn.entropy"] for line in lines]
    )

    saved = list_checkpoints(run / "checkpoints")
    assert len(saved) > 1
    model, state = load_checkpoint(saved[-1])
    assert model.manifest["step"] == trainer.state.step
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(model.weights[name], tensor)
    assert state.values["step"] == trainer.state.step

    assert "step " in screen and "positions/s" in screen and "left 0:00:00" in screen
    assert "run folder" in (run / "train.log").read_text()


@pytest.mark.parametrize("deterministic", [False, True])
def test_the_first_figures_do_not_wait_for_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deterministic: bool
) -> None:
    settings = config(tmp_path, compile=True)
    trainer = Trainer(settings, None, Console(file=io.StringIO()))
    loop = trainer.training_loop_manager
    # Told late, since asking for it changes the whole process.
    told = loop._config.model_copy(update={"deterministic": deterministic})
    monkeypatch.setattr(loop, "_config", told)
    asked: list[int] = []
    monkeypatch.setattr(
        trainer.agent, "compile_network", lambda: asked.append(trainer.state.iteration)
    )
    trainer.run_training_loop()
    expected = [0 if deterministic else 1]
    assert asked == expected, "compiled once: after the first iteration, or before it for its bits"


def test_two_halves_are_bit_equal_to_the_whole(tmp_path: Path) -> None:
    settings = {"lr_schedule": "linear", "ppo_epochs": 3}
    whole, _ = train(config(tmp_path / "whole", 6 * PLIES, **settings))
    middle = list_checkpoints(Path(whole.model_dir))[2]
    done = load_checkpoint(middle)[1].values["iteration"]
    assert 0 < done < whole.state.iteration - 1
    half, _ = train(config(tmp_path / "half", 6 * PLIES, **settings), resume=str(middle))
    assert half.resumed_from_checkpoint
    assert half.state.step == whole.state.step
    assert half.state.iteration == whole.state.iteration > 4
    assert half.state.totals == whole.state.totals
    ours, theirs = (load_checkpoint(list_checkpoints(Path(t.model_dir))[-1]) for t in (half, whole))
    assert ours[1].tensors.keys() == theirs[1].tensors.keys()
    for a, b in ((ours[0].weights, theirs[0].weights), (ours[1].tensors, theirs[1].tensors)):
        for name in b:
            assert torch.equal(a[name], b[name]), name
    for ours_line, theirs_line in zip(records(half), records(whole)[done:], strict=True):
        for name, value in theirs_line.items():
            if not name.startswith(("speed.", "time.", "resources.")):
                assert ours_line[name] == value, name


@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_the_learning_rate_follows_its_schedule(
    tmp_path: Path, schedule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tmp_path, lr_schedule=schedule, learning_rate=0.004)
    trainer = Trainer(settings, None, Console(file=io.StringIO()))
    expected, used = [], []
    learn = trainer.agent.learn

    def watched(*args: object) -> dict[str, float]:
        part = 1 - trainer.state.step / trainer.total_timesteps if schedule == "linear" else 1.0
        expected.append(0.004 * part)
        used.extend({group["lr"] for group in trainer.agent.optimizer.param_groups})
        return learn(*args)

    monkeypatch.setattr(trainer.agent, "learn", watched)
    trainer.run_training_loop()
    assert len(used) == trainer.state.iteration > 3, "expected one rate for all weights"
    assert used == pytest.approx(expected)
    assert used[0] == 0.004
    assert [line["learn.learning_rate"] for line in records(trainer)] == used
    if schedule == "linear":
        assert all(later < earlier for earlier, later in itertools.pairwise(used))


def test_the_same_seed_is_the_same_run_and_another_is_not(tmp_path: Path) -> None:
    a, _ = train(config(tmp_path / "a"))
    b, _ = train(config(tmp_path / "b"))
    c, _ = train(config(tmp_path / "c", seed=6))
    name = "policy_out.weight"
    assert torch.equal(a.model.state_dict()[name], b.model.state_dict()[name])
    assert not torch.equal(a.model.state_dict()[name], c.model.state_dict()[name])


def test_resuming_the_newest_goes_on_in_its_folder(tmp_path: Path) -> None:
    first, _ = train(config(tmp_path, 2 * PLIES))
    path = Path(first.run_artifact_dir) / "metrics.jsonl"
    before = path.read_text()
    # What a run leaves that died after its last checkpoint: records of the future, a torn line.
    path.write_text(before + json.dumps({"iteration": 99, "step": 9999}) + '\n{"iter')
    second, screen = train(config(tmp_path, 4 * PLIES), resume="latest")
    assert second.run_artifact_dir == first.run_artifact_dir
    assert "resumed from" in screen
    assert path.read_text().startswith(before)
    assert [line["iteration"] for line in records(second)] == list(
        range(1, second.state.iteration + 1)
    )


def test_resuming_an_older_one_is_a_new_run(tmp_path: Path) -> None:
    first, _ = train(config(tmp_path))
    before = sorted(p.name for p in Path(first.model_dir).iterdir())
    oldest = list_checkpoints(Path(first.model_dir))[0]
    second, _ = train(config(tmp_path, 2 * PLIES), resume=str(oldest))
    assert second.run_name == f"run-from-{PLIES}"
    assert sorted(p.name for p in Path(first.model_dir).iterdir()) == before


def test_resuming_a_renamed_checkpoint_is_a_new_run(tmp_path: Path) -> None:
    first, _ = train(config(tmp_path, PLIES))
    (only,) = list_checkpoints(Path(first.model_dir))
    renamed = only.rename(Path(first.model_dir) / "best")
    second, _ = train(config(tmp_path, 2 * PLIES), resume=str(renamed))
    assert second.run_name == f"run-from-{PLIES}"
    assert [p.name for p in Path(first.model_dir).iterdir()] == ["best"]


def test_weights_that_do_not_fit_the_manifest_are_named(tmp_path: Path) -> None:
    first, _ = train(config(tmp_path, PLIES))
    (directory,) = list_checkpoints(Path(first.model_dir))
    small = build_network(ModelConfig(tower_depth=1, tower_width=4))
    saved = load_checkpoint(directory)[1]
    save_checkpoint(directory, network=small, config=first.resolved_config, step=PLIES, state=saved)
    with pytest.raises(CheckpointError, match=r"model\.ckpt: the weights do not fit"):
        Trainer(config(tmp_path), SimpleNamespace(resume=str(directory)))


def test_a_run_folder_names_its_newest_checkpoint(tmp_path: Path) -> None:
    first, _ = train(config(tmp_path, 2 * PLIES))
    second, _ = train(config(tmp_path, 3 * PLIES), resume=str(first.run_artifact_dir))
    assert second.run_artifact_dir == first.run_artifact_dir
    assert second.state.iteration > first.state.iteration


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    first, _ = train(config(tmp_path, 2 * PLIES))
    before = sorted(p.name for p in Path(first.model_dir).iterdir())
    second, _ = train(config(tmp_path, 2 * PLIES), resume="latest")
    assert second.state == first.state
    assert sorted(p.name for p in Path(first.model_dir).iterdir()) == before


def test_a_taken_name_is_refused(tmp_path: Path) -> None:
    train(config(tmp_path, PLIES))
    with pytest.raises(ConfigError, match=r"run_name: expected a new run, got 'run'"):
        Trainer(config(tmp_path, PLIES))


def test_what_does_not_fit_the_checkpoint_is_named(tmp_path: Path) -> None:
    first, _ = train(config(tmp_path, PLIES))
    other = config(tmp_path).model_copy(update={"model": ModelConfig(tower_depth=2, tower_width=8)})
    args = SimpleNamespace(resume=str(first.run_artifact_dir))
    with pytest.raises(ConfigError, match=r"model\.tower_depth: expected 1 as in the checkpoint"):
        Trainer(other, args)
    with pytest.raises(ConfigError, match=r"training\.seed: expected 5 as in .*step-.*, got 6"):
        Trainer(config(tmp_path, seed=6), args)
    other = config(tmp_path).model_copy(update={"env": EnvConfig(num_games=9, max_plies=5)})
    with pytest.raises(ConfigError, match=r"env\.num_games: expected 8 as in the checkpoint"):
        Trainer(other, args)
    with pytest.raises(CheckpointError, match=r"checkpoint\.json: cannot be read"):
        Trainer(config(tmp_path), SimpleNamespace(resume=str(tmp_path / "nowhere")))


def test_old_checkpoints_go(tmp_path: Path) -> None:
    settings = config(tmp_path)
    settings = settings.model_copy(
        update={"logging": settings.logging.model_copy(update={"keep_checkpoints": 2})}
    )
    trainer, _ = train(settings)
    saved = list_checkpoints(Path(trainer.model_dir))
    assert len(saved) == 2
    assert load_checkpoint(saved[-1])[0].manifest["step"] == trainer.state.step


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_iteration_and_saves(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert threading.current_thread() is threading.main_thread()
    trainer = Trainer(config(tmp_path, 10**6), None, Console(file=io.StringIO()))
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    learn = trainer.agent.learn

    def learn_and_signal(*args: object) -> dict[str, float]:
        if trainer.state.iteration == 1:
            os.kill(os.getpid(), number)
        return learn(*args)

    monkeypatch.setattr(trainer.agent, "learn", learn_and_signal)
    assert trainer.run_training_loop() is False
    assert trainer.state.iteration == 2
    newest = list_checkpoints(Path(trainer.model_dir))[-1]
    assert load_checkpoint(newest)[1].values["iteration"] == 2
    assert {n: signal.getsignal(n) for n in before} == before


def test_a_second_signal_interrupts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(config(tmp_path, 10**6), None, Console(file=io.StringIO()))

    def signal_twice(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(trainer.agent, "learn", signal_twice)
    with pytest.raises(KeyboardInterrupt):
        trainer.run_training_loop()
    assert list_checkpoints(Path(trainer.model_dir)) == []


def test_a_failure_is_logged_and_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(config(tmp_path), None, Console(file=io.StringIO()))

    def fail(*_: object) -> None:
        raise TrainingDivergedError(Diagnosis(10, ("loss",), (), (), 40, 1e-3, None))

    monkeypatch.setattr(trainer.agent, "learn", fail)
    with pytest.raises(TrainingDivergedError):
        trainer.run_training_loop()
    text = Path(trainer.log_file_path).read_text()
    assert "training failed in iteration 1" in text and "not finite in the last one: loss" in text
    assert list_checkpoints(Path(trainer.model_dir)) == []


def test_what_a_killed_run_left_half_written_goes(tmp_path: Path) -> None:
    first, _ = train(config(tmp_path, PLIES))
    half = Path(first.model_dir) / ".step-0000000000099.abcd.tmp"
    half.mkdir()
    (half / "model.ckpt").write_text("half")
    train(config(tmp_path, PLIES), resume="latest")
    assert not half.exists()
    assert len(list_checkpoints(Path(first.model_dir))) > 0


def test_on_a_terminal_it_draws_a_panel(tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    console = Console(file=screen, force_terminal=True, width=150, height=50)
    Trainer(config(tmp_path, 2 * PLIES), None, console).run_training_loop()
    for word in ("run: 1x8 on cpu", "positions/s", "entropy"):
        assert word in screen.getvalue()


def test_a_device_that_is_not_there() -> None:
    for name in ("cuda:99", "tpu", "meta"):
        with pytest.raises(ConfigError, match=r"training\.device: expected .* got '" + name):
            find_device(name)


def test_without_the_package_of_weights_and_biases_it_trains_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    settings = config(tmp_path, PLIES)
    settings = settings.model_copy(
        update={"logging": settings.logging.model_copy(update={"wandb_enabled": True})}
    )
    trainer, screen = train(settings)
    assert "the package wandb is not installed" in screen
    assert not trainer.is_train_wandb_active
    assert trainer.state.iteration == 1


def test_start_positions_are_read(tmp_path: Path) -> None:
    starts = tmp_path / "starts.txt"
    sfen = "4k4/9/9/9/9/9/9/9/4K4 b R 1"
    starts.write_text(f"# two kings\n\n{sfen}\n")
    settings = config(tmp_path, PLIES).model_copy(
        update={"env": EnvConfig(num_games=8, max_plies=5, start_positions=str(starts))}
    )
    trainer = Trainer(settings)
    from keisei import Position

    assert Position.from_words(trainer.env.positions[3].numpy()).sfen().startswith(sfen[:-2])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"# none\n", "expected SFENs, one a line, got none"),
        (b"# one\n\n4k4/9/9/9/9/9/9/9/4K4 b R 1\nhello\n", "line 4: .*hello"),
        (b"4k4/4G4/4P4/9/9/9/9/9/4K4 w - 1\n", r"line 1: expected a game that goes on, got .*4k4/"),
        (b"\xff\n", "cannot be read: "),
        (None, "cannot be read: "),
    ],
)
def test_start_positions_that_are_none_are_named(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    starts = tmp_path / "starts.txt"
    if content is not None:
        starts.write_bytes(content)
    settings = config(tmp_path, PLIES).model_copy(
        update={"env": EnvConfig(num_games=8, max_plies=5, start_positions=str(starts))}
    )
    with pytest.raises(ConfigError, match=rf"^env\.start_positions: .*starts\.txt: {expected}"):
        Trainer(settings)


def test_a_compiler_that_does_not_work_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("\nno C compiler\nmore")

    monkeypatch.setattr(torch, "compile", broken)
    assert why_not_compiled(torch.device("cpu")) == "RuntimeError: no C compiler"
    monkeypatch.setattr(torch, "compile", lambda function: function)
    assert why_not_compiled(torch.device("cpu")) == ""


@pytest.mark.gpu
def test_on_cuda_compiled_in_bfloat16_and_resumed_on_a_processor(tmp_path: Path) -> None:
    settings = config(tmp_path, 2 * PLIES, device="cuda", compile="auto", precision="auto")
    first, screen = train(settings)
    assert first.resolved_config.training.device == "cuda:0"
    assert first.resolved_config.training.precision == "bfloat16"
    assert first.resolved_config.training.compile or "the network is not fused" in screen
    assert all(math.isfinite(value) for line in records(first) for value in line.values())
    # The first gradient step of an iteration sees the policy that collected: its KL is noise.
    assert records(first)[0]["learn.clip_fraction"] < 0.05
    on_cpu = config(tmp_path, 4 * PLIES, compile=False, precision="float32")
    second, screen = train(on_cpu, resume="latest")
    assert "shuffling restarts" in screen
    assert second.state.iteration > first.state.iteration
    newest = list_checkpoints(Path(second.model_dir))[-1]
    for name, tensor in load_checkpoint(newest)[0].weights.items():
        assert bool(tensor.isfinite().all()), name
