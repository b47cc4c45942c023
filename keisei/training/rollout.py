"""Playing: the network against itself or against frozen ones, all games at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from keisei import ops
from keisei.core.captured import Captured
from keisei.core.coins import coins
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.frozen_players import FrozenPlayers
from keisei.core.ppo_agent import PPOAgent
from keisei.core.ranks import SINGLE, Ranks
from keisei.envs import ShogiVectorEnv

ENDINGS = {
    "no_legal_move": ops.NO_LEGAL_MOVE,
    "declaration": ops.DECLARATION,
    "repetition": ops.REPETITION,
    "perpetual_check": ops.PERPETUAL_CHECK,
    "move_limit": ops.MOVE_LIMIT,
}


class _Seat:
    """How the network sees the games: as they are or, with ``mirror``, half of them mirrored.

    Coins are thrown anew at each ply, keyed by the seed, the slot's clock and the global number of
    its game: the same on every run and device, however many ranks share the games. What is stored
    is what was seen and chosen, so that its log-probability is exactly that of the choice.
    """

    def __init__(self, env: ShogiVectorEnv, agent: PPOAgent) -> None:
        self._env = env
        self._mirror = agent.config.mirror
        self._seed = agent.config.seed
        self._flip = torch.zeros(0)
        if self._mirror:
            games = torch.arange(env.num_envs, device=env.device)
            self._numbers = games + env.first_game
            self._no_labels = torch.zeros_like(games)

    def look(self) -> tuple[Tensor, Tensor | None]:
        """The positions as they are seen, int32 [N, 17], and their masks (None: the games' own)."""
        if not self._mirror:
            return self._env.positions, None
        self._flip = coins(self._seed, self._env.clock.long(), self._numbers)
        seen, _ = ops.mirror(self._env.positions, self._no_labels, self._flip)
        return seen, ops.legal_mask(seen)

    def played(self, seen: Tensor, labels: Tensor) -> Tensor:
        """The labels, chosen for what was seen, as they are played, int64 [N]."""
        return ops.mirror(seen, labels, self._flip)[1] if self._mirror else labels


@torch.no_grad()
def _play(
    env: ShogiVectorEnv,
    agent: PPOAgent,
    buffer: ExperienceBuffer,
    on_ply: Callable[[int], None],
    players: FrozenPlayers | None,
) -> None:
    """One rollout and its advantages; nothing waits for the device."""
    agent.model.eval()
    buffer.clear()
    seat = _Seat(env, agent)
    own: Tensor | None = None
    while not buffer.full:
        seen, mask = seat.look()
        # The learner's values of its opponents' positions too: a rollout may end with one.
        logits, values = agent.evaluate(seen, refresh=len(buffer) == 0)
        if players is not None:
            own = players.own()
            players.answer(seen, logits, own)
        labels, log_probs, _ = env.sample(logits, mask=mask)
        if own is not None and players is not None and players.greedy:
            best, best_log_probs, _ = env.sample(logits, greedy=True, mask=mask)
            labels = torch.where(own, labels, best)
            log_probs = torch.where(own, log_probs, best_log_probs)
        buffer.record_decision(
            positions=seen, actions=labels, log_probs=log_probs, values=values, own=own
        )
        step = env.step(seat.played(seen, labels))
        buffer.record_result(
            rewards=step.reward, ending=step.ending, valid=step.valid, length=step.length
        )
        on_ply(len(buffer))
    _, last_values = agent.evaluate(seat.look()[0], refresh=False)
    buffer.compute_advantages(
        last_values,
        gamma=agent.config.gamma,
        gae_lambda=agent.config.gae_lambda,
        normalize=agent.config.normalize_advantages,
    )


class Collector:
    """Plays rollouts with the same games, learner and buffer.

    On CUDA a rollout is recorded once and then started as one graph: every ply of it, with the
    network, the choice of moves, the games' steps, the buffer's rows and the advantages.

    With ``players`` some games are against them; the buffer must be one with opponents.
    """

    def __init__(
        self,
        env: ShogiVectorEnv,
        agent: PPOAgent,
        buffer: ExperienceBuffer,
        players: FrozenPlayers | None = None,
    ) -> None:
        self._env = env
        self._agent = agent
        self._buffer = buffer
        self._players = players
        self._on_ply: Callable[[int], None] = lambda _: None
        self._rollout = Captured("the rollout", agent.device, self._play)

    @property
    def recorded(self) -> bool:
        """Whether the next rollout is one call, if nothing is replaced before."""
        return self._rollout.recorded

    def start(self, on_ply: Callable[[int], None] = lambda _: None) -> None:
        """Fills the buffer with one rollout and its advantages; games go on from where they stood.

        ``on_ply`` is told how many plies are done where they are started one by one. Nothing waits
        for the device. Ask ``env.raise_errors`` afterwards.
        """
        self._on_ply = on_ply
        if self._players is not None:
            self._players.prepare()
        # A graph holds the addresses of the games' tensors and the numbers that went into it.
        games = self._env.recording_key()
        self._rollout((self._agent.changes, games))
        self._buffer.mark_full()

    def _play(self) -> None:
        _play(self._env, self._agent, self._buffer, self._on_ply, self._players)


def collect(
    env: ShogiVectorEnv,
    agent: PPOAgent,
    buffer: ExperienceBuffer,
    on_ply: Callable[[int], None] = lambda _: None,
    players: FrozenPlayers | None = None,
) -> None:
    """One rollout, ply by ply: see ``Collector.start``.

    An illegal action raises ValueError after the rollout.
    """
    if players is not None:
        players.prepare()
    _play(env, agent, buffer, on_ply, players)
    env.raise_errors()


def rollout_counts(buffer: ExperienceBuffer, ranks: Ranks = SINGLE) -> dict[str, int]:
    """What happened in a rollout, in the games of all ranks, whoever plays in them.

    Plies, games, results by colour and by kind of ending.

    ``plies`` counts moves that were made; ``game_plies`` sums the lengths of the games that ended.
    """
    ended = buffer.valid & (buffer.ending != ops.NOT_ENDED)
    won = ended & (buffer.rewards > 0)
    lost = ended & (buffer.rewards < 0)
    truncated = ended & (buffer.ending == ops.MOVE_LIMIT)
    sums = {
        "plies": buffer.valid.sum(),
        "games": ended.sum(),
        "game_plies": buffer.length.sum(),
        "black_wins": ((won & ~buffer.white) | (lost & buffer.white)).sum(),
        "white_wins": ((won & buffer.white) | (lost & ~buffer.white)).sum(),
        "draws": (ended & ~won & ~lost & ~truncated).sum(),
        "truncated": truncated.sum(),
    }
    for name, code in ENDINGS.items():
        sums[f"ending_{name}"] = (ended & (buffer.ending == code)).sum()
    counts = ranks.sum_(torch.stack(list(sums.values()))).tolist()
    return {name: int(count) for name, count in zip(sums, counts, strict=True)}


def rollout_values(buffer: ExperienceBuffer, ranks: Ranks = SINGLE) -> dict[str, float]:
    """How well values foresaw the returns of all ranks: mean, deviation, explained variance.

    Of the learner's own plies. None where the rollout is lost (``ExperienceBuffer.lost``): figures
    are finite numbers.
    """
    weight = buffer.learnt.float()
    values, returns = buffer.values[:-1], buffer.returns
    samples = torch.stack((values, returns, returns - values))
    count = ranks.sum_(weight.sum()).clamp(min=1.0)

    def mean(x: torch.Tensor) -> torch.Tensor:
        return ranks.sum_((x * weight).sum(dim=(1, 2))) / count

    means = mean(samples)
    value, target, error = mean((samples - means[:, None, None]).square())
    explained = 1.0 - error / target.clamp(min=1e-8)
    stacked = torch.stack((means[0], value.sqrt(), explained)).tolist()
    names = ("value_mean", "value_deviation", "explained_variance")
    return dict(zip(names, stacked, strict=True)) if all(map(math.isfinite, stacked)) else {}
