"""python -m keisei.train, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from keisei import train
from keisei.config_schema import AppConfig, ConfigError, EvaluationConfig, sections
from keisei.core.ranks import SINGLE, Ranks
from keisei.training.settle import unread_here
from keisei.training.trainer import Trainer

SMALL = [
    "--env.num-games=4",
    "--env.max-plies=20",
    "--training.rollout-length=4",
    "--training.batch-size=8",
    "--training.device=cpu",
    "--model.tower-depth=1",
    "--model.tower-width=8",
]


def run(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keisei.train", *arguments],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_command_line_over_environment_over_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("training: {batch_size: 1, ppo_epochs: 1, gamma: 0.5}\n")
    monkeypatch.setenv("KEISEI_TRAINING__BATCH_SIZE", "2")
    monkeypatch.setenv("KEISEI_TRAINING__PPO_EPOCHS", "2")
    args = train.parse_arguments(["--config", str(path), "--training.batch-size", "3"])
    training = args.app.training
    assert (training.batch_size, training.ppo_epochs, training.gamma) == (3, 2, 0.5)
    assert args.resume is None
    args = train.parse_arguments(["--training.target-kl", "None", "--resume", "latest"])
    assert args.app.training.target_kl is None and args.resume == "latest"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--training.batch-sice", "3"], "--training.batch-sice: unknown option; did you mean "),
        (["--training.batch", "3"], "--training.batch: unknown option; did you mean "),
        (["--fast"], "--fast: unknown option; --help lists them"),
        (["fast"], "'fast': expected an option before it, --config for a file"),
        (["--training.seed"], "--training.seed: expected one argument"),
        (
            ["--training.batch-size", "many"],
            "--training.batch-size: training.batch_size: expected a valid integer or 'auto' or "
            "'fit', got 'many'",
        ),
        (
            ["--training.gamma=2"],
            "--training.gamma: training.gamma: expected less than or equal to 1, got 2",
        ),
        (
            ["--plugins.callbacks", "a", "b c"],
            "--plugins.callbacks: plugins.callbacks.1: expected an entry point's name",
        ),
        (["--model.options", "{"], "--model.options: not a YAML value: '{'"),
        (
            ["--evaluation.games", "7"],
            "--evaluation.games: evaluation.games: expected no value, because nothing reads it",
        ),
        (["--profile", "0"], "--profile: expected a positive integer, got '0'"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: cannot be read: "),
    ],
)
def test_a_bad_option_is_named(arguments: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        train.parse_arguments(arguments)
    assert str(caught.value).startswith(expected)


def test_options_of_every_kind() -> None:
    args = train.parse_arguments(
        [
            *("--training.mirror", "--training.compile", "False", "--training.target_kl=none"),
            *("--plugins.modules", "a", "b.c", "--plugins.callbacks", "[d, e:F]"),
            *("--model.type=m:C", "--model.options", "{a: 1, b: x}", "--profile=3"),
            *("--training.learning-rate", "3e-4", "--logging.run-name", "2026-11-22"),
        ]
    )
    training = args.app.training
    assert (training.mirror, training.compile, training.target_kl) == (True, False, None)
    assert training.learning_rate == 3e-4
    assert args.app.plugins.modules == ["a", "b.c"]
    assert args.app.plugins.callbacks == ["d", "e:F"]
    assert args.app.model.options == {"a": 1, "b": "x"}
    assert args.app.logging.run_name == "2026-11-22"
    assert args.profile == 3


def test_what_is_resumed_says_what_is_read() -> None:
    """A key that nothing would read in a new run may be one that the checkpoint's run reads."""
    argv = ["--resume", "x", "--evaluation.games", "7"]
    assert train.parse_arguments(argv).resume == "x"
    evaluated = AppConfig(evaluation=EvaluationConfig(interval=1000))
    assert train.parse_arguments(argv, evaluated).app.evaluation.games == 7
    with pytest.raises(ConfigError, match=r"^--evaluation\.games: .* nothing reads it"):
        train.parse_arguments(argv, AppConfig())
    with pytest.raises(ConfigError, match=r"^--training\.gamma: "):
        train.parse_arguments(["--resume", "x", "--training.gamma", "2"])


@pytest.mark.parametrize("name", ["5", "2026-11-22", "true", "1e3", "x"])
def test_what_can_only_be_text_is_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    args = train.parse_arguments(["--logging.run-name", name])
    assert args.app.logging.run_name == name
    monkeypatch.setenv("KEISEI_LOGGING__RUN_NAME", name)
    assert train.parse_arguments([]).app.logging.run_name == name
    assert train.parse_arguments(["--logging.run-name=none"]).app.logging.run_name is None


