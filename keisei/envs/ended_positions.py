"""Many games for libraries that want an ended game's last position and the next game at once."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from keisei import Position, ops
from keisei.envs.shogi_vector_env import ShogiVectorEnv

_REPEATED = slice(119, 121)  # the planes that say how often a position occurred before
_NO_LABEL = -1


class Played(NamedTuple):
    """One ply of N games. All slots stand at a game that goes on, ``ShogiVectorEnv.planes``."""

    reward: Tensor
    """float32 [N], for the player who moved"""
    ending: Tensor
    """uint8 [N]: 0, or how the game ended, as named in ``keisei.ops``"""
    length: Tensor
    """int32 [N]: plies of the game that ended, else 0"""
    ended: Tensor
    """int64 [K]: the slots whose games ended"""
    last_planes: Tensor
    """float32 [K, 121, 9, 9]: the positions they ended with, of the side that would move next"""

    @property
    def truncated(self) -> Tensor:
        """Games at the move limit, bool [N]."""
        return self.ending == ops.MOVE_LIMIT

    @property
    def terminated(self) -> Tensor:
        """Games that ended by a rule, bool [N]."""
        return (self.ending != ops.NOT_ENDED) & ~self.truncated


class RestartedGames:
    """N games of shogi, each replaced at once when it ends, truncated ones too.

    Arguments are those of ``ShogiVectorEnv``; each step waits for the device.
    """

    def __init__(
        self, num_envs: int, device: torch.device | str = "cpu", max_plies: int = 512, seed: int = 0
    ) -> None:
        self.env = ShogiVectorEnv(num_envs, device, max_plies=max_plies, seed=seed)

    def reset(self, sfens: Sequence[str] | None = None) -> None:
        """Begins a new game in every slot: see ``ShogiVectorEnv.reset``."""
        self.env.reset(sfens)

    def step(self, actions: Tensor) -> Played:
        """Plays one label in every game, int64 [N]; ValueError if one is not legal."""
        env = self.env
        before = env.positions.clone()
        step = env.step(actions)
        ended = (step.ending != ops.NOT_ENDED).nonzero().flatten()
        truncated = step.truncated
        last = env.planes()[ended]
        for row, slot in enumerate(ended.tolist()):
            if not truncated[slot]:
                last[row] = _last_planes(before[slot], int(actions[slot]), int(step.ending[slot]))
        if bool(truncated.any()):
            self._replace_truncated()
        return Played(step.reward, step.ending, step.length, ended, last)

    def _replace_truncated(self) -> None:
        """Lets the step pass in which a truncated game is replaced; the others do not move in it.

        For they are given no legal label, and such a game stays as it is.
        """
        env = self.env
        env.check_actions = False
        try:
            env.step(torch.full((env.num_envs,), _NO_LABEL, device=env.device))
            with contextlib.suppress(ValueError):
                env.raise_errors()
        finally:
            env.check_actions = True


def _last_planes(words: Tensor, label: int, ending: int) -> Tensor:
    """The planes after a label that ended a game by a rule, float32 [121, 9, 9].

    ``words`` int32 [17] are the position before it. Only a repetition ends with a position that
    occurred before, and then it did three times.
    """
    position = Position.from_words(words.cpu().numpy())
    position.push_label(label)
    planes = torch.from_numpy(position.planes())
    if ending in (ops.REPETITION, ops.PERPETUAL_CHECK):
        planes[_REPEATED] = 1.0
    return planes
