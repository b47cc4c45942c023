"""A match of two players, all games at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from keisei import Position, ops
from keisei.envs import ShogiVectorEnv
from keisei.evaluation import game_record
from keisei.evaluation.game_record import GameRecord
from keisei.evaluation.openings import Opening, assign
from keisei.evaluation.players import Choice, MatchStart, Opponent, Player, Turn, as_player
from keisei.evaluation.scores import Pairs, Score

# What `ending` holds here: what the games' own endings are called, then those of players that
# give a game up.
ENDINGS = ("", *game_record.ENDINGS)


class MatchCancelledError(RuntimeError):
    """A match was asked to stop before its games were over."""


@dataclass(frozen=True)
class MatchResult:
    """What the first player of a match got; nobody's games (undecided ones too) are draws."""

    black: Score
    """of its games as black"""
    white: Score
    """of its games as white"""
    endings: Mapping[str, Score]
    """by way of ending: see ``keisei.evaluation.game_record.Ending``"""
    mean_plies: float
    """over all games, those of openings included"""
    pairs: Pairs
    """pairs of games, one opening with colours exchanged; a last game without a pair is not here"""
    records: tuple[GameRecord, ...] = ()
    """the first games, as many as were asked for"""

    @property
    def score(self) -> Score:
        """Of all games."""
        return self.black + self.white

    @property
    def games(self) -> int:
        """All games."""
        return self.score.games

    @property
    def wins(self) -> int:
        """Games won."""
        return self.score.wins

    @property
    def losses(self) -> int:
        """Games lost."""
        return self.score.losses

    @property
    def truncated(self) -> int:
        """Games at the move limit, undecided."""
        return self.endings["move_limit"].games if "move_limit" in self.endings else 0

    @property
    def draws(self) -> int:
        """Games that nobody won by the rules: without those at the move limit."""
        return self.score.draws - self.truncated

    @property
    def win_rate(self) -> float:
        """Games won out of all games; draws and undecided games are not won."""
        return self.wins / self.games

    def plus(self, other: MatchResult) -> MatchResult:
        """Both matches as one."""
        games = self.games + other.games
        plies = self.mean_plies * self.games + other.mean_plies * other.games
        return MatchResult(
            self.black + other.black,
            self.white + other.white,
            {
                name: self.endings.get(name, Score()) + other.endings.get(name, Score())
                for name in ENDINGS
                if name in self.endings or name in other.endings
            },
            plies / games,
            self.pairs + other.pairs,
            self.records + other.records,
        )


def match_result(
    results: Sequence[int],
    endings: Sequence[str],
    lengths: Sequence[int],
    records: tuple[GameRecord, ...] = (),
) -> MatchResult:
    """The result of games in order, the first player black in the even ones.

    Args:
        results: 1, 0, -1 for the first player.
        endings: See ``keisei.evaluation.game_record.Ending``.
        lengths: In plies.
        records: Of the first games.
    """
    points = [(result + 1) / 2 for result in results]
    return MatchResult(
        black=_score(results[0::2]),
        white=_score(results[1::2]),
        endings={
            name: _score([r for r, e in zip(results, endings, strict=True) if e == name])
            for name in ENDINGS
            if name in endings
        },
        mean_plies=sum(lengths) / len(lengths),
        pairs=Pairs.of(zip(points[0:-1:2], points[1::2], strict=True)),
        records=records,
    )


def _never() -> bool:
    return False


