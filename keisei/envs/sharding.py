"""The games of one environment shared among several, and put together again.

What ``ShogiVectorEnv.state_dict`` gives holds games side by side. ``join_states`` and
``split_state`` move whole games between such states, so that a run can go on with another number of
ranks: every game keeps its position, its history, its clock and its global index, on which its
randomness and its start positions depend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from keisei import ops

# Along which dimension a tensor counts games. ``history`` has tiles of games instead.
_GAMES = {"positions": 1, "progress": 1, "buckets": 0, "mask": 0}
_SHARED = ("starts", "seed")
_OTHERS = ("history", "error", "first_game")
_TILE = ops.history_shape(1, 1)[2]


def join_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """One state of all games of ``states``, which follow one another by global index.

    Raises ValueError if a state lacks a tensor, the states are not of one set of games, or one
    still has an error that ``raise_errors`` would tell of.
    """
    if not states:
        raise ValueError("states: expected at least one, got none")
    first = states[0]
    for number, state in enumerate(states):
        _check(state, f"state {number}")
        for name in _SHARED:
            if not torch.equal(state[name], first[name]):
                raise ValueError(f"state {number}: {name}: expected that of state 0")
    expected = int(first["first_game"])
    for number, state in enumerate(states):
        if int(state["first_game"]) != expected:
            raise ValueError(
                f"state {number}: first_game: expected {expected}, got {int(state['first_game'])}"
            )
        expected += _games(state)
    joined = {
        name: torch.cat([state[name] for state in states], dim) for name, dim in _GAMES.items()
    }
    joined["history"] = _tiled(torch.cat([_untiled(state) for state in states]))
    return joined | {name: first[name].clone() for name in (*_SHARED, "error", "first_game")}


def split_state(state: Mapping[str, Tensor], shares: int) -> list[dict[str, Tensor]]:
    """The games of ``state`` in so many states of equally many games, in order.

    Raises ValueError if the games cannot be shared equally; otherwise as ``join_states``.
    """
    _check(state, "state")
    games = _games(state)
    if shares < 1 or games % shares:
        raise ValueError(f"games: expected a multiple of {shares} shares, got {games}")
    each = games // shares
    histories = torch.split(_untiled(state), each)
    parts = []
    for number in range(shares):
        part = {
            name: state[name].narrow(dim, number * each, each).clone()
            for name, dim in _GAMES.items()
        }
        part["history"] = _tiled(histories[number])
        part |= {name: state[name].clone() for name in (*_SHARED, "error")}
        part["first_game"] = state["first_game"] + number * each
        parts.append(part)
    return parts


def _check(state: Mapping[str, Tensor], what: str) -> None:
    names = {*_GAMES, *_SHARED, *_OTHERS}
    if set(state) != names:
        raise ValueError(f"{what}: expected {sorted(names)}, got {sorted(state)}")
    if int(state["error"]) != ops.NO_ERROR:
        raise ValueError(f"{what}: expected no error of an illegal action, got one")


def _games(state: Mapping[str, Tensor]) -> int:
    return state["progress"].shape[1]


def _untiled(state: Mapping[str, Tensor]) -> Tensor:
    """[games, rows] of ``history``, [tiles, rows, games of a tile]."""
    history = state["history"]
    return history.transpose(1, 2).reshape(-1, history.shape[1])[: _games(state)]


def _tiled(history: Tensor) -> Tensor:
    """``history`` as the games want it, of [games, rows]; slots of no game hold zeros."""
    games, rows = history.shape
    tiles = (games + _TILE - 1) // _TILE
    padded = history.new_zeros((tiles * _TILE, rows))
    padded[:games] = history
    return padded.view(tiles, _TILE, rows).transpose(1, 2).contiguous()
