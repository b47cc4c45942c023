"""``torchrun -m keisei.train``: several ranks on the CPU, against one and against themselves."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import Launched, plain_environment, torchrun
from safetensors.torch import load_file

from keisei.core.model_file import MODEL_FILE
from keisei.training.checkpoint import load_training_states, verify

STARTS = json.loads((Path(__file__).parents[1] / "data" / "learning_run.json").read_text())
# Another number of ranks sums in another order: the figures are off by 4e-7 at first, and by five
# times more an iteration once the runs have begun to grow apart (see core/test_ranks.py).
BOUND = 5e-3
SETTINGS = {
    "training.device": "cpu",
    "training.precision": "float32",
    "training.compile": "false",
    "training.deterministic": "true",
    "training.rollout-length": "8",
    "training.batch-size": "96",
    "training.shuffle-blocks": "2",
    "training.seed": "11",
    "training.learning-rate": "1e-4",
    "env.num-games": "48",
    "env.max-plies": "10",
    "past-selves.share": "0.5",
    "past-selves.opponents": "2",
    "past-selves.interval": "700",
    "past-selves.stay": "2",
    "model.tower-depth": "1",
    "model.tower-width": "8",
    "logging.keep-checkpoints": "0",
    "logging.checkpoint-interval": "500",
}
PLIES = 48 * 8
"""an iteration's at most"""


def options(folder: Path, name: str, **changes: object) -> list[str]:
    starts = folder / "starts.sfen"
    if not starts.exists():
        starts.write_text("\n".join(STARTS["starts"]) + "\n")
    settings = SETTINGS | {
        "env.start-positions": str(starts),
        "logging.run-root": str(folder),
        "logging.run-name": name,
    }
    settings |= {key.replace("__", ".").replace("_", "-"): v for key, v in changes.items()}
    return [f"--{key}={value}" for key, value in settings.items()]


