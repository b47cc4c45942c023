"""The games that ended in a rollout, read from the device without making it wait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keisei import ops
from keisei.core.experience_buffer import ExperienceBuffer

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
        shape = tuple(buffer.ending.shape)
        self._buffer = buffer
        self._first_game = first_game
        self._cuda = buffer.ending.is_cuda
        self._host = torch.zeros(shape, dtype=torch.int32, pin_memory=self._cuda)
        self._copied: torch.cuda.Event | None = None

    def copy(self) -> None:
        """Starts the copy; the buffer must hold a whole rollout."""
        self._host.copy_(_packed(self._buffer), non_blocking=self._cuda)
        if self._cuda:
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record()

    def read(self) -> EndedGames:
        """The games that ended in the rollout that was copied last."""
        if self._copied is not None:
            self._copied.synchronize()
        packed = self._host.numpy().astype(np.int64)
        ply, slot = np.nonzero(packed)
        word = packed[ply, slot]
        return EndedGames(
            slot=slot + self._first_game,
            ply=ply,
            winner=(word >> _ENDING_BITS) % (1 << _WINNER_BITS) - 1,
            ending=word % (1 << _ENDING_BITS),
            length=word >> (_ENDING_BITS + _WINNER_BITS),
        )


def _packed(buffer: ExperienceBuffer) -> Tensor:
    """How each row ended its game in one word, int32 [T, N]; 0: it did not."""
    ended = buffer.valid & (buffer.ending != ops.NOT_ENDED)
    mover = buffer.white.int()
    winner = torch.where(buffer.rewards > 0, mover, 1 - mover)
    winner = torch.where(buffer.rewards == 0, NOBODY, winner)
    word = buffer.ending.int() | ((winner + 1) << _ENDING_BITS)
    word |= buffer.length << (_ENDING_BITS + _WINNER_BITS)
    return torch.where(ended, word, 0).int()
