"""The first few games of a rank, followed move by move: whole games out of pieces of rollouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keisei import ops
from keisei.core.coins import coins
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.ended_games import pack_endings, unpack_endings
from keisei.training.host_copy import HostCopy

_WORDS = ops.POSITION_WORDS
_LABEL, _VALUE, _VALID, _OWN, _ENDING = range(_WORDS, _WORDS + 5)
_COLUMNS = _WORDS + 5


@dataclass(frozen=True)
class FollowedRows:
    """T plies of K games as they were played: never mirrored, whatever the network saw."""

    positions: NDArray[np.int32]
    """packed, before each ply and, last, as the games stand now; [T + 1, K, 17]"""
    labels: NDArray[np.int32]
    """what was played; [T, K]"""
    values: NDArray[np.float32]
    """the mover's expected result before each ply, as the network saw it; [T, K]"""
    valid: NDArray[np.bool_]
    """False: no move, the row only replaced a truncated game; [T, K]"""
    own: NDArray[np.bool_]
    """False: a past self's ply and not the learner's; [T, K]"""
    ending: NDArray[np.int64]
    """0, or how a game ended with this ply, as named in ``keisei.ops``; [T, K]"""
    winner: NDArray[np.int64]
    """of a game that ended: 0 black, 1 white, -1 nobody; [T, K]"""
    length: NDArray[np.int64]
    """of a game that ended: its plies; [T, K]"""


class FollowedGamesReader:
    """Reads all plies of the first ``count`` games of a rank, or of all if there are fewer.

    ``copy`` starts one small copy to the host behind the rollout; ``read`` gives the rows once it
    is done. Call ``read`` after something else has waited for the rollout: then it need not wait.
    """

    def __init__(
        self, buffer: ExperienceBuffer, game: ShogiVectorEnv, agent: PPOAgent, count: int
    ) -> None:
        self._buffer = buffer
        self._game = game
        self._agent = agent
        self._count = min(count, game.num_envs)
        shape = (buffer.rollout_length + 1, self._count, _COLUMNS)
        self._copied = HostCopy(shape, torch.int32, buffer.ending.device)

    def copy(self) -> None:
        """Starts the copy; the buffer must hold a whole rollout."""
        self._copied.start(self._rows())

    def read(self) -> FollowedRows:
        """The rows of the rollout that was copied last."""
        rows = self._copied.wait().copy()
        plies = rows[:-1]
        ending, winner, length = unpack_endings(plies[:, :, _ENDING].astype(np.int64))
        return FollowedRows(
            positions=rows[:, :, :_WORDS],
            labels=plies[:, :, _LABEL],
            values=np.ascontiguousarray(plies[:, :, _VALUE]).view(np.float32),
            valid=plies[:, :, _VALID] != 0,
            own=plies[:, :, _OWN] != 0,
            ending=ending,
            winner=winner,
            length=length,
        )

    def _rows(self) -> Tensor:
        """All of it in one tensor, int32 [T + 1, K, columns]."""
        buffer, count = self._buffer, self._count
        length = buffer.rollout_length
        rows = torch.zeros(
            (length + 1, count, _COLUMNS), dtype=torch.int32, device=buffer.ending.device
        )
        positions, labels = buffer.positions[:, :count], buffer.actions[:, :count].long()
        if self._agent.config.mirror:
            flat, played = ops.mirror(
                positions.reshape(-1, _WORDS), labels.reshape(-1), self._mirrored().reshape(-1)
            )
            positions, labels = flat.view(length, count, _WORDS), played.view(length, count)
        rows[:-1, :, :_WORDS] = positions
        rows[-1, :, :_WORDS] = self._game.positions[:count]
        rows[:-1, :, _LABEL] = labels.int()
        rows[:-1, :, _VALUE] = buffer.values[:-1, :count].contiguous().view(torch.int32)
        rows[:-1, :, _VALID] = buffer.valid[:, :count].int()
        rows[:-1, :, _OWN] = 1 if buffer.own is None else buffer.own[:, :count].int()
        rows[:-1, :, _ENDING] = pack_endings(buffer, count)
        return rows

    def _mirrored(self) -> Tensor:
        """Which rows the network saw mirrored, bool [T, K]: the same coins, thrown again."""
        length, game = self._buffer.rollout_length, self._game
        back = torch.arange(length, 0, -1, device=game.device)
        # Clocks count one a step, and wrap: see ``csrc/batch/state.h``.
        rows = game.max_plies + 1
        clock = (game.clock[: self._count].long() - back[:, None]) % ((2**31 - 1) // rows * rows)
        numbers = torch.arange(self._count, device=game.device) + game.first_game
        return coins(self._agent.config.seed, clock, numbers)


@dataclass(frozen=True)
class FollowedGame:
    """A whole game, from its start to its end."""

    slot: int
    """among the games of this rank"""
    begun: int
    """the iteration it began in"""
    start: NDArray[np.int32]
    """its first position, packed, [17]"""
    labels: tuple[int, ...]
    values: tuple[float, ...]
    """the mover's expected result before each move; nan or an infinity if the network said so"""
    ending: int
    """as named in ``keisei.ops``"""
    winner: int
    """0 black, 1 white, -1 nobody"""
    past_self: int | None
    """the ply of its first move that was a past self's, from 0; None: both sides are the learner"""


@dataclass
class _Piece:
    """What is known of a game that goes on."""

    begun: int = -1
    start: NDArray[np.int32] | None = None
    labels: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    own: list[bool] = field(default_factory=list)


class GameFollower:
    """Puts games together from the rows of one rollout after another.

    A game whose start was not seen, as after a resume, is passed over: at its end it has more plies
    than were collected.
    """

    def __init__(self) -> None:
        self._iteration = -1
        self._pieces: dict[int, _Piece] = {}

    def take(self, iteration: int, rows: FollowedRows) -> Iterator[FollowedGame]:
        """The games that ended in the rollout of this iteration, and were seen from their start."""
        if iteration != self._iteration + 1:
            self._pieces = {}
        self._iteration = iteration
        # Lists: rows are too few for what arrays cost each time.
        columns = (rows.labels, rows.values, rows.valid, rows.own, rows.ending)
        slots = zip(*(column.T.tolist() for column in columns), strict=True)
        for slot, plies in enumerate(slots):
            piece = self._pieces.get(slot) or _Piece()
            for ply, (label, value, valid, own, ending) in enumerate(zip(*plies, strict=True)):
                if not valid:
                    continue
                if piece.start is None:
                    piece.begun, piece.start = iteration, rows.positions[ply, slot]
                piece.labels.append(label)
                piece.values.append(value)
                piece.own.append(own)
                if ending == ops.NOT_ENDED:
                    continue
                if len(piece.labels) == rows.length[ply, slot]:
                    yield FollowedGame(
                        slot,
                        piece.begun,
                        piece.start,
                        tuple(piece.labels),
                        tuple(piece.values),
                        ending,
                        int(rows.winner[ply, slot]),
                        None if all(piece.own) else piece.own.index(False),
                    )
                piece = _Piece()
            self._pieces[slot] = piece
