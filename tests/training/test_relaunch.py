"""A process that torchrun started again finds the run that it was training."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keisei.config_schema import AppConfig, ConfigError, config_from_dict
from keisei.training import relaunch
from keisei.training.relaunch import Launch, find_own_run, record_launch, what_to_resume

BEFORE = Launch(frozenset({"agent a", "agent b"}), restarts=0, first="process 1")
AFTER = Launch(frozenset({"agent b"}), restarts=1, first="process 2")


def begin(root: Path, name: str, launch: Launch, *, complete: bool = False) -> Path:
    (root / name).mkdir(parents=True)
    record_launch(root / name, launch, complete=complete)
    return root / name


def test_the_run_of_one_of_the_agents_is_found(tmp_path: Path) -> None:
    begin(tmp_path, "other", Launch(frozenset({"agent c"}), 0, "process 3"))
    (tmp_path / "of-nobody").mkdir()
    run = begin(tmp_path, "own", BEFORE)
    assert find_own_run(tmp_path, AFTER) == run
    # An agent that lost a machine, or got one, starts all anew and counts no restart.
    assert find_own_run(tmp_path, Launch(AFTER.agents, 0, "process 2")) == run
    assert find_own_run(tmp_path, Launch(frozenset({"agent d"}), 1, "process 2")) is None
    assert find_own_run(tmp_path / "nothing", AFTER) is None


def test_of_several_the_last_one_is_taken(tmp_path: Path) -> None:
    first, second = begin(tmp_path, "z", BEFORE), begin(tmp_path, "a", BEFORE)
    os.utime(first / relaunch.LAUNCH_FILE, ns=(1, 1))
    assert find_own_run(tmp_path, AFTER) == second


def test_a_program_may_train_several_runs(tmp_path: Path) -> None:
    """In one process, or in several under one torchrun: each begins its own."""
    begin(tmp_path, "first", BEFORE)
    assert find_own_run(tmp_path, BEFORE) is None, "of the same process"
    run = begin(tmp_path, "second", BEFORE, complete=True)
    (tmp_path / "first" / relaunch.LAUNCH_FILE).unlink()
    assert find_own_run(tmp_path, Launch(BEFORE.agents, 0, "process 2")) is None, "is complete"
    # But a rank that died when all was done does not begin it again.
    assert find_own_run(tmp_path, AFTER) == run


def config(root: Path) -> AppConfig:
    return config_from_dict({"logging": {"run_root": str(root)}}, "test")


def test_what_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(relaunch, "find_launch", lambda _: AFTER)
    caplog.set_level(logging.WARNING)
    assert what_to_resume("latest", config(tmp_path)) == ("latest", None)
    assert "restart 1: no run had begun: it begins now" in caplog.text
    run = begin(tmp_path, "own", BEFORE)
    assert what_to_resume("latest", config(tmp_path)) == ("latest", "own")
    assert f"the run in {run} has no checkpoint yet: it begins again" in caplog.text
    (run / "checkpoints" / "step-7").mkdir(parents=True)
    assert what_to_resume("latest", config(tmp_path)) == (str(run), None)
    assert f"the run in {run} goes on" in caplog.text
    (run / relaunch.LAUNCH_FILE).write_text("torn")
    with pytest.raises(ConfigError, match="the run to go on with was not found"):
        what_to_resume(None, config(tmp_path))


def test_without_torchrun_nothing_is_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    begin(tmp_path, "own", BEFORE)
    assert relaunch.own_agent() is None
    assert what_to_resume(None, config(tmp_path)) == (None, None)


AGENT = """
import os, subprocess, sys
environment = os.environ | {"TORCHELASTIC_RUN_ID": "none"}
code = "from keisei.training.relaunch import own_agent; print(own_agent())"
for command in ([sys.executable, "-c", code], ["sh", "-c", '"$0" "$@"; true', sys.executable, "-c", code]):
    print(subprocess.run(command, env=environment, capture_output=True, text=True).stdout, end="")
"""  # noqa: E501


def test_the_agent_is_named_alike_through_a_script(tmp_path: Path) -> None:
    """A shell between an agent and its ranks, another one after each restart, changes nothing."""
    program = tmp_path / "torchrun"
    program.write_text(AGENT)
    run = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    straight, through_shell = run.stdout.splitlines()
    assert straight == through_shell
    assert " " in straight, "host, boot, process and its start"
