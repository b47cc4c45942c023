"""The command line of keisei_play."""

from __future__ import annotations

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
        (["--model="], "--model: expected a file or uniform, got ''"),
        (
            ["--device", "gpu"],
            "--device: expected auto, cpu, cuda or cuda:N, or several with commas between them, "
            "got 'gpu'",
        ),
        (["--precision=int8"], "--precision: expected fp32, bf16 or fp16, got 'int8'"),
        (["--evaluate=yes"], "--evaluate: expected no value, got one"),
    ],
)
def test_bad_arguments(arguments: list[str], expected: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"keisei_play: {expected}\n\nusage: keisei_play ")


def test_both_ways_to_give_a_value() -> None:
    for arguments in (["--model", "uniform"], ["--model=uniform", "--device=cpu"]):
        result = run(*arguments, text="isready\nquit\n")
        assert (result.returncode, result.stdout, result.stderr) == (0, "readyok\n", "")


def test_evaluate_without_a_model() -> None:
    result = run("--evaluate", text="")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("keisei_play: DNN_Model: expected a file")


def test_evaluate_uniform() -> None:
    result = run("--model", "uniform", "--evaluate", text=f"{keisei.Position().sfen()}\n" * 130)
    assert result.returncode == 0
    assert result.stdout == " ".join(["0"] * 2188).join(["", "\n"]) * 130
