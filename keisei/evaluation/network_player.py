"""Networks as players: one that is trained, one from a checkpoint, one that was exported."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from keisei import ops
from keisei.core.features import LABEL_SET, PLANE_SET
from keisei.core.model_file import CheckpointError, expect, read_json
from keisei.evaluation.players import Choice, MatchStart, Player, Turn
from keisei.export import POLICY_FORMAT, POLICY_FORMAT_VERSION
from keisei.export_formats import MANIFEST_FILE
from keisei.utils.torchscript import torchscript_is_meant

Network = Callable[[Tensor], tuple[Tensor, Tensor]]
"""planes [N, 121, 9, 9] -> (logits [N, 2187], value [N]), as ``ActorCriticProtocol`` has it"""


class NetworkPlayer(Player):
    """Plays a network's most probable legal move, or draws from its policy.

    From ``start`` to ``finish`` the network is in eval(); afterwards each part of it is in the mode
    that it had. Of the positions only those in which it is asked go through the network.
    """

    def __init__(self, network: Network, *, greedy: bool = True, step: int = 0) -> None:
        """``step``: plies that the network has learned from."""
        self.network = network
        self.step = step
        self._greedy = greedy
        self._modes = contextlib.ExitStack()

    def start(self, match: MatchStart) -> None:
        """See ``Player``."""
        self._match = match
        self._modes.enter_context(evaluating(self.network))

    def choose(self, turn: Turn) -> Choice:
        """See ``Player``."""
        match, games = self._match, len(turn.asked)
        rows = turn.asked.nonzero().squeeze(1)
        logits = torch.zeros(games, ops.LABELS, device=match.device)
        values = torch.full((games,), torch.nan, device=match.device)
        count = len(rows)
        if count:
            if match.device.type == "cuda":  # few sizes: cuDNN makes a plan for each
                size = 1 << (count - 1).bit_length()
                rows = torch.cat([rows, rows[:1].expand(size - count)])
            planes = ops.planes(turn.positions[rows], channels_last=True)
            some_logits, some_values = self.network(planes)
            logits[rows[:count]] = some_logits[:count].float()
            values[rows[:count]] = some_values[:count].float().clamp(-1, 1)
        labels, _, _ = ops.masked_sample(
            logits, turn.mask, turn.clock, match.seed, match.first_game, self._greedy
        )
        return Choice(labels, values)

    def finish(self) -> None:
        """See ``Player``."""
        self._modes.close()


@contextlib.contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """In eval(); afterwards each part in the mode it had."""
    if not isinstance(network, nn.Module):
        yield
        return
    parts = list(network.modules())
    modes = [part.training for part in parts]
    network.eval()
    try:
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


class ExportedPolicy:
    """A file of ``keisei-export``, on a device. It is a program: load only what you trust.

    Raises CheckpointError if it cannot be read, is none, or is for other planes or labels.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        extra = {MANIFEST_FILE: ""}
        try:
            with torchscript_is_meant():
                self._module: Any = torch.jit.load(  # type: ignore[no-untyped-call]
                    str(path), map_location=torch.device(device), _extra_files=extra
                )
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise CheckpointError(f"{path}: cannot be read as TorchScript: {reason}") from error
        if not extra[MANIFEST_FILE]:
            raise CheckpointError(f"{path}: expected a file of keisei-export, got no manifest")
        manifest = read_json(path, extra[MANIFEST_FILE])
        expect(path, manifest, "format", POLICY_FORMAT)
        expect(path, manifest, "format_version", POLICY_FORMAT_VERSION)
        expect(path, manifest, "plane_set", PLANE_SET)
        expect(path, manifest, "label_set", LABEL_SET)
        self.step = int(manifest.get("step", 0))
        self._module.eval()

    def __call__(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Maps planes [N, 121, 9, 9] -> (logits [N, 2187], value [N])."""
        logits, value = self._module(planes)
        return logits, value
