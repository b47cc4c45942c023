"""A pool of past selves: who is in it, who plays, and how hard each is to beat."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from keisei import ops
from keisei.config_schema import AppConfig, ConfigError, PastSelvesConfig
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.frozen_players import FrozenPlayers, Seats
from keisei.core.model_file import CheckpointError
from keisei.core.ppo_agent import PPOAgent
from keisei.core.ranks import SINGLE, Ranks
from keisei.envs import ShogiVectorEnv
from keisei.training.past_self_files import PastSelf
from keisei.training.train_state import TrainState

MEMORY = 1000.0
"""games that an estimate goes by: with more, older ones count for less"""
UNIFORM_PART = 0.1
"""of the draws with ``hardest``, so that whoever was beaten is met again"""


def games_against_each(config: AppConfig) -> int:
    """Games of each block that one past self plays; 0: none do. ``config`` is resolved.

    ConfigError where the share is less than a game for each.
    """
    past, games = config.past_selves, config.env.num_games
    blocks = config.training.shuffle_blocks
    if isinstance(games, str) or isinstance(blocks, str):
        raise TypeError("games_against_each: expected a resolved configuration")
    if past.share == 0:
        return 0
    length = games // blocks
    each = int(past.share * length / past.opponents + 1e-9)
    if each < 1:
        raise ConfigError(
            f"past_selves.opponents: expected at most {int(past.share * length + 1e-9)}, as many "
            f"as there are games in the share {past.share:g} of {length} games"
            f"{f' (a block of training.shuffle_blocks, {blocks})' if blocks > 1 else ''}, "
            f"got {past.opponents}"
        )
    return each


def chances(scores: Sequence[float], selection: str) -> list[float]:
    """The probability that each past self is drawn; ``scores``: the learner's against each, 0 to 1.

    ``hardest``: (1 - score)^2 of each out of their sum for 9 draws in 10, else uniform. That is
    prioritised fictitious self-play (Vinyals et al., "Grandmaster level in StarCraft II using
    multi-agent reinforcement learning", 2019, f_hard with p = 2) with a uniform part.
    """
    same = 1.0 / len(scores)
    weights = [(1.0 - score) ** 2 for score in scores]
    total = sum(weights)
    if selection == "uniform" or total == 0.0:
        return [same] * len(scores)
    return [(1.0 - UNIFORM_PART) * weight / total + UNIFORM_PART * same for weight in weights]


def draw(probabilities: Sequence[float], seed: int, iteration: int, place: int) -> int:
    """An index by these probabilities, from (seed, iteration, place) alone."""
    point = random.Random(f"past selves: {seed}, {iteration}, {place}").random()
    for index, probability in enumerate(probabilities):
        point -= probability
        if point < 0.0:
            return index
    return len(probabilities) - 1


class PastSelves:
    """Keeps the run's past selves, and says before each rollout who plays the learner's opponents.

    ``config`` is resolved. All that changes but the weights is plain values in the run's progress
    (``TrainState.past_selves``), which a checkpoint stores. Every rank has the same.
    """

    def __init__(
        self,
        config: AppConfig,
        agent: PPOAgent,
        env: ShogiVectorEnv,
        progress: Callable[[], TrainState],
        ranks: Ranks = SINGLE,
    ) -> None:
        self._config: PastSelvesConfig = config.past_selves
        each = games_against_each(config)
        blocks, interval = config.training.shuffle_blocks, config.past_selves.interval
        if isinstance(blocks, str) or isinstance(interval, str):
            raise TypeError("PastSelves: expected a resolved configuration")
        self._seed = config.training.seed
        self._interval = interval
        self._agent = agent
        self._progress = progress
        self._ranks = ranks
        self._layout = [config.env.num_games, blocks, each]
        self._seats = Seats(env.num_envs, blocks // ranks.world_size, self._config.opponents, each)
        self.players = FrozenPlayers(agent, env, self._seats, greedy=self._config.greedy)
        self._members: dict[int, PastSelf] = {}
        self._playing: list[PastSelf | None] = [None] * self._config.opponents
        self.figures: dict[str, float] = {}
        """of the last rollout, by their full names"""

    @property
    def members(self) -> tuple[PastSelf, ...]:
        """The past selves there are, oldest first."""
        return tuple(self._members.values())

    def opponent_of(self, game: int) -> int | None:
        """Who is this rank's ``game``'s opponent now, by the plies of its weights.

        None where the learner plays itself, and before the first rollout. Where the game's plies
        are whose: ``ExperienceBuffer.own``.
        """
        player = self._seats.player(game)
        places = self._progress().past_selves.get("places", [])
        if player is None or player >= len(places) or places[player]["step"] < 0:
            return None
        return int(places[player]["step"])

    def load(self, members: Sequence[PastSelf], values: Mapping[str, Any]) -> None:
        """Takes the past selves of a checkpoint, and what its progress says of them.

        Raises CheckpointError if these are not the same ones.
        """
        told = [one["step"] for one in values.get("members", [])]
        if told != [one.step for one in members]:
            raise CheckpointError(
                f"training state: past_selves: expected those of the steps {told}, "
                f"got {[one.step for one in members]}"
            )
        self._members = {one.step: one for one in members}
        self._playing = [None] * self._config.opponents

    def prepare(self) -> None:
        """Before a rollout: the present weights join if it is time, and each place has a player."""
        state = self._state()
        self._join(state)
        scores = [_score(one) for one in state["members"]]
        probabilities = chances(scores, self._config.selection)
        steps = list(self._members)
        iteration, stay = self._progress().iteration, self._config.stay
        for place, seat in enumerate(state["places"]):
            due = iteration % stay == place * stay // len(state["places"])
            if due or seat["step"] not in self._members:
                step = steps[draw(probabilities, self._seed, iteration, place)]
                if step != seat["step"]:
                    seat |= {"step": step, "plies": 0}
            one = self._members[seat["step"]]
            if self._playing[place] is not one:
                self.players.put(place, one.weights)
                self._playing[place] = one

    def count(self, buffer: ExperienceBuffer) -> None:
        """After a rollout: what its games say; the same on all ranks.

        A game counts for a past self if it was the opponent from the first move to the last.
        """
        state = self._state()
        places = state["places"]
        results = place_results(buffer, self._seats, [seat["plies"] for seat in places])
        games = wins = losses = 0
        members = {one["step"]: one for one in state["members"]}
        for seat, row in zip(places, self._ranks.sum_(results).tolist(), strict=True):
            games, wins, losses = games + row[0], wins + row[1], losses + row[2]
            _remember(members[seat["step"]], row[3], row[4] / 2)
            seat["plies"] += buffer.rollout_length
        self.figures = {
            "past_selves.members": float(len(members)),
            "past_selves.games": float(games),
            "past_selves.wins": float(wins),
            "past_selves.losses": float(losses),
            "past_selves.undecided": float(games - wins - losses),
            **{
                f"past_selves.score_against_{step}": _score(members[step])
                for step in sorted({seat["step"] for seat in places})
                if members[step]["games"]
            },
        }
        if games:
            self.figures["past_selves.score"] = (wins + (games - wins - losses) / 2) / games

    def _state(self) -> dict[str, Any]:
        """What the progress says, made to fit these settings."""
        state = self._progress().past_selves
        state.setdefault("joined", 0)
        state.setdefault("members", [])
        if len(state.get("places", [])) != self._config.opponents:
            state["places"] = [{"step": -1, "plies": 0} for _ in range(self._config.opponents)]
        if state.get("layout") != self._layout:
            state["layout"] = list(self._layout)
            for seat in state["places"]:  # games in flight had another opponent
                seat["plies"] = 0
        return state

    def _join(self, state: dict[str, Any]) -> None:
        step = self._progress().step
        if not self._members or step - state["joined"] >= self._interval:
            weights = {
                name: tensor.detach().to("cpu", copy=True)
                for name, tensor in self._agent.network_tensors().items()
            }
            self._members[step] = PastSelf(step, weights)
            state["members"].append({"step": step, "games": 0.0, "points": 0.0})
            state["joined"] = step
        for leaving in state["members"][: -self._config.capacity]:
            del self._members[leaving["step"]]
        del state["members"][: -self._config.capacity]


def place_results(buffer: ExperienceBuffer, seats: Seats, plies: Sequence[int]) -> Tensor:
    """What ended in a rollout against each of K opponents, int64 [K, 5].

    Games, the learner's wins and its losses; then, of the games that began since the opponent took
    its place, ``plies`` of each before the rollout: their number, and twice the learner's score.
    """
    assert buffer.own is not None
    ended = buffer.valid & (buffer.ending != ops.NOT_ENDED)
    result = torch.where(buffer.own, buffer.rewards, -buffer.rewards)
    won, lost = ended & (result > 0), ended & (result < 0)
    points = ended.long() + won.long() - lost.long()
    rows = []
    for player, before in enumerate(plies):
        # A game of L plies that ends with row t began in row t - L + 1, counted from there.
        last = torch.arange(before + 1, before + 1 + len(buffer.ending), device=ended.device)
        own_games = ended & (buffer.length <= last[:, None])
        columns = [ended, won, lost, own_games, points * own_games]
        sums = torch.stack([column.sum(0) for column in columns], dim=1)
        rows.append(seats.of(player, sums).sum((0, 1)))
    return torch.stack(rows)


def _remember(member: dict[str, Any], games: int, points: float) -> None:
    member["games"] += games
    member["points"] += points
    if member["games"] > MEMORY:
        member["points"] *= MEMORY / member["games"]
        member["games"] = MEMORY


def _score(member: Mapping[str, Any]) -> float:
    """The learner's expected score against it: even before there are games, which count as two."""
    return float((member["points"] + 1.0) / (member["games"] + 2.0))
