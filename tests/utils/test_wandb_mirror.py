"""Weights & Biases as a mirror: it gets the figures, and its failures stay there."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from keisei.config_schema import AppConfig, LoggingConfig
from keisei.utils.wandb_mirror import WandbMirror

ENABLED = AppConfig(logging=LoggingConfig(wandb_enabled=True, wandb_project="p"))


@pytest.fixture
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    monkeypatch.delenv("WANDB_MODE", raising=False)


def service(monkeypatch: pytest.MonkeyPatch, **broken: Exception) -> list[tuple[str, Any]]:
    """A wandb whose calls are listed; those named in ``broken`` raise."""
    calls: list[tuple[str, Any]] = []

    def call(name: str, value: Any) -> None:
        calls.append((name, value))
        if name in broken:
            raise broken[name]

    def init(**arguments: Any) -> SimpleNamespace:
        call("init", arguments)
        return SimpleNamespace(
            log=lambda values, step: call("log", (values, step)),
            finish=lambda: call("finish", None),
        )

    module = ModuleType("wandb")
    module.init = init  # type: ignore[attr-defined]
    module.Settings = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    return calls


@pytest.mark.usefixtures("_key")
def test_it_gets_the_figures_and_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = service(monkeypatch)
    mirror = WandbMirror(ENABLED, tmp_path / "run")
    assert mirror.active
    mirror.log({"learn.loss": 0.5}, 10)
    mirror.close()
    mirror.close()
    mirror.log({"learn.loss": 0.5}, 20)
    assert not mirror.active
    assert [name for name, _ in calls] == ["init", "log", "finish"]
    arguments = calls[0][1]
    assert (arguments["project"], arguments["name"]) == ("p", "run")
    assert "0123456789abcdef" not in repr(arguments)
    assert calls[1][1] == ({"learn.loss": 0.5}, 10)


def test_it_is_not_touched_unless_it_is_enabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = service(monkeypatch)
    mirror = WandbMirror(AppConfig(), tmp_path)
    mirror.log({}, 1)
    mirror.close()
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert not WandbMirror(ENABLED, tmp_path).active
    assert calls == [] and not mirror.active


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize(
    ("where", "words"),
    [("init", "could not be started"), ("log", "is lost"), ("finish", "did not finish")],
)
def test_a_failure_is_said_once_and_goes_no_further(
    where: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service(monkeypatch, **{where: OSError("no network for 0123456789abcdef")})
    mirror = WandbMirror(ENABLED, tmp_path)
    for step in (1, 2):
        mirror.log({"learn.loss": 0.5}, step)
    mirror.close()
    assert not mirror.active
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    text = record.getMessage()
    assert words in text and "no network for ***" in text and "goes on without it" in text


def test_no_package_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert not WandbMirror(ENABLED, tmp_path).active
    assert "the package wandb is not installed (pip install 'keisei[wandb]')" in caplog.text


def test_no_key_is_said_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = service(monkeypatch)
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    empty = tmp_path / "netrc"
    empty.touch(mode=0o600)
    monkeypatch.setenv("NETRC", str(empty))
    assert not WandbMirror(ENABLED, tmp_path).active
    assert calls == [] and "no API key" in caplog.text
    empty.write_text("machine api.wandb.ai login user password 0123456789abcdef\n")
    assert WandbMirror(ENABLED, tmp_path).active, "expected the key in the netrc file to do"
    empty.write_text("")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert WandbMirror(ENABLED, tmp_path).active, "expected offline mode to need no key"
