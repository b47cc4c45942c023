"""The command keisei_play becomes the native engine, with torch in its reach."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from keisei import _engine, _libraries, _play, _torch_check


def test_command_changes_the_environment_only_where_torch_is_not_beside() -> None:
    program, arguments, environment = _engine.command(["--model", "uniform"])
    assert Path(program) == _libraries.folder() / "bin" / "keisei_play"
    assert os.access(program, os.X_OK)
    assert arguments == ["keisei_play", "--model", "uniform"]
    beside = (_libraries.folder().parent / "torch" / "lib").is_dir()
    assert (environment.get("LD_LIBRARY_PATH") == os.environ.get("LD_LIBRARY_PATH")) is beside


@pytest.mark.parametrize("inherited", [None, "/one:/two"])
def test_torch_elsewhere_is_put_on_the_library_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inherited: str | None
) -> None:
    if inherited is None:
        monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    else:
        monkeypatch.setenv("LD_LIBRARY_PATH", inherited)
    (tmp_path / "torch" / "lib").mkdir(parents=True)
    elsewhere = _torch_check.InstalledTorch(tmp_path / "torch", "2.13.0", "")
    monkeypatch.setattr(_engine, "installed", lambda: elsewhere)
    _, _, environment = _engine.command([])
    expected = str(tmp_path / "torch" / "lib") + (f":{inherited}" if inherited else "")
    assert environment["LD_LIBRARY_PATH"] == expected


def test_missing_torch_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_engine, "installed", lambda: None)
    with pytest.raises(SystemExit, match=r"keisei_play needs torch 2\.\d+\.\d+ .*not installed"):
        _play.main()


def test_missing_engine_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_engine, "folder", lambda: tmp_path)
    with pytest.raises(SystemExit, match="expected the engine, found no such file"):
        _play.main()


def test_command_on_path_answers_usi() -> None:
    script = Path(sysconfig.get_path("scripts")) / "keisei_play"
    start = [str(script)] if script.is_file() else [sys.executable, "-c", CALL_MAIN]
    done = subprocess.run(
        [*start, "--model", "uniform"],
        input="usi\nquit\n",
        cwd="/",
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "usiok"


CALL_MAIN = "from keisei._play import main; main()"