@torch.no_grad()
def play_match(
    first: Player | Opponent,
    second: Player | Opponent,
    *,
    games: int,
    device: torch.device | str = "cpu",
    seed: int = 0,
    max_plies: int = 512,
    openings: Sequence[Opening] = (),
    names: tuple[str, str] = ("first", "second"),
    first_game: int = 0,
    records: int | None = 0,
    event: str = "",
    cancelled: Callable[[], bool] = _never,
) -> MatchResult:
    """Plays ``games`` games at once; the first player is black in the even ones.

    Games 2 k and 2 k + 1 have the same opening: see ``keisei.evaluation.openings.assign``. All
    draws come from ``seed`` and the numbers of games and plies; no random generator of the process
    is touched, unless by a plugin.

    Args:
        first: Whose results are told.
        second: Its opponent.
        games: At once; what they take of memory is little.
        device: Where the games are, and the players' networks.
        seed: Of all draws.
        max_plies: Where a game is cut off, undecided; an opening's moves count.
        openings: Empty: all games begin from the usual start.
        names: Of the players, in records and errors.
        first_game: Index of game 0, even, in a match that is played in several parts: the parts
            together play what the whole would.
        records: How many games, from the first on, are recorded; None: all.
        event: What records say the games were part of.
        cancelled: Asked before each ply.

    Raises:
        PluginError: An opponent of others failed, or named a move that is not legal.
        EngineError: A USI engine cannot be started.
        MatchCancelledError: ``cancelled()`` was true.
        ValueError: A number does not fit.
    """
    if games < 1:
        raise ValueError(f"games: expected at least 1, got {games}")
    if first_game % 2:
        raise ValueError(f"first_game: expected an even number, got {first_game}")
    players = tuple(as_player(one, name) for one, name in zip((first, second), names, strict=True))
    begins = assign(openings, games, first_game=first_game, seed=seed, max_plies=max_plies)
    env = ShogiVectorEnv(
        games, device, max_plies=max_plies, seed=seed, first_game=first_game, check_actions=False
    )
    _begin(env, begins)
    given = _given(begins).to(env.device)
    start = MatchStart(
        games, env.device, seed, first_game, tuple(opening.start for opening in begins)
    )
    with contextlib.ExitStack() as stack:
        for player in players:
            player.start(start)
            stack.callback(player.finish)
        table = _Table(env, given, players, names)
        while table.goes_on():
            if cancelled():
                raise MatchCancelledError(
                    f"the match of {names[0]} against {names[1]} was asked to stop"
                )
            table.ply()
    env.raise_errors()
    return table.result(begins, records, event)


def _begin(env: ShogiVectorEnv, begins: Sequence[Opening]) -> None:
    starts = [opening.start for opening in begins]
    if len(set(starts)) == 1:
        env.reset(starts[:1])
        return
    shift = env.first_game % len(starts)  # the environment goes by the index over all parts
    env.reset(starts[len(starts) - shift :] + starts[: len(starts) - shift])


def _given(begins: Sequence[Opening]) -> Tensor:
    """The labels of the openings, int64 [plies, N], -1 where there are none."""
    known: dict[Opening, list[int]] = {}
    for opening in begins:
        if opening not in known:
            position = Position.from_sfen(opening.start)
            known[opening] = []
            for move in opening.moves:
                known[opening].append(position.label(move))
                position.push(move)
    labels = torch.full((max(map(len, known.values())), len(begins)), -1, dtype=torch.int64)
    for game, opening in enumerate(begins):
        column = known[opening]
        labels[: len(column), game] = torch.tensor(column, dtype=torch.int64)
    return labels


