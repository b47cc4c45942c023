"""run.json: what is in it, and what must never be."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import keisei
from keisei.config_schema import AppConfig, TrainingConfig, config_from_dict, resolve
from keisei.utils.provenance import (
    describe_device,
    driver_version,
    git_state,
    run_record,
    secrets_of,
    versions,
    write_run_record,
)

CPU = torch.device("cpu")
CONFIG = resolve(AppConfig(training=TrainingConfig(seed=17)), device="cpu", compile_network=False)


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *settings, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "inner").mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "tracked").write_text("1")
    git(folder, "add", "tracked")
    git(folder, "commit", "-qm", "one")
    return folder


def read(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text())
    assert isinstance(values, dict)
    return values


def test_a_record_holds_everything_that_tells_a_run(tmp_path: Path) -> None:
    record = run_record(CONFIG, device=CPU, ranks=2, resumed_from=tmp_path / "step-3")
    (start,) = read(write_run_record(tmp_path, record))["starts"]
    assert config_from_dict(start["config"], "run.json") == CONFIG
    assert start["seed"] == 17
    assert start["ranks"] == 2
    assert start["command"] == sys.orig_argv
    assert start["working_directory"] == str(Path.cwd())
    assert start["resumed_from"] == str(tmp_path / "step-3")
    assert start["versions"]["keisei"] == keisei.__version__
    assert start["versions"]["torch"] == torch.__version__
    assert start["versions"]["cuda"] == torch.version.cuda
    assert start["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert start["device"]["name"]
    assert set(start["git"]) == {"working_directory", "keisei"}
    assert start["started"].endswith("Z")


def test_every_start_adds_an_entry(tmp_path: Path) -> None:
    for command in (["first"], ["second", "--resume"]):
        path = write_run_record(tmp_path, run_record(CONFIG, device=CPU, command=command))
    assert [start["command"] for start in read(path)["starts"]] == [
        ["first"],
        ["second", "--resume"],
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"starts": 3}', "{}"])
def test_a_damaged_file_is_set_aside_aloud(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        path = write_run_record(tmp_path, run_record(CONFIG, device=CPU))
    assert len(read(path)["starts"]) == 1
    assert (tmp_path / "run.damaged.json").read_text() == text
    assert "run.damaged.json" in caplog.text


def test_no_secret_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "0123456789abcdef0123456789abcdef"
    monkeypatch.setenv("WANDB_API_KEY", secret)
    monkeypatch.setenv("HARMLESS_VARIABLE", "a-value-of-the-environment")
    record = run_record(CONFIG, device=CPU, command=["train", f"--token={secret}"])
    path = write_run_record(tmp_path, record)
    text = path.read_text()
    assert secret not in text
    assert "WANDB_API_KEY" not in text
    assert "a-value-of-the-environment" not in text
    assert read(path)["starts"][0]["command"] == ["train", "--token=***"]


def test_secrets_are_known_by_the_names_of_their_variables() -> None:
    environment = {
        "WANDB_API_KEY": "k" * 20,
        "GH_TOKEN": "t" * 9,
        "my_password": "p" * 12,
        "KEYBOARD": "a keyboard's name",
        "SHORT_KEY": "1",
        "PATH": "/usr/bin:/bin",
        "PATTERN": "a pattern's value",
        "OPENAIAPIKEY": "a" * 19,
        "PGPASSWORD": "g" * 18,
        "GITHUB_PAT": "h" * 17,
        "DATABASE_URL": "db://me:" + "d" * 14 + "@host/base",
        "WEB_URL": "https://example.org:8080/a@b",
    }
    assert secrets_of(environment) == [
        environment["DATABASE_URL"],
        *("k" * 20, "a" * 19, "g" * 18, "h" * 17, "d" * 14, "p" * 12, "t" * 9),
    ]


def test_git_says_commit_and_whether_files_were_changed(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    (checkout / "untracked").write_text("a run's folder")
    assert git_state(checkout) == {"commit": commit, "dirty": False}
    assert git_state(checkout / "inner") == {"commit": commit, "dirty": False}
    (checkout / "tracked").write_text("2")
    assert git_state(checkout) == {"commit": commit, "dirty": True}


def test_a_package_is_of_a_checkout_only_if_that_tracks_it(checkout: Path) -> None:
    installed = checkout / "venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert git_state(installed, of_file="__init__.py") is None
    assert git_state(checkout, of_file="tracked") == git_state(checkout)


def test_no_checkout_is_none(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None


def test_what_git_cannot_say_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")  # no commit yet
    state = git_state(tmp_path)
    assert state is not None and "HEAD" in state["error"]
    monkeypatch.setenv("PATH", str(tmp_path))
    state = git_state(tmp_path)
    assert state is not None and "git" in state["error"]


def test_the_surroundings_do_not_lead_git_astray(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook or an outer git sets GIT_DIR; a checkout may name a program as its file monitor."""
    commit = git(checkout, "rev-parse", "HEAD")
    marker = tmp_path / "started"
    monitor = checkout / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {marker}\n")
    monitor.chmod(0o755)
    git(checkout, "config", "core.fsmonitor", str(monitor))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    state = git_state(checkout)
    assert state is not None and state["commit"] == commit
    assert not marker.exists()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("580.65.06\n", "580.65.06"),
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95  Tue Sep 9 2025\n"
            "GCC version:  gcc version 12.2.0 (Debian)\n",
            "580.95",
        ),
    ],
)
def test_the_driver_is_read_where_the_kernel_says_it(
    tmp_path: Path, text: str, version: str
) -> None:
    (tmp_path / "version").write_text(text)
    files = (str(tmp_path / "missing"), str(tmp_path / "version"))
    assert driver_version(files) == version


def test_without_a_driver_there_is_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert driver_version(()) is None


@pytest.mark.gpu
def test_a_gpu_is_named_with_its_driver() -> None:
    device = torch.device("cuda", 0)
    assert describe_device(device)["name"] == torch.cuda.get_device_name(device)
    known = versions(device)
    assert known["driver"] and known["cudnn"] and known["cuda"] == torch.version.cuda
