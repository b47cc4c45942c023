"""A run's evaluations: nothing is disturbed by them, and its ladder survives what runs survive."""

from __future__ import annotations

import json
import logging
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from run_helpers import PLIES, assert_same_run, tiny_config, trainer_of
from tiny_run import figures

from keisei.config_schema import AppConfig, ConfigError, EvaluationConfig
from keisei.core.model_file import list_checkpoints, load_model
from keisei.evaluation.evaluate import EvaluationResult
from keisei.evaluation.game_record import GameRecord
from keisei.evaluation.ladder import Ladder
from keisei.export import export_checkpoint
from keisei.training import Trainer
from keisei.training.callbacks import Callback, Snapshot
from keisei.utils.plugins import PluginError

CHECKPOINT = Path(__file__).parent.parent / "data/trained_policy.ckpt"


def config(root: Path, total: int = 6 * PLIES, **evaluation: Any) -> AppConfig:
    """Games are long enough for an opening and some moves."""
    settings = tiny_config(root, total, evaluation=EvaluationConfig(**evaluation))
    env = settings.env.model_copy(update={"max_plies": 14})
    return settings.model_copy(update={"env": env})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    trainer = trainer_of(config(tmp_path_factory.mktemp("plain")))
    trainer.run_training_loop()
    return trainer


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Opponents of every kind that keisei builds."""
    exported = tmp_path_factory.mktemp("exported") / "policy.pt"
    export_checkpoint(CHECKPOINT, exported)
    return [
        "random",
        "greedy",
        "one-ply",
        "mixture:random:one-ply:0.5",
        f"trained={CHECKPOINT}",
        f"exported={exported}",
        "plugin_samples:Drawing",
    ]


def run_dir(trainer: Trainer) -> Path:
    return Path(trainer.run_artifact_dir)


def assert_undisturbed(trainer: Trainer, plain: Trainer) -> None:
    """Weights, optimiser, games, counters, generators, and the figures of every iteration."""
    assert_same_run(trainer, plain)
    assert figures(run_dir(trainer)) == figures(run_dir(plain))


@pytest.mark.parametrize("sample", [False, True])
def test_a_run_is_the_same_with_evaluations(
    tmp_path: Path, plain: Trainer, everybody: list[str], sample: bool
) -> None:
    trainer = trainer_of(
        config(tmp_path, interval=PLIES, games=3, opponents=everybody, earlier=2, sample=sample)
    )
    trainer.run_training_loop()
    lines = Path(trainer.eval_log_file_path).read_text().splitlines()
    assert len(lines) >= 5 and len(json.loads(lines[-1])["opponents"]) == len(everybody)
    assert len(json.loads(lines[-1])["earlier"]) == 2
    assert_undisturbed(trainer, plain)


def test_a_run_is_the_same_with_evaluations_beside_it(
    tmp_path: Path, plain: Trainer, everybody: list[str]
) -> None:
    # An opponent that draws in another thread draws from what the run draws from.
    opponents = everybody[:-1]
    trainer = trainer_of(config(tmp_path, interval=10**9, games=3, opponents=opponents))
    results: list[EvaluationResult] = []

    class Beside(Callback):
        name = "beside"
        draws = False  # nobody looks after the generators

        def __init__(self) -> None:
            self.threads: list[threading.Thread] = []

        def on_update_end(self, snapshot: Snapshot) -> None:
            evaluation = trainer.evaluator.prepare(snapshot.step)

            def play() -> None:
                results.append(evaluation(lambda: False))

            self.threads.append(threading.Thread(target=play))
            self.threads[-1].start()

        def on_finish(self, snapshot: Snapshot) -> None:
            for thread in self.threads:
                thread.join()

    trainer.callback_manager.add(Beside())
    trainer.run_training_loop()
    assert len(results) >= 6
    assert sorted(result.step for result in results) == sorted(
        int(name.removeprefix("step "))
        for name in Ladder(run_dir(trainer) / "ladder.json").ratings()
        if name.startswith("step ")
    )
    assert_undisturbed(trainer, plain)


def test_the_ladder_and_games_of_a_run(tmp_path: Path) -> None:
    openings = tmp_path / "openings.sfen"
    openings.write_text("startpos moves 7g7f 3c3d 2g2f 8c8d 2f2e 8d8e\n")
    settings = {"openings": str(openings), "opponents": ["greedy", "random"]}
    trainer = trainer_of(config(tmp_path, interval=2 * PLIES, games=4, **settings))
    trainer.run_training_loop()
    lines = [json.loads(line) for line in Path(trainer.eval_log_file_path).read_text().splitlines()]
    steps = [line["step"] for line in lines]
    assert len(steps) >= 3
    ladder = Ladder(run_dir(trainer) / "ladder.json")
    names = {f"step {step}" for step in steps}
    assert set(ladder.ratings()) == {*names, "random", "greedy_capture"}
    for before, line in zip([None, *steps], lines, strict=False):
        own = f"step {line['step']}"
        earlier = list(line.get("earlier", {}))
        assert earlier == ([] if before is None else [f"step {before}"])
        for name in [*line["opponents"], *earlier]:
            assert ladder.results[own, name].games == 4
        games = run_dir(trainer) / f"games/evaluation-{line['step']:015d}.jsonl"
        records = [
            GameRecord.from_json(json.loads(text)) for text in games.read_text().splitlines()
        ]
        assert len(records) == 4 * (2 + len(earlier))
        for record in records:
            assert own in (record.black, record.white)
            assert record.event == f"evaluation after {line['step']:,} plies"
            assert len(list(record.positions())) == record.plies + 1
            assert 6 <= record.opening_plies <= 8
    log = Path(trainer.log_file_path).read_text()
    assert re.search(rf"evaluation after {steps[-1]:,} plies: \+\d+ =\d+ -\d+ in ", log)
    assert "; Elo " in log
    rows = trainer.evaluator.ladder_rows()
    assert {row.name for row in rows} == set(ladder.ratings())
    rating = trainer.evaluator.rating(steps[-1])
    assert rating == ladder.ratings()[f"step {steps[-1]}"]
    assert trainer.evaluator.rating(10**9) is None


def test_a_resumed_run_has_the_ladder_of_one_that_was_not_cut(tmp_path: Path) -> None:
    settings = {"interval": PLIES, "games": 2, "opponents": ["random", "greedy"], "earlier": 3}
    whole = trainer_of(config(tmp_path / "whole", 8 * PLIES, **settings))
    whole.run_training_loop()
    cut = tmp_path / "cut/run"
    shutil.copytree(run_dir(whole), cut)
    kept = list_checkpoints(cut / "checkpoints")
    for later in kept[4:]:  # what the run wrote past the fourth is still there
        shutil.rmtree(later)
    step = load_model(kept[3]).manifest["step"]
    assert any(
        int(name.rpartition("-")[2].removesuffix(".jsonl")) > step
        for name in (path.name for path in (cut / "games").glob("evaluation-*.jsonl"))
    )
    resumed = trainer_of(config(tmp_path / "cut", 8 * PLIES, **settings), resume=str(cut))
    resumed.run_training_loop()
    for name in ("ladder.json", *(f"games/{p.name}" for p in (cut / "games").glob("eval*"))):
        ours, theirs = (
            json.loads("[" + (root / name).read_text().strip().replace("}\n{", "},\n{") + "]")
            for root in (run_dir(resumed), run_dir(whole))
        )
        assert ours == theirs, name
    assert_undisturbed(resumed, whole)


def test_an_evaluation_made_again_counts_once(tmp_path: Path) -> None:
    trainer = trainer_of(config(tmp_path, interval=10**9, games=2))
    trainer.run_training_loop()
    step = trainer.state.step
    first, again = (trainer.execute_full_evaluation_run(step) for _ in range(2))
    assert first.results == again.results
    assert Ladder(run_dir(trainer) / "ladder.json").results[f"step {step}", "random"].games == 2


def test_the_newest_then_the_strongest_are_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = trainer_of(config(tmp_path, interval=PLIES, games=2, earlier=3))
    trainer.run_training_loop()
    evaluator, folder = trainer.evaluator, Path(trainer.model_dir)
    steps = [load_model(path).manifest["step"] for path in list_checkpoints(folder)]
    path = run_dir(trainer) / "ladder.json"
    rows = [
        {"a": f"step {step}", "b": "random", "wins": wins, "draws": 0, "losses": 5, "step": step}
        for step, wins in zip(steps, (3, 9, 1, 2, 1, 1, 1), strict=False)
    ]
    ladder = json.loads(path.read_text())
    path.write_text(json.dumps({**ladder, "scores": rows}))
    evaluator.forget_after(10**9)  # reads it anew
    played = list(evaluator._earlier_selves(steps[4]))
    assert played == [f"step {steps[number]}" for number in (3, 1, 2)]
    damaged = list_checkpoints(folder)[3] / "model.ckpt"
    damaged.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        played = list(evaluator._earlier_selves(steps[4]))
    assert played == [f"step {steps[number]}" for number in (1, 2, 0)]
    assert f"step {steps[3]} is not played" in caplog.text


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ({"opponents": ["nobody"]}, r"evaluation\.opponents: opponent 'nobody'"),
        ({"opponents": ["random", "a=random", "a=greedy"]}, r"got 'a' twice"),
        ({"opponents": ["no/such"]}, r"evaluation\.opponents: no/such: expected a checkpoint"),
        ({"opponents": ["usi:no-such-program"]}, r"evaluation\.opponents: .*'no-such-program'"),
        ({"openings": "no-such-file"}, r"evaluation\.openings: no-such-file: cannot be read"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_made(
    tmp_path: Path, evaluation: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        trainer_of(config(tmp_path / "runs", interval=PLIES, **evaluation))
    assert not (tmp_path / "runs").exists()


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    trainer = trainer_of(config(tmp_path, interval=PLIES))
    with pytest.raises(PluginError, match="expected each name once, got 'random' twice"):
        trainer.evaluator.add_opponent("random", lambda: None)  # type: ignore[arg-type]
