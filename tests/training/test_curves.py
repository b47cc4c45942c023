"""What TensorBoard shows of a run: everything once, however often the run was cut."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from event_files import assert_each_point_once, curves, details, read_events
from PIL import Image
from run_helpers import PLIES, assert_same_run, tiny_config, trainer_of

from keisei.config_schema import AppConfig, EvaluationConfig
from keisei.training.callbacks import Callback, Snapshot, StopTraining
from keisei.training.final_figures import FINAL_FIGURES, evaluation_figures, hyperparameters


def detailed(root: Path, total: int = 6 * PLIES, detail: int | None = 2 * PLIES) -> AppConfig:
    config = tiny_config(root, total, evaluation=EvaluationConfig(interval=3 * PLIES, games=2))
    logging = config.logging.model_copy(update={"detail_interval": detail})
    return config.model_copy(update={"logging": logging})


class Stop(Callback):
    """Ends the run after an iteration: as it should, or in the middle of the next."""

    def __init__(self, iteration: int, broken: bool) -> None:
        self.iteration = iteration
        self.essential = broken
        self.order = 100

    def on_update_end(self, snapshot: Snapshot) -> None:
        if snapshot.iteration == self.iteration:
            raise (RuntimeError if self.essential else StopTraining)("as far as this test goes")


def test_a_run_that_was_cut_shows_what_an_unbroken_one_shows(tmp_path: Path) -> None:
    whole = trainer_of(detailed(tmp_path / "whole"))
    whole.run_training_loop()
    cut = detailed(tmp_path / "cut")
    resume = None
    for iteration in (1, 2, 4):
        trainer = trainer_of(cut, resume=resume)
        trainer.callback_manager.add(Stop(iteration, broken=False))
        assert not trainer.run_training_loop()
        resume = trainer.run_artifact_dir
    trainer = trainer_of(cut, resume=resume)
    trainer.run_training_loop()
    assert_same_run(whole, trainer)
    ours = assert_each_point_once(Path(trainer.run_artifact_dir))
    theirs = assert_each_point_once(Path(whole.run_artifact_dir))
    assert details(ours) == details(theirs)
    steps = [step for step, _ in details(ours)["game"]]
    assert len(steps) == 3 and steps == sorted(set(steps))
    (point,) = curves(theirs)["final/learn/loss"]
    assert point == curves(theirs)["learn/loss"][-1]
    assert {f"final/{name.replace('.', '/')}" for name in FINAL_FIGURES} <= curves(theirs).keys()


def test_watching_a_run_changes_no_bit_of_it(tmp_path: Path) -> None:
    runs = []
    for name, detail in (("watched", PLIES // 4), ("unwatched", None)):
        runs.append(trainer_of(detailed(tmp_path / name, detail=detail)))
        runs[-1].run_training_loop()
    assert_same_run(*runs)
    shown = details(read_events(Path(runs[0].run_artifact_dir) / "tensorboard"))
    assert {len(points) for points in shown.values()} == {runs[0].state.iteration}
    assert not read_events(Path(runs[1].run_artifact_dir) / "tensorboard").Tags()["images"]


def test_the_histograms_are_of_the_rollout_and_the_board_is_a_picture(tmp_path: Path) -> None:
    trainer = trainer_of(detailed(tmp_path, detail=PLIES // 4))
    valid: list[float] = []

    class Look(Callback):
        def on_rollout_end(self, snapshot: Snapshot) -> None:
            valid.append(float(trainer.experience_buffer.valid.sum()))

    trainer.callback_manager.add(Look())
    trainer.run_training_loop()
    read = read_events(Path(trainer.run_artifact_dir) / "tensorboard")
    for points in (
        read.Histograms("rollout/values"),
        read.Histograms("rollout/move_probabilities"),
    ):
        assert [point.histogram_value.num for point in points] == valid
    for image in read.Images("game"):
        pixels = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
        assert pixels.shape == (image.height, image.width, 3) and pixels.std() > 10


def test_hyperparameters_are_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "secret-of-the-service")
    settings = tiny_config(tmp_path / "secret-of-the-service")
    found = hyperparameters(settings)
    assert found["training.seed"] == 5 and found["training.compile"] is False
    assert found["model.type"] == "resnet" and found["evaluation.interval"] == "null"
    assert str(found["logging.run_root"]).endswith("/***")


def test_evaluation_figures_are_the_numbers_of_the_log() -> None:
    result = {
        "step": 5,
        "win_rate": 0.5,
        "of": "text",
        "opponents": {"random": {"games": 4, "win_rate": 0.25, "by": {"black": 1}, "done": True}},
    }
    assert evaluation_figures(result) == {
        "evaluation.win_rate": 0.5,
        "evaluation.random.games": 4.0,
        "evaluation.random.win_rate": 0.25,
    }
