"""A match of a network against an opponent, all games at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from keisei import ops
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.envs import ShogiVectorEnv
from keisei.evaluation.opponents import Opponent, UniformOpponent
from keisei.utils.plugins import PluginError


class MatchCancelledError(RuntimeError):
    """A match was asked to stop before its games were over."""


@dataclass(frozen=True)
class MatchResult:
    """Results of the network's games, by the colour it had."""

    games: int
    """all games; the network was black in the even ones"""
    black_wins: int
    """games the network won as black"""
    white_wins: int
    """games the network won as white"""
    losses: int
    draws: int
    truncated: int
    """games at the move limit, undecided"""
    mean_plies: float
    """over all games"""

    @property
    def win_rate(self) -> float:
        """Games won out of all games; draws and undecided games are not won."""
        return (self.black_wins + self.white_wins) / self.games


def _never() -> bool:
    return False


@torch.no_grad()
def play_match(
    network: ActorCriticProtocol,
    opponent: Opponent,
    *,
    games: int,
    device: torch.device | str = "cpu",
    greedy: bool = True,
    seed: int = 0,
    max_plies: int = 512,
    name: str | None = None,
    cancelled: Callable[[], bool] = _never,
) -> MatchResult:
    """Plays ``games`` games at once from the usual start position, colours alternating by game.

    The network, in float32 on ``device``, plays its most probable legal move, or with
    ``greedy=False`` samples from its policy; it should be in eval(). ``name`` is what errors call
    the opponent. ``cancelled`` is asked before each ply. Draws come from ``seed`` alone, and no
    random generator of the process is touched.

    Raises:
        PluginError: The opponent failed, or named a move that is not legal.
        MatchCancelledError: ``cancelled()`` was true.
    """
    # A plugin's labels are checked ply by ply: a game with an illegal one would never end.
    own_kind = isinstance(opponent, UniformOpponent)
    name = name or type(opponent).__qualname__
    env = ShogiVectorEnv(games, device, max_plies=max_plies, seed=seed, check_actions=not own_kind)
    plays_white = torch.arange(games, device=env.device) % 2 == 1
    result = torch.zeros(games, dtype=torch.float32, device=env.device)
    ending = torch.zeros(games, dtype=torch.uint8, device=env.device)
    length = torch.zeros(games, dtype=torch.int32, device=env.device)
    try:
        opponent.start(games, env.device, seed)
    except Exception as error:  # whatever a plugin may raise
        raise _failure(name, "start", error) from error
    while not bool((ending != ops.NOT_ENDED).all()):
        if cancelled():
            raise MatchCancelledError(f"the match against {name} was asked to stop")
        logits, _ = network(env.planes(channels_last=True))
        own = (env.turn == 1) == plays_white
        labels, _, _ = env.sample(logits, greedy=greedy)
        if own_kind:
            theirs = opponent.choose(env.positions, env.mask, ~own)
        else:
            theirs = _ask(opponent, name, env, ~own & (ending == ops.NOT_ENDED), labels)
        try:
            step = env.step(torch.where(own, labels, theirs))
        except ValueError as error:
            raise PluginError(f"opponent {name!r}: {error}") from error
        first = (ending == ops.NOT_ENDED) & (step.ending != ops.NOT_ENDED)
        result = torch.where(first, torch.where(own, step.reward, -step.reward), result)
        ending = torch.where(first, step.ending, ending)
        length = torch.where(first, step.length, length)
    env.raise_errors()

    def count(which: Tensor) -> int:
        return int(which.sum())

    won, truncated = result > 0, ending == ops.MOVE_LIMIT
    return MatchResult(
        games=games,
        black_wins=count(won & ~plays_white),
        white_wins=count(won & plays_white),
        losses=count(result < 0),
        draws=count((result == 0) & ~truncated),
        truncated=count(truncated),
        mean_plies=float(length.float().mean()),
    )


def _ask(
    opponent: Opponent, name: str, env: ShogiVectorEnv, asked: Tensor, instead: Tensor
) -> Tensor:
    """The opponent's labels where it is asked, checked, and ``instead`` elsewhere, int64 [N]."""
    try:
        labels = opponent.choose(env.positions.clone(), env.mask.clone(), asked.clone())
    except Exception as error:  # whatever a plugin may raise
        raise _failure(name, "choose", error) from error
    expected = f"int64 [{env.num_envs}] on {env.device}"
    if not isinstance(labels, Tensor):
        raise PluginError(f"opponent {name!r}: labels: expected {expected}, got {labels!r}")
    kind = str(labels.dtype).removeprefix("torch.")
    got = f"{kind} {[*labels.shape]} on {labels.device}"
    if got != expected:
        raise PluginError(f"opponent {name!r}: labels: expected {expected}, got {got}")
    return torch.where(asked, labels, instead)


def _failure(name: str, method: str, error: Exception) -> PluginError:
    return PluginError(f"opponent {name!r}: {method} failed: {type(error).__name__}: {error}")