def test_help_lists_every_setting_with_its_meaning_and_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        train.parse_arguments(["--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for section, model in sections().items():
        assert f"{section}: {model.__doc__}" in text
        for key, field in model.model_fields.items():
            option = f"--{section}.{key} ".replace("_", "-")
            assert option in text, f"{option}is not in --help"
            entry = text.split(option)[1].split(" --")[0]
            assert field.description, f"{section}.{key} has no docstring"
            assert " ".join(field.description.split()) in entry
            default = {"None": "none", "True": "true", "[]": "empty", "{}": "empty"}.get(
                str(field.default), str(field.default).replace("False", "false")
            )
            assert entry.rstrip().partition("default: ")[2].startswith(f"{default})")


def test_the_command_line_is_judged_before_torch_is_loaded(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom keisei import train\n"
        "code = train.main(['--training.gamma', '2'])\n"
        "sys.exit(code if 'torch' not in sys.modules else 99)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_runs_resumes_and_ends_with_zero(tmp_path: Path) -> None:
    first = run(tmp_path, *SMALL, "--training.total-timesteps=32", "--logging.run-name=x")
    assert first.returncode == 0, first.stderr
    assert "step 32/32" in first.stdout
    again = run(tmp_path, "--resume", "latest", "--training.total-timesteps=64")
    assert again.returncode == 0, again.stderr
    assert "resumed from" in again.stdout and "step 64/64" in again.stdout
    lines = (tmp_path / "runs" / "x" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [16, 32, 48, 64]


def test_latest_is_looked_for_where_the_user_says(tmp_path: Path) -> None:
    """Not where the checkpoint says that it was made: runs may be moved and renamed."""
    first = run(
        tmp_path,
        *SMALL,
        "--training.total-timesteps=16",
        "--logging.run-root=old",
        "--logging.run-name=a",
    )
    assert first.returncode == 0, first.stderr
    (tmp_path / "old").rename(tmp_path / "runs")
    moved = run(tmp_path, "--resume=latest", "--training.total-timesteps=32")
    assert moved.returncode == 0, moved.stderr
    assert "step 32/32" in moved.stdout
    (tmp_path / "runs" / "a").rename(tmp_path / "runs" / "b")
    renamed = run(
        tmp_path, "--resume=latest", "--training.total-timesteps=48", "--logging.run-name=b"
    )
    assert renamed.returncode == 0, renamed.stderr
    assert "step 48/48" in renamed.stdout
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.glob("*/*")] == ["runs/b"]
    lines = (tmp_path / "runs" / "b" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [16, 32, 48]


IMPORTING = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "NAME":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
runpy.run_module("keisei.train", run_name="__main__", alter_sys=True)
"""
CONSTRUCTING = """
import os, runpy, signal
from keisei.training.trainer import Trainer
Trainer.__init__ = lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)
runpy.run_module("keisei.train", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "program",
    [
        *(
            IMPORTING.replace("NAME", name)
            for name in ("pydantic", "torch.nn", "keisei.training.trainer")
        ),
        CONSTRUCTING,
    ],
    ids=["pydantic", "torch.nn", "keisei.training.trainer", "Trainer"],
)
def test_interrupting_while_it_starts_is_one_line(tmp_path: Path, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program, *SMALL],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == "keisei.train: interrupted before anything was saved\n"
    assert done.stdout == ""
    assert done.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_that_cannot_be_used_ends_with_two(tmp_path: Path) -> None:
    bad = run(tmp_path, KEISEI_TRAINING__GAMMA="2")
    assert bad.returncode == 2
    assert "training.gamma: expected less than or equal to 1, got 2" in bad.stderr
    lost = run(tmp_path, "--resume", "latest")
    assert lost.returncode == 2
    assert "no checkpoint to resume from" in lost.stderr
    assert "Traceback" not in bad.stderr + lost.stderr
    assert list(tmp_path.iterdir()) == []


def test_interrupting_saves_and_ends_with_zero(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "keisei.train", *SMALL, "--logging.run-name=x"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "step " in line:
                process.send_signal(signal.SIGINT)
                break
        rest, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, "".join(seen) + rest
    assert "SIGINT: this iteration is finished and saved" in rest
    assert "go on with --resume" in rest
    assert len(list((tmp_path / "runs" / "x" / "checkpoints").iterdir())) == 1


def test_a_torn_checkpoint_is_passed_over_and_where_none_is_whole_nothing_starts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [*SMALL, "--logging.run-name=x", "--logging.checkpoint-interval=16"]
    assert train.main([*settings, "--training.total-timesteps=32"]) == 0
    checkpoints = Path("runs/x/checkpoints")
    older, newer = sorted(checkpoints.iterdir())
    raw = (newer / "model.ckpt").read_bytes()
    (newer / "model.ckpt").write_bytes(raw[: len(raw) // 2])

    capsys.readouterr()
    assert train.main(["--resume=latest", "--training.total-timesteps=64"]) == 0
    told = capsys.readouterr().out
    assert f"passed over: {newer}/model.ckpt: bytes: expected" in told
    assert f"resumed from {older}" in told
    assert "changed since the checkpoint: training.total_timesteps: 32 -> 64" in told
    lines = Path("runs/x/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [16, 32, 48, 64]
    assert (checkpoints / f"rejected-{newer.name}").is_dir()

    for directory in checkpoints.glob("step-*"):
        (directory / "training-00000.json").unlink()
    before = sorted(tmp_path.rglob("*"))
    caplog.clear()
    assert train.main(["--resume=latest", "--training.total-timesteps=99"]) == 2
    assert "expected a whole checkpoint to resume from, got 4 of which none can be used" in (
        caplog.text
    )
    assert caplog.text.count("training-00000.json: missing") == 4
    assert sorted(tmp_path.rglob("*")) == before, "expected nothing to start afresh"


def test_what_may_not_change_on_resume_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [*SMALL, "--training.total-timesteps=16", "--logging.run-name=x"]
    assert train.main(settings) == 0
    caplog.clear()
    assert train.main(["--resume=latest", "--training.gamma=0.9", "--env.max-plies=30"]) == 2
    for text in ("training.gamma: expected 1.0 as in", "env.max_plies: expected 20 as in"):
        assert text in caplog.text


def test_a_folder_that_cannot_be_made_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    assert train.main([*SMALL, "--logging.run-root=/proc/nowhere"]) == 2
    (record,) = caplog.records
    assert "'/proc/nowhere'" in record.getMessage() and record.exc_info is None


LATE = {
    "training: {device: 'cuda:99'}": ("training.device", "expected "),
    "training: {device: cpu, shuffle_blocks: 3}": ("training.shuffle_blocks", "expected a number"),
    "env: {start_positions: nowhere.sfen}": ("env.start_positions", "nowhere.sfen: cannot be read"),
    "env: {num_games: 10_000_000, max_plies: 65_535}": ("env.num_games", "expected games that fit"),
    "model: {tower_width: 10_000, tower_depth: 1_000}": ("model.tower_width", "expected a network"),
    "plugins: {modules: [no.such.module]}": ("plugins.modules", "no.such.module: cannot be "),
    "plugins: {callbacks: ['nosuch:Cb']}": ("plugins.callbacks", "plugin 'nosuch:Cb': "),
    "evaluation: {interval: 9}\nplugins: {opponents: ['nosuch:O']}": (
        "plugins.opponents",
        "plugin ",
    ),
    "resources: {memory_limit_gb: 0.001}": ("resources.memory_limit_gb", "expected room for"),
}


@pytest.mark.parametrize("text", LATE)
def test_what_is_judged_when_the_run_starts_names_its_line(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(f"# mine\n{text}\n")
    assert train.main(["--config", "mine.yaml"]) == 2
    key, expected = LATE[text]
    (record,) = caplog.records
    line = 2 + text.count("\n")
    assert record.getMessage().startswith(f"keisei.train: mine.yaml:{line}: {key}: {expected}")
    assert not Path("runs").exists()


def test_what_is_judged_when_the_run_starts_names_its_variable_or_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEISEI_ENV__START_POSITIONS", "nowhere.sfen")
    assert train.main([]) == 2
    assert "KEISEI_ENV__START_POSITIONS: env.start_positions: nowhere.sfen" in caplog.text
    caplog.clear()
    assert train.main(["--env.start-positions", "not-there.sfen"]) == 2
    assert "--env.start-positions: env.start_positions: not-there.sfen" in caplog.text


def test_what_nothing_reads_on_this_machine_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEISEI_DISTRIBUTED__TIMEOUT_SECONDS", "60")
    Path("mine.yaml").write_text("resources:\n  gpu_memory_fraction: 0.5\n")
    argv = ["--config", "mine.yaml", "--env.num-games=4", "--training.batch-size=8"]
    args = train.parse_arguments([*argv, "--model.tower-depth=1", "--model.tower-width=8"])
    cpu = torch.device("cpu")
    assert unread_here(args.places, cpu, SINGLE) == [
        "KEISEI_DISTRIBUTED__TIMEOUT_SECONDS: distributed.timeout_seconds: nothing reads it, "
        "because there is one rank",
        "mine.yaml:2: resources.gpu_memory_fraction: nothing reads it, because the run is on cpu",
    ]
    assert unread_here(args.places, torch.device("cuda"), Ranks(world_size=2)) == []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = Trainer(args.app, args, ranks=SINGLE)._warnings
    assert said == unread_here(args.places, cpu, SINGLE)
