"""Networks that do not learn, each the learner's opponent in games of its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.coins import coins
from keisei.core.ppo_agent import PPOAgent
from keisei.core.working_network import WorkingNetwork
from keisei.envs import ShogiVectorEnv

# Of the seed: other coins than those that mirror positions.
_COLOURS = 0x5EA75


class Seats:
    """Which of N games are against whom.

    In each of B equal blocks of games the last ones are against ``players`` opponents, ``each``
    against each. The blocks are those that minibatches are shuffled within
    (``training.shuffle_blocks``): however many ranks share the blocks, a game's opponent is the
    same.
    """

    def __init__(self, games: int, blocks: int, players: int, each: int) -> None:
        length = games // blocks
        if games % blocks or players < 1 or each < 1 or players * each > length:
            raise ValueError(
                f"Seats: expected {blocks} equal blocks with room for {players} x {each} of "
                f"{games} games, got blocks of {games / blocks:g}"
            )
        self.players = players
        self.each = each
        self.blocks = blocks
        self._length = length
        self._first = length - players * each

    def of(self, player: int, tensor: Tensor) -> Tensor:
        """The rows, [B, each, ...], of a player's games in a tensor [N, ...]; a view."""
        first = self._first + player * self.each
        blocks = tensor.view(self.blocks, self._length, *tensor.shape[1:])
        return blocks[:, first : first + self.each]

    def player(self, game: int) -> int | None:
        """Who plays this game against the learner; None: it plays itself."""
        place = game % self._length - self._first
        return place // self.each if place >= 0 else None

    def any(self, device: torch.device) -> Tensor:
        """Whether a game is played against anyone, bool [N]."""
        found = torch.zeros(self.blocks * self._length, dtype=torch.bool, device=device)
        for player in range(self.players):
            self.of(player, found).fill_(True)
        return found


class FrozenPlayers:
    """Plays the learner's opponents in the games that ``seats`` gives them.

    The weights lie in modules of their own that ``put`` overwrites in place, so that a recorded
    rollout holds for whoever plays. In each of these games the learner has one colour, black or
    white by a coin that is keyed by the seed, the slot's clock at the game's start and the game's
    number among those of all ranks: the same on every run and device, without a state.
    """

    def __init__(
        self, agent: PPOAgent, env: ShogiVectorEnv, seats: Seats, *, greedy: bool = False
    ) -> None:
        self.seats = seats
        self.greedy = greedy
        """whether they make their most probable move"""
        self._agent = agent
        self._env = env
        self._seed = agent.config.seed ^ _COLOURS
        self._numbers = torch.arange(env.num_envs, device=env.device) + env.first_game
        self._against = seats.any(env.device)
        self._models = [_frozen(agent.model) for _ in range(seats.players)]
        self._networks: list[WorkingNetwork] = []
        self._changes = -1

    def put(self, player: int, weights: Mapping[str, Tensor]) -> None:
        """From now on ``player`` is a network with these weights, a ``state_dict``.

        Not while a rollout is being enqueued. RuntimeError if they do not fit.
        """
        self._models[player].load_state_dict(weights)
        if self._networks:
            self._networks[player].refresh()

    def prepare(self) -> None:
        """Takes the arithmetic that the learner has by now; called before a rollout."""
        if self._changes != self._agent.changes:
            self._networks = [self._agent.alike(model) for model in self._models]
            self._changes = self._agent.changes

    def own(self) -> Tensor:
        """Whether the learner is to move, bool [N]: everywhere in its games against itself."""
        begun = (self._env.clock - self._env.ply).long()
        white = coins(self._seed, begun, self._numbers)
        return (white == self._env.turn.bool()) | ~self._against

    def answer(self, seen: Tensor, logits: Tensor, own: Tensor) -> None:
        """Writes their logits over the learner's, [N, 2187], where they are to move.

        ``seen``: packed positions int32 [N, 17]; ``own``: bool [N], see there.
        """
        for player, network in enumerate(self._networks):
            games = self.seats.of(player, seen).flatten(0, 1).contiguous()
            theirs, _ = network(self._agent.planes(games))
            ours = self.seats.of(player, logits)
            mine = self.seats.of(player, own)[..., None]
            ours.copy_(torch.where(mine, ours, theirs.view_as(ours)))


def _frozen(model: ActorCriticProtocol) -> nn.Module:
    copied = copy.deepcopy(model)
    if not isinstance(copied, nn.Module):
        raise TypeError(f"FrozenPlayers: expected an nn.Module, got {type(model).__qualname__}")
    for parameter in copied.parameters():
        parameter.grad = None
    return copied.requires_grad_(False).eval()
