"""The recipes in configs/, each run in a tiny size."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keisei.config_schema import AppConfig, config_from_dict, load_config, resolve

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "configs").glob("*.yaml"))
GAMES, ROLLOUT, TOTAL = 4, 8, 96
TINY = [
    f"--training.total-timesteps={TOTAL}",
    f"--training.rollout-length={ROLLOUT}",
    "--training.batch-size=16",
    "--training.lr-warmup=16",
    "--training.device=cpu",
    f"--env.num-games={GAMES}",
    "--env.max-plies=20",
    "--model.tower-depth=1",
    "--model.tower-width=8",
    "--logging.run-name=tiny",
]


def overruled() -> set[str]:
    return {option.partition("=")[0][2:].replace("-", "_") for option in TINY}


def test_the_recipes_are_there() -> None:
    names = {path.stem for path in RECIPES}
    assert names >= {"laptop", "one-gpu", "four-gpus", "debug"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_says_how_it_is_run(path: Path) -> None:
    comment = path.read_text().partition("\ntraining:")[0]
    command = re.search(r"^#   .*-m keisei\.train --config (\S+)$", comment, re.MULTILINE)
    assert command is not None, f"{path}: no command in its first comment"
    assert command[1] == path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_resolves_as_it_stands(path: Path) -> None:
    config = load_config(path, environment={})
    on_cpu = config.training.device == "cpu"
    ranks = 4 if path.stem == "four-gpus" else 1
    device = "cpu" if on_cpu else "cuda:0"
    resolved = resolve(config, device=device, compile_network=not on_cpu, ranks=ranks)
    assert isinstance(resolved, AppConfig)


def start(path: Path, folder: Path, *launcher: str) -> dict[str, object]:
    """Runs the recipe in a tiny size; returns the configuration that it stored."""
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "keisei.train", "--config", str(path), *TINY],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"{path.name}: {done.stdout}\n{done.stderr}"
    run = folder / "runs" / "tiny"
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps[-1] >= TOTAL > steps[-2], f"{path.name}: {steps}"
    assert list((run / "checkpoints").glob("step-*/model.ckpt")), f"{path.name}: no checkpoint"
    stored = json.loads((run / "config.json").read_text())
    assert isinstance(stored, dict)
    return stored


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs(path: Path, tmp_path: Path) -> None:
    ran = config_from_dict(start(path, tmp_path), "config.json").model_dump()
    for section, keys in load_config(path, environment={}).model_dump(exclude_unset=True).items():
        for key, value in keys.items():
            if f"{section}.{key}" not in overruled():
                assert ran[section][key] == value, f"{path.name}: {section}.{key} was not kept"
