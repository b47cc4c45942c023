"""The recipes in configs/, each run in a tiny size."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ranks import plain_environment

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
EVALUATED = ["--evaluation.interval=48", "--evaluation.games=2"]


def options(path: Path) -> list[str]:
    """What makes the recipe tiny; it evaluates if it does so in full."""
    evaluates = load_config(path, environment={}).evaluation.interval is not None
    return TINY + EVALUATED if evaluates else TINY


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
        [sys.executable, *launcher, "-m", "keisei.train", "--config", str(path), *options(path)],
        cwd=folder,
        env=plain_environment(),
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
    evaluations = (run / "evaluation.log").exists()
    assert evaluations == (EVALUATED[0] in options(path)), f"{path.name}: {done.stdout}"
    stored = json.loads((run / "config.json").read_text())
    assert isinstance(stored, dict)
    return stored


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs(path: Path, tmp_path: Path) -> None:
    ran = config_from_dict(start(path, tmp_path), "config.json").model_dump()
    overruled = {word.partition("=")[0][2:].replace("-", "_") for word in options(path)}
    for section, keys in load_config(path, environment={}).model_dump(exclude_unset=True).items():
        for key, value in keys.items():
            if f"{section}.{key}" not in overruled:
                assert ran[section][key] == value, f"{path.name}: {section}.{key} was not kept"


def test_the_recipe_for_several_gpus_runs_on_several_ranks(tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    stored = start(ROOT / "configs" / "four-gpus.yaml", tmp_path, *launcher)
    ran = config_from_dict(stored, "config.json")
    assert ran.distributed.backend == "gloo"
    assert ran.training.shuffle_blocks == 2
    (once,) = json.loads((tmp_path / "runs" / "tiny" / "run.json").read_text())["starts"]
    assert once["ranks"] == 2
