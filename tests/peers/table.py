"""Other programs that play shogi, and how they are asked."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from keisei.evaluation.arena import TimeControl
from keisei.evaluation.usi_player import UsiSettings

FOLDER = Path(__file__).parent
PATIENCE = 120.0
_DEBIAN = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/games"


@dataclass(frozen=True)
class Peer:
    """A program, found or not."""

    name: str
    source: str
    """what to install"""
    command: Callable[[], list[str] | None]
    """None where it is not installed"""
    go: str
    """what it understands where nobody has a clock"""
    clock: TimeControl
    """of a form that it knows; ample for both, on a busy machine too"""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def why_absent(self) -> str | None:
        return None if self.command() else f"{self.name} is not installed ({self.source})"

    def settings(self) -> UsiSettings:
        command = self.command()
        assert command is not None
        return UsiSettings(shlex.join(command), self.options, self.go, PATIENCE)


def _program(name: str, *adapter: str) -> list[str] | None:
    path = shutil.which(name, path=_DEBIAN)
    return None if path is None else [*adapter, path]


def _adapted(name: str) -> list[str] | None:
    return _program(name, sys.executable, str(FOLDER / f"{name}_usi.py"))


@cache
def _zshogi() -> tuple[str, ...] | None:
    node = shutil.which("node")
    if node is None:
        return None
    found = subprocess.run([node, "-p", "require.resolve('zshogi')"], capture_output=True)
    return None if found.returncode else (node, str(FOLDER / "zshogi_usi.mjs"))


PEERS = (
    # Aborts at words of ``go`` other than these, ``byoyomi`` among them, which it oversteps.
    Peer(
        "GPS Shogi",
        "Debian: gpsshogi, gpsshogi-data",
        lambda: _program("gpsusi"),
        "btime 0 wtime 0 byoyomi 1000",
        TimeControl(main=120_000),
        {"LimitDepth": "4", "BookDepth": "0"},
    ),
    Peer(
        "Fairy-Stockfish",
        "Debian: fairy-stockfish",
        lambda: _program("fairy-stockfish"),
        "nodes 1000",
        TimeControl(main=20_000, increment=500),
    ),
    # Takes no notice of clocks: to a fixed depth.
    Peer(
        "zshogi",
        "npm: zshogi, in NODE_PATH",
        lambda: None if _zshogi() is None else list(_zshogi() or ()),
        "depth 3",
        TimeControl(byoyomi=10_000),
        {"DepthLimit": "3"},
    ),
    # Takes no notice of clocks: to a fixed depth.
    Peer(
        "GNU Shogi",
        "Debian: gnushogi",
        lambda: _adapted("gnushogi"),
        "depth 2",
        TimeControl(byoyomi=10_000),
        {"Depth": "2"},
    ),
    # Takes no notice of byoyomi, but of increments.
    Peer(
        "Sjaak II",
        "Debian: sjaakii",
        lambda: _adapted("sjaakii"),
        "depth 3",
        TimeControl(main=20_000, increment=500),
    ),
)
