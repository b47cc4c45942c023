"""The games that ended in a rollout, read from the device without making it wait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keisei import ops
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.training.host_copy import HostCopy

BLACK, WHITE, NOBODY = 0, 1, -1
_ENDING_BITS, _WINNER_BITS = 3, 2


@dataclass(frozen=True)
class EndedGames:
    """G games, in the order of the plies they ended with. The arrays have length G."""

    slot: NDArray[np.int64]
    """the slot among the games of all ranks"""
    ply: NDArray[np.int64]
    """the ply of the rollout, from 0, with which it ended"""
    winner: NDArray[np.int64]
    """0 black, 1 white, -1 nobody"""
    ending: NDArray[np.int64]
    """how, as named in ``keisei.ops``: NO_LEGAL_MOVE, DECLARATION, ..."""
    length: NDArray[np.int64]
    """its plies"""

    def __len__(self) -> int:
        return len(self.slot)


class EndedGamesReader:
    """Reads the games that ended in the rollout of a buffer: this rank's own.

    ``copy`` starts a copy to the host behind the rollout; ``read`` gives the games once it is done.
    Call ``read`` after something else has waited for the rollout, as counting its games does: then
    it need not wait.
    """

    def __init__(self, buffer: ExperienceBuffer, first_game: int = 0) -> None:
        self._buffer = buffer
        self._first_game = first_game
        self._copied = HostCopy(buffer.ending.shape, torch.int32, buffer.ending.device)

    def copy(self) -> None:
        """Starts the copy; the buffer must hold a whole rollout."""
        self._copied.start(pack_endings(self._buffer))

    def read(self) -> EndedGames:
        """The games that ended in the rollout that was copied last."""
        packed = self._copied.wait().astype(np.int64)
        ply, slot = np.nonzero(packed)
        ending, winner, length = unpack_endings(packed[ply, slot])
        return EndedGames(
            slot=slot + self._first_game, ply=ply, winner=winner, ending=ending, length=length
        )


def pack_endings(buffer: ExperienceBuffer, games: int | None = None) -> Tensor:
    """How each row of the first ``games`` games ended its game, in one word; 0: it did not.

    int32 [T, games]; None is all games.
    """
    ending, rewards = buffer.ending[:, :games], buffer.rewards[:, :games]
    ended = buffer.valid[:, :games] & (ending != ops.NOT_ENDED)
    mover = buffer.white[:, :games].int()
    winner = torch.where(rewards > 0, mover, 1 - mover)
    winner = torch.where(rewards == 0, NOBODY, winner)
    word = ending.int() | ((winner + 1) << _ENDING_BITS)
    word |= buffer.length[:, :games] << (_ENDING_BITS + _WINNER_BITS)
    return torch.where(ended, word, 0).int()


def unpack_endings(
    words: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Ending, winner and length of what ``pack_endings`` gave; where no game ended 0, -1 and 0."""
    return (
        words % (1 << _ENDING_BITS),
        (words >> _ENDING_BITS) % (1 << _WINNER_BITS) - 1,
        words >> (_ENDING_BITS + _WINNER_BITS),
    )
