"""A run's files are read as they are, and nothing in them is in the way."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from sample_run import make_run

from keisei.evaluation.ladder import FILE_NAME
from keisei.report import run_files
from keisei.report.run_files import NotARunError, read_run


def test_all_that_a_run_leaves_is_read(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run"))
    assert run.name == "run" and run.complete and run.problems == []
    assert len(run.metrics) == 50 and run.metrics.step[-1] == 5000
    assert list(run.metrics.columns["games.games"]) == [10.0] * 50
    assert len(run.evaluations) == 3 and len(run.openings) == 5
    assert [(game.file[:9], game.step, game.is_self_play) for game in run.games] == [
        ("self-play", 1000, True),
        ("evaluatio", 5000, False),
        ("self-play", 5000, True),
    ]
    assert run.setting("training", "gamma") == 1.0
    assert run.setting("training", "none") is None and run.setting("none", "gamma") is None
    assert run.resumed_at == [2000] and run.checkpoints == [5000]
    assert [message.level for message in run.messages] == ["warning", "error"]
    assert run.messages[1].text.splitlines()[-1] == "  somewhere"
    assert run.messages[0].time == "2026-11-22T20:00:02Z"


def test_a_failure_counts_until_the_run_goes_on(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "final_model.ckpt").unlink()
    assert not read_run(folder).failed, "it was resumed later"
    (folder / "run.json").write_text('{"starts": [{"started": "2026-11-22T20:00:00Z"}]}')
    assert read_run(folder).failed


def test_figures_that_come_and_go(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(
        '{"iteration": 1, "step": 5, "a": 1}\n'
        '{"iteration": 2, "step": 9, "b": 2.5, "a": NaN, "c": true, "d": "x"}\n'
        '{"iteration": 3, "step": "x", "a": 3}\n'
        "\n[1]\n"
        '{"iteration": 3, "step": 12, "a": 4}\n'
        '{"iteration": 4, "st'
    )
    run = read_run(tmp_path)
    assert list(run.metrics.step) == [5, 9, 12]
    a, b = run.metrics.columns["a"], run.metrics.columns["b"]
    assert a[0] == 1 and math.isnan(a[1]) and a[2] == 4
    assert math.isnan(b[0]) and b[1] == 2.5 and math.isnan(b[2])
    assert set(run.metrics.columns) == {"a", "b"}
    assert run.problems == ["metrics.jsonl: 3 of its lines are no JSON objects"]


def test_an_alert_and_its_end_are_messages(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "train.log").write_text(
        "2026-11-22T20:00:00Z WARNING keisei.training.alerts: alert slow: speed < 50\n"
        "2026-11-22T20:00:01Z INFO keisei.training.display: step 5\n"
        "2026-11-22T20:00:02Z INFO keisei.training.alerts: alert slow is over: speed 90\n"
    )
    assert [message.text for message in read_run(tmp_path).messages] == [
        "alert slow: speed < 50",
        "alert slow is over: speed 90",
    ]


def test_only_the_last_messages_are_kept(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "train.log").write_text(
        "".join(f"2026-11-22T20:00:00Z WARNING keisei.a: {i}\n" for i in range(1001))
    )
    run = read_run(tmp_path)
    assert len(run.messages) == run_files.MESSAGES and run.messages[-1].text == "1000"
    assert run.messages_before == 1001 - run_files.MESSAGES


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotARunError, match=r"expected the folder of a run, with config\.json"):
        read_run(tmp_path)
    with pytest.raises(NotARunError):
        read_run(tmp_path / "none")


def test_the_names_are_those_that_training_uses() -> None:
    from keisei.core.model_file import CHECKPOINT_FOLDER
    from keisei.evaluation import saved_games
    from keisei.training import game_log, session_manager
    from keisei.utils import metrics_writer, provenance

    assert run_files.OPENINGS_FILE == game_log.OPENINGS_FILE
    assert run_files.GAMES_FOLDER == saved_games.GAMES_FOLDER
    assert game_log.games_file(Path(), 5).stem.startswith("self-play")
    assert run_files.step_of(game_log.games_file(Path(), 5).stem) == 5
    assert run_files.CONFIG_FILE == session_manager.CONFIG_FILE
    assert run_files.LOG_FILE == session_manager.LOG_FILE
    assert run_files.EVALUATION_FILE == session_manager.EVALUATION_LOG_FILE
    assert run_files.METRICS_FILE == metrics_writer.METRICS_FILE
    assert run_files.RUN_FILE == provenance.RUN_FILE
    assert run_files.CHECKPOINT_FOLDER == CHECKPOINT_FOLDER
    assert run_files.LADDER_FILE == FILE_NAME


def test_torch_is_not_needed(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from keisei.report.__main__ import main\n"
        f"sys.exit(main([{str(folder)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "report.html").stat().st_size > 10_000
