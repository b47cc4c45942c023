"""The command of an alert: it gets the facts, and whatever becomes of it, training goes on."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from keisei.training.alert_command import CommandRunner


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def test_it_gets_the_facts_and_no_shell(tmp_path: Path) -> None:
    code = (
        "import os, sys; open(sys.argv[1], 'a').write("
        "f\"{os.environ['ALERT_NAME']} {sys.argv[2]} {'PATH' in os.environ}\\n\")"
    )
    runner = CommandRunner(python(code, str(tmp_path / "said"), "$ALERT_NAME; a *"), 30.0)
    for name in ("one", "two"):
        runner.run({"ALERT_NAME": name})
    runner.close()
    runner.close()
    said = (tmp_path / "said").read_text().splitlines()
    assert said == ["one $ALERT_NAME; a * True", "two $ALERT_NAME; a * True"]
    assert "ALERT_NAME" not in os.environ


def test_one_that_fails_is_logged_without_secrets(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "a1b2c3d4e5f6")
    runner = CommandRunner(
        python("import os; print('no', os.environ['SERVICE_TOKEN']); raise SystemExit(3)"), 30.0
    )
    runner.run({})
    runner.close()
    assert warnings(caplog) == ["alerts.command failed with status 3: no ***"]


def test_one_that_is_not_there_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    runner = CommandRunner(["/nowhere/at-all"], 30.0)
    runner.run({})
    runner.close()
    (text,) = warnings(caplog)
    assert text.startswith("alerts.command cannot be run: ") and "/nowhere/at-all" in text


def test_one_that_takes_too_long_is_killed_with_what_it_started(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # The process that it starts holds the pipe open as long as it lives.
    code = (
        "import subprocess, sys, signal; subprocess.Popen([sys.executable, '-c', "
        "'import signal, sys; f = open(sys.argv[1], \"w\"); signal.pause()', sys.argv[1]]); "
        "signal.pause()"
    )
    runner = CommandRunner(python(code, str(pipe)), 2.0)
    runner.run({})
    with pipe.open() as end:
        assert end.read() == ""  # until nobody holds it any more
    runner.close()
    assert warnings(caplog) == ["alerts.command was killed after 2 seconds"]


def test_asking_for_it_never_waits(caplog: pytest.LogCaptureFixture) -> None:
    runner = CommandRunner(python("import signal; signal.pause()"), 0.2)
    for _ in range(150):
        runner.run({})
    assert any("wait for it; this one is passed over" in text for text in warnings(caplog))
    thread = runner._thread
    assert thread is not None
    runner.close()
    assert not thread.is_alive() and runner._running is not None
    assert runner._running.poll() is not None, "expected nothing to be left running"
    assert "the last alerts still wait for it" in caplog.text