class _Table:
    """The games of a match, and what has come of them."""

    def __init__(
        self,
        env: ShogiVectorEnv,
        given: Tensor,
        players: tuple[Player, ...],
        names: tuple[str, str],
    ) -> None:
        games, device = env.num_envs, env.device
        self._env, self._given, self._players, self._names = env, given, players, names
        self._follows = any(player.follows for player in players)
        self._second_is_black = torch.arange(games, device=device) % 2 == 1
        self._result = torch.zeros(games, dtype=torch.float32, device=device)
        self._ending = torch.zeros(games, dtype=torch.uint8, device=device)
        self._length = torch.zeros(games, dtype=torch.int32, device=device)
        self._labels: list[Tensor] = []
        self._values: list[Tensor | None] = []

    def goes_on(self) -> bool:
        """Whether a game does; waits for the device."""
        return not bool((self._ending != ops.NOT_ENDED).all())

    def ply(self) -> None:
        """One move in every game that goes on."""
        env, ply = self._env, len(self._labels)
        goes_on = self._ending == ops.NOT_ENDED
        labels = env.sample_uniform()  # where nobody chooses
        in_opening = torch.zeros_like(goes_on)
        if ply < len(self._given):
            in_opening = self._given[ply] >= 0
            labels = torch.where(in_opening, self._given[ply], labels)
        firsts = (env.turn == 1) == self._second_is_black
        asked = goes_on & ~in_opening
        values: Tensor | None = None
        if ply >= len(self._given) or not bool(in_opening.all()):
            for number, player in enumerate(self._players):
                own = asked & (firsts if number == 0 else ~firsts)
                choice = player.choose(Turn(env.positions, env.mask, own, env.clock))
                labels = torch.where(own, choice.labels, labels)
                if choice.values is not None:
                    values = torch.full_like(self._result, torch.nan) if values is None else values
                    values = torch.where(own, choice.values, values)
                if choice.lost:
                    labels = self._give_up(choice, number, ply, labels)
        going = self._ending == ops.NOT_ENDED
        step = env.step(labels)
        self._labels.append(labels.to(torch.int16))
        self._values.append(values)
        ended = going & (step.ending != ops.NOT_ENDED)
        reward = torch.where(firsts, step.reward, -step.reward)
        self._result = torch.where(ended, reward, self._result)
        self._ending = torch.where(ended, step.ending, self._ending)
        self._length = torch.where(ended, step.length, self._length)
        if self._follows:
            told = torch.where(going, labels, -1).cpu()
            for player in self._players:
                if player.follows:
                    player.played(told)

    def _give_up(self, choice: Choice, number: int, ply: int, labels: Tensor) -> Tensor:
        """Ends the games that a player loses by itself; returns labels that may be played."""
        games = torch.tensor(list(choice.lost), device=labels.device)
        codes = [ENDINGS.index(ending) for ending in choice.lost.values()]
        self._ending[games] = torch.tensor(codes, dtype=torch.uint8, device=labels.device)
        self._result[games] = -1.0 if number == 0 else 1.0
        self._length[games] = ply
        labels[games] = self._env.sample_uniform()[games]
        return labels

    def result(self, begins: Sequence[Opening], records: int | None, event: str) -> MatchResult:
        """When all games are over."""
        results = self._result.int().tolist()
        endings = [ENDINGS[code] for code in self._ending.tolist()]
        lengths = self._length.tolist()
        wanted = len(results) if records is None else min(records, len(results))
        kept = self._records(begins[:wanted], lengths, endings, results, event) if wanted else ()
        return match_result(results, endings, lengths, kept)

    def _records(
        self,
        begins: Sequence[Opening],
        lengths: Sequence[int],
        endings: Sequence[str],
        results: Sequence[int],
        event: str,
    ) -> tuple[GameRecord, ...]:
        """Of the first games, one for each of ``begins``."""
        labels = torch.stack(self._labels)[:, : len(begins)].tolist()
        unknown = torch.full_like(self._result, torch.nan)
        values = torch.stack([unknown if one is None else one for one in self._values])
        values = values[:, : len(begins)].double()
        if any(one is not None for one in self._values):
            expected: list[list[float | None]] = [
                [None if value != value else value for value in row] for row in values.tolist()
            ]
        else:
            expected = []
        records = []
        for game, opening in enumerate(begins):
            position = Position.from_sfen(opening.start)
            for ply in range(lengths[game]):
                position.push_label(labels[ply][game])
            black, white = self._names if game % 2 == 0 else self._names[::-1]
            side: Literal["black", "white"] = "black" if results[game] > 0 else "white"
            if game % 2:
                side = "white" if results[game] > 0 else "black"
            records.append(
                GameRecord(
                    black=black,
                    white=white,
                    start=opening.start,
                    moves=tuple(position.moves),
                    ending=endings[game],
                    winner=side if results[game] else None,
                    opening_plies=min(len(opening.moves), lengths[game]),
                    values=tuple(row[game] for row in expected[: lengths[game]]),
                    event=event,
                )
            )
        return tuple(records)


def _score(results: Sequence[int]) -> Score:
    return Score(results.count(1), results.count(0), results.count(-1))
