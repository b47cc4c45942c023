"""Whom a network is evaluated against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from keisei import ops
from keisei.utils.plugins import OPPONENTS, PluginError, make_plugin

RANDOM = "random"
"""the name of uniformly random play"""


@runtime_checkable
class Opponent(Protocol):
    """One side of a match of many games at once. A plugin's class is built without arguments."""

    def start(self, games: int, device: torch.device, seed: int) -> None:
        """A match of ``games`` games (N) begins on ``device``; ``seed`` is for its own draws."""
        ...

    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        """A legal label for each game in which it is this side's turn, int64 [N].

        Args:
            positions: int32 [N, 17], packed: see ``keisei.ops.planes``, ``Position.from_words``.
            mask: int32 [N, 81], the packed legal labels: see ``keisei.ops.unpack_mask``.
            asked: bool [N]; where it is False the row's label is not looked at. Row g is game g
                in every call of a match, and a game is played once.

        Tensors are on the device that ``start`` named. They are copies: changing them changes
        nothing.
        """
        ...


class UniformOpponent:
    """Draws each move uniformly from the legal ones, as ``ShogiVectorEnv.sample_uniform`` does."""

    def start(self, games: int, device: torch.device, seed: int) -> None:
        """See ``Opponent``."""
        self._clock = torch.zeros(games, dtype=torch.int32, device=device)
        self._seed = seed

    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        """See ``Opponent``; any turn counts as a draw."""
        labels = ops.uniform_sample(mask, self._clock, self._seed, 0)
        self._clock += 1
        return labels


def make_opponents(names: Sequence[str]) -> dict[str, Opponent]:
    """The opponents of these names: ``random``, entry points of keisei.opponents, module:Class.

    Raises PluginError if one cannot be built or stands there twice.
    """
    opponents: dict[str, Opponent] = {}
    for name in names:
        if name in opponents:
            raise PluginError(f"opponents: expected each name once, got {name!r} twice")
        if name == RANDOM:
            opponents[name] = UniformOpponent()
        else:
            opponents[name] = make_plugin(OPPONENTS, name, Opponent)
    return opponents
