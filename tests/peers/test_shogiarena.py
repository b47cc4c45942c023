"""A tournament of ShogiArena's with keisei_play, as its first page says it: no special settings.

ShogiArena (PyPI: shogiarena) asks for much that keisei does not need, so it is in an environment of
its own, with its ``bin`` on the PATH.
"""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from engine.driver import KEISEI_PLAY

from keisei.export import main as export

TRAINED = Path(__file__).parent.parent / "data" / "trained_policy.ckpt"
ENGINE = 'name: "{name}"\nengine_path: "{program}"\n'
TOURNAMENT = """\
experiment_name: "keisei"
engines:
  - engine_path: "trained.yaml"
  - engine_path: "random.yaml"
tournament:
  games_per_pair: 4
  num_parallel: 1
rules:
  time_control:
    {limit}
  adjudication:
    max_plies: 200
dashboard:
  enabled: false
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["node_limit: 16", "time_ms: 5000\n    increment_ms: 100"])
def test_a_tournament(tmp_path: Path, limit: str) -> None:
    shogiarena = shutil.which("shogiarena")
    if shogiarena is None:
        pytest.skip("no shogiarena on the PATH (pip install shogiarena, in another environment)")
    policy = tmp_path / "policy.pt"
    assert export([str(TRAINED), str(policy)]) == 0
    # A file name that is none, as in DNN_Model: uniform, is refused there before we see it.
    random = tmp_path / "random"
    random.write_text(f'#!/bin/sh\nexec "{KEISEI_PLAY}" --model uniform\n')
    random.chmod(random.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "random.yaml").write_text(ENGINE.format(name="random", program=random))
    (tmp_path / "trained.yaml").write_text(
        ENGINE.format(name="trained", program=KEISEI_PLAY) + f'options:\n  DNN_Model: "{policy}"\n'
    )
    (tmp_path / "tournament.yaml").write_text(TOURNAMENT.format(limit=limit))
    folder = tmp_path / "run"
    done = subprocess.run(
        [shogiarena, "run", "tournament", "tournament.yaml", "--run-dir", str(folder)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "[ERROR]" not in said, said
    status = json.loads((folder / "completion_status.json").read_text())
    assert (status["status"], status["completed"], status["error_games"]) == ("clean", 4, 0)
    summary = subprocess.run(
        [shogiarena, "results", "summary", str(folder), "--format", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    results = json.loads(summary.stdout)
    assert not results["failures"] and sum(results["raw_result_counts"].values()) == 4
    won = {engine["engine"].partition(".")[0]: engine["wins"] for engine in results["engines"]}
    assert won["trained"] >= 3 > won["random"]
    assert not any("TIMEOUT" in name for name in results["raw_result_counts"])
