"""One of the games that are played, as somebody watches it: the plies of the last rollout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keisei import Position, ops
from keisei.core.coins import coins
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.envs import ShogiVectorEnv
from keisei.training.host_copy import HostCopy
from keisei.training.rollout import ENDINGS

# The columns of a row after the packed position.
_COLUMNS = ops.POSITION_WORDS + 6
_ACTION, _VALUE, _REWARD, _ENDING, _VALID, _LENGTH = range(ops.POSITION_WORDS, _COLUMNS)
# The same columns of the last row, which is where the game stands after the rollout.
_CLOCK, _PLY = _ENDING, _LENGTH

_ENDING_NAMES = {code: name for name, code in ENDINGS.items()}


@dataclass(frozen=True)
class LiveGame:
    """A position of a game that somebody watches."""

    sfen: str
    last_move: str | None
    """in USI; None at the game's start, and where it is not known"""
    value: float | None
    """what the network expects for the side to move, -1 to 1; None once the game is over"""
    ply: int
    """moves since the game's start"""
    slot: int
    """among the games of all ranks"""
    ending: str | None = None
    """how it ended with the last move: no_legal_move, declaration, ...; None: it goes on"""
    winner: str | None = None
    """black or white, once it is over and not drawn"""


@dataclass(frozen=True)
class LiveRows:
    """The rows of one game in a rollout of T plies, as they lie in the buffer; plain numbers."""

    rows: NDArray[np.int32]
    """[T + 1, 23]: position, action, bits of the value, reward, ending, valid, length; the last
    row is where the game stands now: position, -, bits of the value, -, clock, -, ply"""
    slot: int
    mirrored: tuple[int, int] | None
    """seed of the coins and the clock's period, if positions were seen mirrored by coins"""

    @cached_property
    def views(self) -> tuple[LiveGame, ...]:
        """Every position of the rollout, in order; the last one is where the game stands.

        A game that ended has one more than its rows: the position that it ended with.
        """
        words, labels = self._as_played()
        values = np.ascontiguousarray(self.rows[:, _VALUE]).view(np.float32)
        plies = self._plies()
        found: list[LiveGame] = []
        last_move: str | None = None
        for t in range(len(self.rows)):
            now = t == len(self.rows) - 1
            if now and t and self.rows[t - 1, _ENDING] == ops.MOVE_LIMIT:
                break  # it still stands where it was cut off
            if not now and not self.rows[t, _VALID]:  # it only replaced a truncated game
                continue
            position = Position.from_words(words[t])
            found.append(
                LiveGame(
                    sfen=_sfen(position, int(plies[t])),
                    last_move=last_move if plies[t] else None,
                    value=float(values[t]),
                    ply=int(plies[t]),
                    slot=self.slot,
                )
            )
            if now:
                break
            mover, label = position.turn, int(labels[t])
            last_move = position.move(label)
            ending, reward = int(self.rows[t, _ENDING]), int(self.rows[t, _REWARD])
            if ending != ops.NOT_ENDED:
                position.push_label(label)
                winner = mover if reward > 0 else 1 - mover
                found.append(
                    LiveGame(
                        sfen=_sfen(position, int(plies[t]) + 1),
                        last_move=last_move,
                        value=None,
                        ply=int(plies[t]) + 1,
                        slot=self.slot,
                        ending=_ENDING_NAMES[ending],
                        winner=("black", "white")[winner] if reward else None,
                    )
                )
                last_move = None
        return tuple(found)

    def _as_played(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Positions [T + 1, 17] and labels [T + 1], mirrored back where they were seen mirrored."""
        words = torch.from_numpy(np.ascontiguousarray(self.rows[:, : ops.POSITION_WORDS]))
        labels = torch.from_numpy(self.rows[:, _ACTION].astype(np.int64))
        if self.mirrored is not None:
            seed, period = self.mirrored
            plies = len(self.rows) - 1
            # The clock counts every step of the slot, whatever became of it.
            clocks = (int(self.rows[-1, _CLOCK]) + torch.arange(-plies, 1)) % period
            flip = coins(seed, clocks, torch.full_like(clocks, self.slot))
            flip[-1] = False  # where the game stands was not yet looked at
            words, labels = ops.mirror(words, labels, flip)
        return words.numpy(), labels.numpy()

    def _plies(self) -> NDArray[np.int64]:
        """Moves before each row since its game's start, [T + 1]."""
        plies = np.zeros(len(self.rows), dtype=np.int64)
        plies[-1] = self.rows[-1, _PLY]
        for t in range(len(self.rows) - 2, -1, -1):
            row = self.rows[t]
            if not row[_VALID]:
                continue  # no ply of any game; the row before it ended one
            plies[t] = (row[_LENGTH] if row[_ENDING] else plies[t + 1]) - 1
        return plies


def _sfen(position: Position, ply: int) -> str:
    """A packed position knows no move number; the game's length so far gives it."""
    return f"{position.sfen().rpartition(' ')[0]} {ply + 1}"


class LiveGameReader:
    """Copies one game's rows of a rollout to the host, without making the device wait.

    ``copy`` starts one small copy behind the rollout ((T + 1) x 92 bytes); ``read`` gives the rows.
    Call ``read`` after something else has waited for the rollout: then it need not wait. ``slot``
    is one of this process's games. ``mirror_seed`` is that of the coins by which positions were
    mirrored, if they were.
    """

    def __init__(
        self,
        buffer: ExperienceBuffer,
        game: ShogiVectorEnv,
        slot: int = 0,
        *,
        mirror_seed: int | None = None,
    ) -> None:
        if not 0 <= slot < buffer.num_games:
            raise ValueError(f"slot: expected 0 to {buffer.num_games - 1}, got {slot}")
        self._buffer = buffer
        self._game = game
        self._own_slot = slot
        self._mirrored: tuple[int, int] | None = None
        if mirror_seed is not None:
            rows = game.max_plies + 1
            self._mirrored = mirror_seed, (2**31 - 1) // rows * rows
        device = buffer.positions.device
        shape = (buffer.rollout_length + 1, _COLUMNS)
        self._rows = torch.zeros(shape, dtype=torch.int32, device=device)
        self._copied = HostCopy(shape, torch.int32, device)

    def copy(self) -> None:
        """Starts the copy; the buffer must hold a whole rollout, and the games stand after it."""
        buffer, game, slot, rows = self._buffer, self._game, self._own_slot, self._rows
        played, now = rows[:-1], rows[-1]
        played[:, : ops.POSITION_WORDS] = buffer.positions[:, slot]
        played[:, _ACTION] = buffer.actions[:, slot]
        rows[:, _VALUE] = _bits(buffer.values[:, slot])
        played[:, _REWARD] = buffer.rewards[:, slot]
        played[:, _ENDING] = buffer.ending[:, slot]
        played[:, _VALID] = buffer.valid[:, slot]
        played[:, _LENGTH] = buffer.length[:, slot]
        now[: ops.POSITION_WORDS] = game.positions[slot]
        now[_CLOCK] = game.clock[slot]
        now[_PLY] = game.ply[slot]
        self._copied.start(rows)

    def read(self) -> LiveRows:
        """The rows that were copied last."""
        slot = self._game.first_game + self._own_slot
        return LiveRows(self._copied.wait().copy(), slot, self._mirrored)


def _bits(values: Tensor) -> Tensor:
    return values.contiguous().view(torch.int32)
