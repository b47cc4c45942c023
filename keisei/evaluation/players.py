"""Who plays a match: what a match gives its two players, and what it takes from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from keisei import ops
from keisei.utils.plugins import PluginError

_NOTHING: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True)
class MatchStart:
    """The games that begin."""

    games: int
    """N"""
    device: torch.device
    seed: int
    """of all draws"""
    first_game: int
    """index of game 0 among those of a match that is played in several parts: draws are keyed by
    (seed, first_game + row, clock), so a game does not depend on the part that it is in"""
    starts: tuple[str, ...]
    """the SFEN that each game begins from, without its opening's moves"""


@dataclass(frozen=True)
class Turn:
    """Where all games stand. Row g is game g in every turn of a match."""

    positions: Tensor
    """int32 [N, 17], packed: see ``keisei.ops.planes``, ``Position.from_words``"""
    mask: Tensor
    """int32 [N, 81], the packed legal labels"""
    asked: Tensor
    """bool [N]: where it is this player's move; other rows say nothing"""
    clock: Tensor
    """int32 [N]: plies since the match began"""


@dataclass(frozen=True)
class Choice:
    """What a player does where it is asked."""

    labels: Tensor
    """int64 [N], legal where asked"""
    values: Tensor | None = None
    """float32 [N], what it expects to get, -1 to 1, or nan"""
    lost: Mapping[int, str] = field(default_factory=lambda: _NOTHING)
    """games that it loses here and now, and how: resignation, time, illegal_move, crash, stall;
    their labels are not looked at"""


class Player(ABC):
    """One side of a match of many games at once, which it plays from ``start`` to ``finish``."""

    follows: bool = False
    """wants to be told of every move"""

    @abstractmethod
    def start(self, match: MatchStart) -> None:
        """A match begins."""

    @abstractmethod
    def choose(self, turn: Turn) -> Choice:
        """A legal label for each game in which it is asked. Nothing of ``turn`` may be changed."""

    def played(self, labels: Tensor) -> None:  # noqa: B027
        """If it ``follows``: the labels that were played, by whomever, int64 [N] on the CPU.

        -1 where a game is over.
        """

    def finish(self) -> None:  # noqa: B027
        """The match is over, or was given up."""

    def close(self) -> None:  # noqa: B027
        """No more matches: whatever is held is let go."""


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


class PluginPlayer(Player):
    """An ``Opponent`` of others: gets copies, and its labels are checked.

    Everything that it does wrong is a PluginError that names it.
    """

    def __init__(self, opponent: Opponent, name: str) -> None:
        self.opponent = opponent
        self._name = name

    def start(self, match: MatchStart) -> None:
        """See ``Player``."""
        try:
            self.opponent.start(match.games, match.device, match.seed)
        except Exception as error:  # whatever a plugin may raise
            raise self._failure("start", error) from error

    def choose(self, turn: Turn) -> Choice:
        """See ``Player``."""
        try:
            labels = self.opponent.choose(
                turn.positions.clone(), turn.mask.clone(), turn.asked.clone()
            )
        except Exception as error:  # whatever a plugin may raise
            raise self._failure("choose", error) from error
        games = len(turn.asked)
        expected = f"int64 [{games}] on {turn.mask.device}"
        if not isinstance(labels, Tensor):
            raise self._error(f"labels: expected {expected}, got {labels!r}")
        kind = str(labels.dtype).removeprefix("torch.")
        got = f"{kind} {[*labels.shape]} on {labels.device}"
        if got != expected:
            raise self._error(f"labels: expected {expected}, got {got}")
        in_range = (labels >= 0) & (labels < ops.LABELS)
        known = labels.clamp(0, ops.LABELS - 1)
        legal = ops.unpack_mask(turn.mask).gather(1, known[:, None]).squeeze(1) & in_range
        wrong = turn.asked & ~legal
        if bool(wrong.any()):
            game = int(wrong.int().argmax())
            raise self._error(
                f"labels: game {game}: expected a label of its legal mask, got {int(labels[game])}"
            )
        return Choice(labels)

    def _failure(self, method: str, error: Exception) -> PluginError:
        return self._error(f"{method} failed: {type(error).__name__}: {error}")

    def _error(self, text: str) -> PluginError:
        return PluginError(f"opponent {self._name!r}: {text}")


def as_player(player: Player | Opponent, name: str) -> Player:
    """The player itself, or an ``Opponent`` as one; ``name`` is what errors call it."""
    return player if isinstance(player, Player) else PluginPlayer(player, name)
