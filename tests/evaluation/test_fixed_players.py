"""Players of fixed strength choose what their descriptions say, by another rulebook's board."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

import cshogi
import pytest
import torch

from keisei import Position
from keisei.envs import ShogiVectorEnv
from keisei.evaluation.fixed_players import (
    PIECE_VALUES,
    GreedyCapturePlayer,
    MateAwarePlayer,
    MixturePlayer,
    UniformPlayer,
)
from keisei.evaluation.match import play_match
from keisei.evaluation.openings import load_openings
from keisei.evaluation.players import MatchStart, Player, Turn

Scores = dict[str, float]


def captured(board: cshogi.Board, move: str) -> float:
    """The worth of what a move takes."""
    square = (int(move[2]) - 1) * 9 + ord(move[3]) - ord("a")
    return PIECE_VALUES[board.piece(square) & 15]


def by_greed(position: Position) -> Scores:
    board = cshogi.Board(position.sfen())
    return {move: 2 * captured(board, move) + move.endswith("+") for move in position.legal_moves()}


def by_one_ply(position: Position) -> Scores:
    scores = {}
    board = cshogi.Board(position.sfen())
    for move in position.legal_moves():
        score = captured(board, move)
        if move.endswith("+"):
            square = (int(move[0]) - 1) * 9 + ord(move[1]) - ord("a")
            kind = board.piece(square) & 15
            score += PIECE_VALUES[kind + 8] - PIECE_VALUES[kind]
        position.push(move)
        outcome = position.outcome()
        after = cshogi.Board(position.sfen())
        replies = [captured(after, reply) for reply in position.legal_moves()]
        if outcome is None:
            scores[move] = score - max(replies)
        else:
            scores[move] = 1000.0 if outcome.winner != position.turn else -1000.0
        position.pop()
    return scores


def turn_of(positions: list[Position]) -> Turn:
    count = len(positions)
    return Turn(
        torch.stack([torch.from_numpy(position.words()) for position in positions]),
        torch.stack([torch.from_numpy(position.legal_mask()) for position in positions]),
        torch.ones(count, dtype=torch.bool),
        torch.arange(count, dtype=torch.int32),
    )


def started(player: Player, games: int, seed: int = 0) -> Player:
    start = Position().sfen()
    player.start(MatchStart(games, torch.device("cpu"), seed, 0, (start,) * games))
    return player


def positions_of_play(count: int) -> list[Position]:
    """From games of greedy play, so that pieces hang and kings are near mate."""
    result = play_match(
        GreedyCapturePlayer(),
        UniformPlayer(),
        games=count,
        seed=11,
        openings=load_openings(),
        records=None,
    )
    found = []
    for number, record in enumerate(result.records):
        places = [place.copy() for place in record.positions()]
        # The last ones too: there one side mates or is about to be mated.
        found += [places[len(places) * number // count], places[-2], places[-3]]
    return [place for place in found if place.outcome() is None]


@pytest.fixture(scope="module")
def positions() -> list[Position]:
    return positions_of_play(16)


@pytest.mark.parametrize(
    ("player", "judge"),
    [(GreedyCapturePlayer, by_greed), (MateAwarePlayer, by_one_ply)],
    ids=["greedy", "one-ply"],
)
def test_it_plays_the_best_by_its_own_measure(
    positions: list[Position], player: type[Player], judge: Callable[[Position], Scores]
) -> None:
    labels = started(player(), len(positions)).choose(turn_of(positions)).labels
    several = 0
    for position, label in zip(positions, labels.tolist(), strict=True):
        scores = judge(position)
        best = {move for move, score in scores.items() if score == max(scores.values())}
        assert position.move(label) in best, f"{position.sfen()}: expected one of {best}"
        several += len(best) < len(scores)
    assert several > len(positions) / 4, "positions that tell players apart"


def test_the_positions_hold_mates(positions: list[Position]) -> None:
    assert sum(max(by_one_ply(position).values()) == 1000 for position in positions) >= 8


def test_it_lets_nobody_declare() -> None:
    """White has the points and the pieces for it; only a check keeps it from declaring."""
    position = Position.from_sfen("7K1/9/9/9/9/9/+r+r+b+b+p+p+p+p+p/4k4/+p+p7 b G 1")
    scores = by_one_ply(position)
    assert Counter(score == -1000 for score in scores.values())[True] > len(scores) / 2
    label = int(started(MateAwarePlayer(), 1).choose(turn_of([position])).labels[0])
    assert scores[position.move(label)] == max(scores.values()) > -1000


@pytest.mark.parametrize("player", [GreedyCapturePlayer, MateAwarePlayer])
def test_equals_are_drawn_uniformly(player: type[Player]) -> None:
    """From the start nothing can be taken: each of the 30 moves is as good for greedy."""
    position, draws = Position(), 3000
    judge = by_greed if player is GreedyCapturePlayer else by_one_ply
    scores = judge(position)
    best = [move for move, score in scores.items() if score == max(scores.values())]
    labels = started(player(), draws).choose(turn_of([position] * draws)).labels
    counts = Counter(position.move(label) for label in labels.tolist())
    assert set(counts) == set(best)
    expected = draws / len(best)
    square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert square < 2 * len(best), f"chi-square of {len(best) - 1} degrees: {square:.1f}"


def test_who_is_not_asked_changes_nothing(positions: list[Position]) -> None:
    turn = turn_of(positions)
    for player in (GreedyCapturePlayer(), MateAwarePlayer(), UniformPlayer()):
        whole = started(player, len(positions)).choose(turn).labels
        asked = torch.arange(len(positions)) % 3 == 1
        some = player.choose(Turn(turn.positions, turn.mask, asked, turn.clock)).labels
        assert torch.equal(some[asked], whole[asked])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_mixture_leaves_its_share_to_the_second(share: float) -> None:
    class First(UniformPlayer):
        def choose(self, turn: Turn):  # type: ignore[no-untyped-def]
            choice = super().choose(turn)
            return type(choice)(torch.full_like(choice.labels, self.label))

        label = 1

    class Second(First):
        label = 2

    games = 10_000
    labels = started(MixturePlayer(First(), Second(), share), games).choose(
        turn_of([Position()] * games)
    )
    second = int((labels.labels == 2).sum())
    assert int((labels.labels == 1).sum()) + second == games
    spread = 4 * (games * share * (1 - share)) ** 0.5
    assert abs(second - games * share) <= spread, f"{second} of {games} for {share}"


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="share: expected 0 to 1"):
        MixturePlayer(UniformPlayer(), UniformPlayer(), share)


def test_uniform_play_draws_as_the_games_do() -> None:
    env = ShogiVectorEnv(6, seed=9)
    player = started(UniformPlayer(), 6, seed=9)
    asked = torch.ones(6, dtype=torch.bool)
    for _ in range(20):
        labels = env.sample_uniform()
        chosen = player.choose(Turn(env.positions, env.mask, asked, env.clock)).labels
        assert torch.equal(chosen, labels)
        env.step(labels)


def test_they_are_of_different_strength() -> None:
    ranks = [UniformPlayer(), MixturePlayer(UniformPlayer(), GreedyCapturePlayer(), 0.5)]
    ranks += [GreedyCapturePlayer(), MateAwarePlayer()]
    for weaker, stronger in itertools.pairwise(ranks):
        result = play_match(stronger, weaker, games=20, openings=load_openings(), max_plies=300)
        assert result.score.interval()[0] > 0.5, f"{type(stronger).__name__}: {result.score}"


@pytest.mark.gpu
def test_games_are_the_same_on_a_gpu() -> None:
    def games(device: str) -> list[tuple[str, ...]]:
        result = play_match(
            MateAwarePlayer(),
            MixturePlayer(UniformPlayer(), GreedyCapturePlayer(), 0.5),
            games=64,
            device=device,
            openings=load_openings(),
            records=None,
        )
        return [record.moves for record in result.records]

    assert games("cuda") == games("cpu")


def test_every_kind_has_a_value() -> None:
    assert len(PIECE_VALUES) == 16 and PIECE_VALUES[0] == PIECE_VALUES[8] == 0
    assert all(PIECE_VALUES[kind] > 0 for kind in (*range(1, 8), *range(9, 15)))
    for kind in range(1, 7):
        assert PIECE_VALUES[kind + 8] > PIECE_VALUES[kind]
