"""The command line of keisei_play."""

from __future__ import annotations

import json

import pytest
from engine.driver import run

import keisei


def test_version_and_help() -> None:
    version = run("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout == f"keisei_play {keisei.__version__}\n"
    usage = run("--help")
    assert (usage.returncode, usage.stderr) == (0, "")
    for name in ("--model", "--device", "--precision", "--evaluate", "--version", "--help"):
        assert name in usage.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--mode", "x"], "unknown argument '--mode'"),
        (["policy.pt"], "unknown argument 'policy.pt'"),
        (["--model"], "--model: expected a value, got nothing"),
        (["--model="], "--model: expected a file, uniform or mock, got ''"),
        (
            ["--device", "gpu"],
            "--device: expected auto, cpu, cuda or cuda:N, or several different ones with commas "
            "between them, got 'gpu'",
        ),
        (["--precision=int8"], "--precision: expected fp32, bf16 or fp16, got 'int8'"),
        (["--evaluate=yes"], "--evaluate: expected no value, got one"),
    ],
)
def test_bad_arguments(arguments: list[str], expected: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == f"keisei_play: {expected}; --help says what there is\n"


def test_both_ways_to_give_a_value() -> None:
    for arguments in (["--model", "uniform"], ["--model=uniform", "--device=cpu"]):
        result = run(*arguments, text="isready\nquit\n")
        assert (result.returncode, result.stdout, result.stderr) == (0, "readyok\n", "")


def test_bench() -> None:
    short = ("--seconds", "1", "--batches", "16", "--threads", "2", "--json")
    result = run("bench", "50", "--model", "mock", *short)
    assert (result.returncode, result.stderr) == (0, "")
    bench = json.loads(result.stdout)
    assert bench["evaluator"] == "mock" and bench["nodes_a_position"] == 50
    assert len(bench["moves"].split()) == 8
    (row,) = bench["rows"]
    assert row["batch"] == 16
    searched = row["search_evaluations_per_second"]
    assert searched > 0 and row["search_playouts_per_second"] > 0
    share = searched / row["raw_evaluations_per_second"]
    assert row["share_of_best_raw"] == pytest.approx(share, rel=1e-3)
    assert 0 < row["share_of_time_waiting"] < 1
    # The signature alone, as text.
    table = run("bench", "50", "--model", "mock", "--seconds", "0")
    assert f"signature {bench['signature']} " in table.stdout and "raw" not in table.stdout


def test_evaluate_without_a_model() -> None:
    result = run("--evaluate", text="")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("keisei_play: DNN_Model: expected a file")


def test_evaluate_uniform() -> None:
    result = run("--model", "uniform", "--evaluate", text=f"{keisei.Position().sfen()}\n" * 130)
    assert result.returncode == 0
    assert result.stdout == " ".join(["0"] * 2188).join(["", "\n"]) * 130