def start_alone(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "keisei.train", *arguments],
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ends_well(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


def together(folder: Path, *arguments: str, ranks: int = 2) -> str:
    """Runs to its end under torchrun; returns what was said."""
    with torchrun(folder, *arguments, ranks=ranks) as launched:
        assert launched.finish() == 0, launched.output
    return launched.output


def figures(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("step-*"))


def check_alike(got: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """The same games, and figures within the bound."""
    assert len(got) == len(expected)
    for ours, theirs in zip(got, expected, strict=True):
        where = f"iteration {theirs['iteration']}"
        for name, value in theirs.items():
            if not name.startswith(("learn.", "games.", "past_selves.", "iteration", "step")):
                continue  # times
            bound = BOUND if name.startswith("learn.") else 0.0
            assert ours[name] == pytest.approx(value, rel=0, abs=bound), f"{where}: {name}"


def check_equal(got: Path, expected: Path) -> None:
    """Two checkpoints hold the same, bit for bit, on every rank."""
    weights, wanted = (load_file(path / MODEL_FILE) for path in (got, expected))
    assert weights.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(weights[name], tensor), f"weights: {name}"
    ours, theirs = load_training_states(got), load_training_states(expected)
    assert len(ours) == len(theirs)
    for rank, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        assert mine.tensors.keys() == other.tensors.keys()
        for name, tensor in other.tensors.items():
            assert torch.equal(mine.tensors[name], tensor), f"rank {rank}: {name}"
        assert len(mine.past_selves) == len(other.past_selves) > 0
        for one, wanted_one in zip(mine.past_selves, other.past_selves, strict=True):
            assert one.step == wanted_one.step
            for name, tensor in wanted_one.weights.items():
                assert torch.equal(one.weights[name], tensor), f"{one.file}: {name}"
        for name, value in other.values.items():
            if name != "seconds":
                assert mine.values[name] == value, name


def test_ranks_train_as_one_and_resume(tmp_path: Path) -> None:
    """Two against one; then from the middle: two again, exactly, and one from two, two from one."""
    total = 5 * PLIES
    one = start_alone(*options(tmp_path, "one", training__total_timesteps=total))
    said = together(tmp_path, *options(tmp_path, "two", training__total_timesteps=total))
    ends_well(one)
    run = tmp_path / "two"
    check_alike(figures(run), figures(tmp_path / "one"))
    assert said.count("training is complete") == 1, "one rank logs"
    assert (run / "train.log").read_text().count("run folder:") == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["one", "two"]
    middle, last = checkpoints(run)[1], checkpoints(run)[-1]
    assert verify(middle).world_size == 2
    done = next(n for n, line in enumerate(figures(run), 1) if line["step"] == step_of(middle))

    common = {"training__total_timesteps": total}
    resumed = start_alone(*options(tmp_path, "less", **common), f"--resume={middle}")
    together(tmp_path, *options(tmp_path, "again", **common), f"--resume={middle}")
    ends_well(resumed)
    check_equal(checkpoints(tmp_path / "again")[-1], last)
    check_alike(figures(tmp_path / "less"), figures(run)[done:])

    middle = checkpoints(tmp_path / "one")[1]
    together(tmp_path, *options(tmp_path, "more", **common), f"--resume={middle}")
    check_alike(figures(tmp_path / "more"), figures(tmp_path / "one")[done:])


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


@pytest.mark.slow
def test_four_ranks_go_on_from_two(tmp_path: Path) -> None:
    """With four shuffle blocks, which both can share."""
    common = {"training__total_timesteps": 5 * PLIES, "training__shuffle_blocks": 4}
    together(tmp_path, *options(tmp_path, "two", **common))
    middle = checkpoints(tmp_path / "two")[1]
    together(tmp_path, *options(tmp_path, "four", **common), f"--resume={middle}", ranks=4)
    done = next(
        n for n, line in enumerate(figures(tmp_path / "two"), 1) if line["step"] == step_of(middle)
    )
    check_alike(figures(tmp_path / "four"), figures(tmp_path / "two")[done:])
    assert verify(checkpoints(tmp_path / "four")[-1]).world_size == 4


def unbroken(run: Path) -> int:
    """Checks that a run's curve has each iteration once; returns how many there are."""
    lines = figures(run)
    assert [line["iteration"] for line in lines] == list(range(1, len(lines) + 1))
    steps = [line["step"] for line in lines]
    assert steps == sorted(set(steps))
    return len(lines)


def newest(run: Path) -> int:
    return step_of(found[-1]) if (found := checkpoints(run)) else 0


def kill_after_progress(launched: Launched, run: Path, rank: int) -> None:
    """Kills a rank once there is a checkpoint that was not there now."""
    before = newest(run)
    launched.wait_for(lambda: newest(run) > before, f"checkpoint after {before}")
    launched.signal(rank, signal.SIGKILL)


def test_a_killed_rank_comes_back(tmp_path: Path) -> None:
    """Rank 1, then rank 0: torchrun restarts them, and the run ends as one that was never cut."""
    settings = options(tmp_path, "cut", training__total_timesteps=24 * PLIES)
    restarts = ("--standalone", "--max-restarts=3")
    with torchrun(tmp_path, *settings, launcher=restarts) as launched:
        for rank in (1, 0):
            kill_after_progress(launched, tmp_path / "cut", rank)
        assert launched.finish() == 0, launched.output
    assert "restart 1: the run in" in launched.output
    assert "restart 2: the run in" in launched.output
    assert "rank 1 ends: rank 0 has gone" in launched.output
    runs = [path.name for path in tmp_path.iterdir() if path.is_dir()]
    assert runs == ["cut"], "it never began another run"
    unbroken(tmp_path / "cut")

    together(tmp_path, *options(tmp_path, "whole", training__total_timesteps=24 * PLIES))
    check_equal(checkpoints(tmp_path / "cut")[-1], checkpoints(tmp_path / "whole")[-1])


@pytest.mark.slow
def test_ranks_killed_again_and_again(tmp_path: Path) -> None:
    settings = options(
        tmp_path, "cut", training__total_timesteps=150 * PLIES, training__shuffle_blocks=3
    )
    restarts = ("--standalone", "--max-restarts=12")
    with torchrun(tmp_path, *settings, launcher=restarts, ranks=3) as launched:
        for number in range(12):
            kill_after_progress(launched, tmp_path / "cut", number % 3)
        assert launched.finish() == 0, launched.output
    unbroken(tmp_path / "cut")


@pytest.mark.slow
def test_two_machines(tmp_path: Path) -> None:
    """Two torchruns of two ranks that meet by c10d; a rank of each is killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = tmp_path / "cut"
    settings = options(
        tmp_path, "cut", training__total_timesteps=60 * PLIES, training__shuffle_blocks=4
    )
    machines = (
        "--nnodes=2",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint=127.0.0.1:{port}",
        "--rdzv-id=pair",
        "--max-restarts=3",
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with (
        torchrun(tmp_path / "a", *settings, launcher=machines) as first,
        torchrun(tmp_path / "b", *settings, launcher=machines) as second,
    ):
        for launched in (second, first):
            before = newest(run)
            launched.wait_for(lambda: newest(run) > before, "checkpoint")  # noqa: B023
            launched.signal(min(launched.ranks()), signal.SIGKILL)
        assert first.finish() == 0, first.output
        assert second.finish() == 0, second.output
    assert "restart 1: the run in" in first.output + second.output
    assert unbroken(run) >= 60
    assert verify(checkpoints(run)[-1]).world_size == 4


def test_a_rank_killed_before_the_first_checkpoint(tmp_path: Path) -> None:
    """The run begins again, in its own folder, and says so; unnamed, it would have a new one."""
    settings = [
        option
        for option in options(
            tmp_path, "-", training__total_timesteps=3 * PLIES, logging__checkpoint_interval=10**9
        )
        if "run-name" not in option
    ]
    restarts = ("--standalone", "--max-restarts=1")
    with torchrun(tmp_path, *settings, launcher=restarts) as launched:
        launched.wait_for(lambda: list(tmp_path.glob("*/launch.json")), "run")
        launched.signal(0, signal.SIGKILL)
        assert launched.finish() == 0, launched.output
    assert "has no checkpoint yet: it begins again" in launched.output
    runs = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(runs) == 1
    assert unbroken(runs[0]) >= 3


@pytest.mark.parametrize(
    "rank", [pytest.param(0, marks=pytest.mark.slow), 1, pytest.param(None, marks=pytest.mark.slow)]
)
def test_a_signal_to_any_rank_stops_all(rank: int | None, tmp_path: Path) -> None:
    """None: to torchrun, which passes it on to all and has a status of its own."""
    run = tmp_path / "stopped"
    settings = options(tmp_path, "stopped", training__total_timesteps=10**9)
    with torchrun(tmp_path, *settings) as launched:
        launched.wait_for(lambda: newest(run), "checkpoint")
        if rank is None:
            launched.process.terminate()
            assert launched.finish() != 0
        else:
            launched.signal(rank, signal.SIGTERM)
            assert launched.finish() == 0, launched.output
    assert "training has stopped" in launched.output
    assert newest(run) == figures(run)[-1]["step"], "it was saved where it stopped"


def test_games_that_cannot_be_shared(tmp_path: Path) -> None:
    settings = options(tmp_path, "uneven", env__num_games=47, training__shuffle_blocks="auto")
    with torchrun(tmp_path, *settings) as launched:
        assert launched.finish() != 0
    assert "env.num_games: expected a multiple of 2 ranks, got 47" in launched.output
    assert not (tmp_path / "uneven").exists()


def test_ranks_that_do_not_come(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = options(tmp_path, "alone", distributed__timeout_seconds=0.5)
    done = subprocess.run(
        [sys.executable, "-m", "keisei.train", *settings],
        env=plain_environment(
            WORLD_SIZE="2", RANK="0", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
        ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == "keisei.train: distributed: ranks [1] of 2: not met within 0.5 s\n"
    assert not (tmp_path / "alone").exists()
