"""The example package is installed as a user would, and a run uses all of it by entry points."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from keisei import Position
from keisei.train import main

PACKAGE = Path(__file__).parents[2] / "examples/keisei-example-plugins"
STEPS = 8 * 4 * 4


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python that has the package installed."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed, which builds the package")
    folder = tmp_path_factory.mktemp("example")
    source, site = folder / "source", folder / "site"
    shutil.copytree(PACKAGE, source)  # building writes into it
    flags = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *flags, "--target", site, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEISEI_")}
    return kept | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}


def python(environment: dict[str, str], folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def train(environment: dict[str, str], folder: Path, *more: str, total: int = STEPS) -> Path:
    settings = {
        "training.device": "cpu",
        "training.compile": "false",
        "training.total-timesteps": str(total),
        "training.rollout-length": "4",
        "training.batch-size": "16",
        "env.num-games": "8",
        "env.max-plies": "5",
        "logging.checkpoint-interval": "64",
        "logging.run-name": "run",
        "model.type": "plain-convolutions",
        "model.options": "{channels: 8, layers: 2}",
        "evaluation.interval": "64",
        "evaluation.games": "4",
        "plugins.callbacks": "[games-csv]",
        "plugins.opponents": "[greedy-capture]",
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    python(environment, folder, "-m", "keisei.train", *options, *more)
    return folder / "runs/run"


def test_a_run_uses_all_of_it(environment: dict[str, str], tmp_path: Path) -> None:
    run = train(environment, tmp_path)
    stored = json.loads((run / "config.json").read_text())
    assert stored["model"]["type"] == "plain-convolutions"

    def games() -> list[dict[str, str]]:
        with (run / "games.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def metrics() -> list[dict[str, float]]:
        return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]

    def check_games() -> None:
        rows, lines = games(), metrics()
        assert len(rows) == sum(line["games.games"] for line in lines) > 0
        lengths = sum(int(row["length"]) for row in rows)
        assert lengths == sum(line["games.game_plies"] for line in lines)
        assert {int(row["iteration"]) for row in rows} <= {int(m["iteration"]) for m in lines}

    check_games()
    (log,) = run.glob("evaluation*")
    results = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(results) == 2
    for result in results:
        assert list(result["opponents"]) == ["random", "greedy-capture"]

    # Another process rebuilds the network from the checkpoint alone, and exports it.
    python(
        environment,
        tmp_path,
        "-c",
        "from keisei.export import main; raise SystemExit(main(['runs/run', 'policy.pt']))",
    )
    policy = torch.jit.load(str(tmp_path / "policy.pt"))
    logits, value = policy(torch.zeros(3, 121, 9, 9))
    assert logits.shape == (3, 2187) and value.shape == (3,)

    train(environment, tmp_path, "--resume", "latest", total=2 * STEPS)
    assert metrics()[-1]["step"] >= 2 * STEPS
    check_games()


def test_without_the_package_its_names_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--training.device", "cpu", "--env.num-games", "2"]
    assert main([*arguments, "--plugins.callbacks", "[games-csv]"]) == 2
    assert "plugin 'games-csv': expected module:Class or an entry point of" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_the_opponent_takes_the_best_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PACKAGE))
    from keisei_example_plugins.greedy_capture import GreedyCapture

    for sfen, expected in (
        # A rook that can take a pawn, a gold or a dragon; for black, and turned for white.
        ("8k/9/9/9/p3R3g/9/4+r4/9/K8 b - 1", "5e5g"),
        ("8k/9/4+R4/9/G3r3P/9/9/9/K8 w - 1", "5e5c"),
        ("8k/9/9/9/p3R3g/9/9/9/K8 b P 1", "5e1e"),
    ):
        position = Position.from_sfen(sfen)
        opponent = GreedyCapture()
        opponent.start(1, torch.device("cpu"), 0)
        words = torch.from_numpy(position.words())[None]
        mask = torch.from_numpy(position.legal_mask())[None]
        label = int(opponent.choose(words, mask, torch.ones(1, dtype=torch.bool)))
        assert position.move(label).rstrip("+") == expected, sfen


def test_without_a_piece_to_take_it_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PACKAGE))
    from keisei_example_plugins.greedy_capture import GreedyCapture

    from keisei.envs import ShogiVectorEnv

    env, chosen = ShogiVectorEnv(200), []
    for seed in (1, 1, 2):
        opponent = GreedyCapture()
        opponent.start(200, torch.device("cpu"), seed)
        chosen.append(opponent.choose(env.positions, env.mask, torch.ones(200, dtype=torch.bool)))
    assert torch.equal(chosen[0], chosen[1]) and not torch.equal(chosen[0], chosen[2])
    assert len(chosen[0].unique()) == 30, "each of the thirty first moves"
