"""Whom a network is evaluated against, by name."""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from keisei.core.model_file import MODEL_FILE, CheckpointError, load_model
from keisei.evaluation.fixed_players import (
    GreedyCapturePlayer,
    MateAwarePlayer,
    MixturePlayer,
    UniformPlayer,
)
from keisei.evaluation.network_player import ExportedPolicy, NetworkPlayer
from keisei.evaluation.players import Opponent, Player, as_player
from keisei.evaluation.usi_player import UsiPlayer, parse_usi
from keisei.utils.plugins import OPPONENTS, PluginError, installed, make_plugin

__all__ = ["FIXED", "RANDOM", "Opponent", "make_opponents", "make_player", "split_name"]

RANDOM = "random"
"""the name of uniformly random play"""
FIXED: dict[str, type[Player]] = {
    RANDOM: UniformPlayer,
    "greedy_capture": GreedyCapturePlayer,
    "mate_aware": MateAwarePlayer,
}
"""the players that keisei brings, by name"""
_ALSO = {"greedy": "greedy_capture", "one-ply": "mate_aware"}
_MIXTURE, _ENGINE, _EXPORTED = "mixture:", "usi:", ".pt"
_FOR_OTHERS = {".onnx": "an ONNX file", ".pt2": "a torch.export program"}
"""what keisei-export writes that is not played here"""


def split_name(text: str) -> tuple[str, str]:
    """``NAME=PLAYER`` as name and player; a player without a name is called as it is given.

    Names have letters, digits, blanks and ``_.+-``; players that keisei brings have one name each.
    """
    found = re.match(r"([\w.+-](?:[\w.+ -]*[\w.+-])?)=(.+)", text, re.DOTALL)
    if found is None or Path(text).exists():
        return _ALSO.get(text, text), text
    return found[1], found[2]


def make_player(
    text: str, *, name: str | None = None, device: torch.device | str = "cpu", greedy: bool = True
) -> Player:
    """The player that a text stands for.

    ``random``; ``greedy_capture`` or ``greedy``; ``mate_aware`` or ``one-ply``;
    ``mixture:A:B:SHARE`` of two of these, of which B plays SHARE (0 to 1) of the moves; a
    ``model.ckpt``, a checkpoint's or a run's folder; a file ``*.pt`` of keisei-export;
    ``usi:COMMAND;NAME=VALUE;...`` (see ``keisei.evaluation.usi_player.parse_usi``); an entry point
    of keisei.opponents, or module:Class.

    Building a network draws from torch's generator. Nothing is started yet.

    Args:
        text: See above.
        name: What errors call it; None: the text.
        device: Where networks are put.
        greedy: Networks play the most probable move; False: they draw from their policy.

    Raises:
        PluginError: It cannot be built.
        CheckpointError: A file cannot be used.
    """
    name = name or text
    text = _ALSO.get(text, text)
    if text in FIXED:
        return FIXED[text]()
    if text.startswith(_MIXTURE):
        return _mixture(name, text)
    if text.startswith(_ENGINE):
        return _engine(name, text.removeprefix(_ENGINE))
    path = Path(text)
    if path.suffix == _EXPORTED:
        policy = ExportedPolicy(path, device)
        return NetworkPlayer(policy, greedy=greedy, step=policy.step)
    if path.exists() or "/" in text or path.suffix == ".ckpt":
        _check_network(path)
        model = load_model(path)
        return NetworkPlayer(model.network(device), greedy=greedy, step=int(model.manifest["step"]))
    if ":" not in text:
        _check_name(name, text)
    return as_player(make_plugin(OPPONENTS, text, Opponent), name)


def _check_network(path: Path) -> None:
    """Raises CheckpointError for a file that is plainly no network; others are read later."""
    if not path.is_file():
        return
    got = ""
    if path.suffix in _FOR_OTHERS:
        got = f"{_FOR_OTHERS[path.suffix]}, which is for other programs"
    else:
        with path.open("rb") as file:
            head = file.read(9)  # the length of what follows, which is JSON
        if not head:
            got = "an empty file"
        elif head[8:] != b"{":
            got = "a file that is no safetensors"
    if got:
        raise CheckpointError(
            f"{path}: expected a run, a checkpoint, its {MODEL_FILE}, or policy.pt as "
            f"keisei-export writes it, got {got}"
        )


def _check_name(name: str, text: str) -> None:
    """Raises PluginError if no player is called so."""
    plugins = installed(OPPONENTS)
    if text in plugins:
        return
    own = [*FIXED, *_ALSO]
    near = difflib.get_close_matches(text.lower(), [*own, *plugins], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise PluginError(
        f"opponent {name!r}: {hint}expected {', '.join(own)}, mixture:A:B:SHARE, "
        "usi:COMMAND;NAME=VALUE;..., a run, a checkpoint, a file *.ckpt or *.pt, module:Class, or "
        f"an entry point of {OPPONENTS} ({', '.join(sorted(plugins)) or 'none is installed'}), got "
        f"{text!r}"
    )


def _mixture(name: str, text: str) -> Player:
    parts = text.removeprefix(_MIXTURE).split(":")
    names = [_ALSO.get(part, part) for part in parts[:2]]
    try:
        if len(parts) != 3 or not set(names) <= set(FIXED):
            raise ValueError("expected the names of two players that keisei brings")
        first, second = (FIXED[one]() for one in names)
        return MixturePlayer(first, second, float(parts[2]))
    except ValueError as error:
        known = ", ".join([*FIXED, *_ALSO])
        raise PluginError(
            f"opponent {name!r}: expected mixture:A:B:SHARE with A and B of {known} and SHARE 0 "
            f"to 1: {error}"
        ) from error


def _engine(name: str, text: str) -> Player:
    try:
        settings = parse_usi(text)
    except ValueError as error:
        raise PluginError(f"opponent {name!r}: {error}") from error
    if shutil.which(settings.program) is None:
        raise PluginError(
            f"opponent {name!r}: expected a program that can be run, got {settings.program!r}"
        )
    return UsiPlayer(settings, name)


def make_opponents(
    names: Sequence[str], *, device: torch.device | str = "cpu", greedy: bool = True
) -> dict[str, Player]:
    """The players that ``[NAME=]PLAYER`` texts stand for, by name: see ``make_player``.

    Raises PluginError if one cannot be built or a name stands there twice, CheckpointError if a
    file cannot be used.
    """
    opponents: dict[str, Player] = {}
    for text in names:
        name, player = split_name(text)
        if name in opponents:
            raise PluginError(f"opponents: expected each name once, got {name!r} twice")
        opponents[name] = make_player(player, name=name, device=device, greedy=greedy)
    return opponents
