"""Weights & Biases as a mirror: it gets the figures, and its failures stay there.

A package of the same name stands in for it where it must fail; its process is a real one.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from keisei.config_schema import AppConfig, LoggingConfig
from keisei.utils.wandb_mirror import WandbMirror

ENABLED = AppConfig(logging=LoggingConfig(wandb_enabled=True, wandb_project="p"))
KEY = "0123456789abcdef"

# Notes each call; the one that FAKE_WANDB names raises, or waits for a signal that never comes.
PACKAGE = """
import json, os, signal
HERE = os.path.dirname(__file__)

def call(name, value):
    with open(os.path.join(HERE, "calls"), "a") as file:
        file.write(json.dumps([name, value]) + "\\n")
    where, _, what = os.environ.get("FAKE_WANDB", "").partition("=")
    if where == name:
        if what == "hang":
            signal.pause()
        raise OSError(what)

class Settings(dict):
    def __init__(self, **settings):
        super().__init__(settings)

class Run:
    def log(self, values, step):
        call("log", [values, step])
    def alert(self, title, text, level):
        call("alert", [title, text])
    def finish(self):
        call("finish", None)

def init(**arguments):
    call("init", arguments)
    return Run()
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package that stands in for the real one, in the mirror's process only."""
    folder = tmp_path / "site" / "wandb"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(PACKAGE)
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return folder


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def calls(package: Path) -> list[tuple[str, Any]]:
    file = package / "calls"
    lines = file.read_text().splitlines() if file.exists() else []
    return [tuple(json.loads(line)) for line in lines]


def test_it_gets_the_figures_and_an_end(package: Path, run_dir: Path) -> None:
    mirror = WandbMirror(ENABLED, run_dir)
    assert mirror.active
    mirror.log({"learn.loss": 0.5, "message": f"the key {KEY}"}, 10)
    mirror.alert("run: slow", "it is slow")
    assert mirror.taken == 0, "nobody knows yet"
    mirror.close()
    mirror.close()
    mirror.log({"learn.loss": 0.5}, 20)
    assert not mirror.active and mirror.taken == 1
    made = calls(package)
    assert [name for name, _ in made] == ["init", "log", "alert", "finish"]
    arguments = made[0][1]
    assert (arguments["project"], arguments["name"]) == ("p", "run")
    assert arguments["settings"]["console"] == "off", "expected the console not to be sent"
    assert made[1][1] == [{"learn.loss": 0.5, "message": "the key ***"}, 10]
    assert made[2][1] == ["run: slow", "it is slow"]
    assert KEY not in repr(made)


def test_a_run_that_goes_on_keeps_its_id(package: Path, run_dir: Path) -> None:
    for step in (0, 10, 20, 0):
        WandbMirror(ENABLED, run_dir, step).close()
    ids = [arguments["id"] for name, arguments in calls(package) if name == "init"]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert json.loads((run_dir / "wandb.json").read_text()) == {"id": ids[3]}


def test_an_id_that_cannot_be_read_is_said(
    package: Path, run_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (run_dir / "wandb.json").write_text("[]")
    assert not WandbMirror(ENABLED, run_dir, 10).active
    assert "wandb.json: expected the id of the run" in caplog.text
    assert calls(package) == []


def test_it_is_not_touched_unless_it_is_enabled(
    package: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = WandbMirror(AppConfig(), run_dir)
    mirror.log({}, 1)
    mirror.close()
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert not WandbMirror(ENABLED, run_dir).active
    assert mirror.process_id is None and not mirror.active
    assert calls(package) == [] and list(run_dir.iterdir()) == []


def said(caplog: pytest.LogCaptureFixture) -> str:
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    text = record.getMessage()
    assert "goes on without it" in text
    return text


@pytest.mark.parametrize(
    ("where", "words"),
    [("init", "could not be started"), ("log", "is lost"), ("finish", "did not finish")],
)
def test_a_failure_is_said_once_and_goes_no_further(
    where: str,
    words: str,
    package: Path,
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("FAKE_WANDB", f"{where}=no network for {KEY}")
    mirror = WandbMirror(ENABLED, run_dir)
    for step in (1, 2):
        mirror.log({"learn.loss": 0.5}, step)
    mirror.close()
    assert not mirror.active
    text = said(caplog)
    assert words in text and "no network for ***" in text
    assert [name for name, _ in calls(package)][-1] == where


@pytest.mark.parametrize("where", ["init", "log", "finish"])
def test_one_that_hangs_is_given_up_at_the_end(
    where: str,
    package: Path,
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("FAKE_WANDB", f"{where}=hang")
    threads = threading.active_count()
    mirror = WandbMirror(ENABLED, run_dir, finish_timeout=2.0)
    for step in range(1500):  # more than a pipe holds
        mirror.log({"learn.loss": 0.5, "text": "x" * 100}, step)
    number = mirror.process_id
    assert number is not None
    mirror.close()
    assert "it has not taken everything within 2 seconds" in said(caplog)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    assert threading.active_count() == threads


def test_one_that_takes_nothing_is_given_up_before_it_fills_the_memory(
    package: Path,
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("FAKE_WANDB", "init=hang")
    mirror = WandbMirror(ENABLED, run_dir)
    for step in range(10_000):
        mirror.log({"learn.loss": 0.5, "text": "x" * 100}, step)
    assert not mirror.active
    mirror.close()
    assert "it has not taken 2000 messages" in said(caplog)


@pytest.mark.usefixtures("package")
def test_a_process_that_is_killed_is_said(run_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    mirror = WandbMirror(ENABLED, run_dir)
    assert mirror.process_id is not None
    os.kill(mirror.process_id, signal.SIGKILL)
    for step in range(3):
        mirror.log({"learn.loss": 0.5}, step)
    mirror.close()
    assert not mirror.active
    assert "Weights & Biases is lost: its process has ended" in said(caplog)


def test_what_is_no_plain_value_is_said(
    package: Path, run_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mirror = WandbMirror(ENABLED, run_dir)
    mirror.log({"learn.loss": object()}, 1)
    mirror.close()
    assert "what was to be sent is no plain value" in said(caplog)


def test_no_package_is_said(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert not WandbMirror(ENABLED, run_dir).active
    assert "the package wandb is not installed (pip install 'keisei[wandb]')" in caplog.text


def test_no_key_is_said_and_nobody_is_asked(
    package: Path,
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    empty = run_dir / "netrc"
    empty.touch(mode=0o600)
    monkeypatch.setenv("NETRC", str(empty))

    def starts() -> bool:
        mirror = WandbMirror(ENABLED, run_dir)
        active = mirror.active
        mirror.close()
        return active

    assert not starts()
    assert calls(package) == [] and "no API key" in caplog.text
    empty.write_text(f"machine api.wandb.ai login user password {KEY}\n")
    assert starts(), "expected the key in the netrc file to do"
    empty.write_text("")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert starts(), "expected offline mode to need no key"
