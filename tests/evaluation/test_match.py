"""Matches: who is who, what counts as won, how openings are paired, and whose fault a fault is."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from plugin_samples import FirstLegal
from torch import Tensor, nn

from keisei import Position
from keisei.evaluation.fixed_players import GreedyCapturePlayer, UniformPlayer
from keisei.evaluation.match import MatchCancelledError, MatchResult, play_match
from keisei.evaluation.network_player import NetworkPlayer
from keisei.evaluation.openings import START, load_openings, parse_opening
from keisei.evaluation.players import Choice, MatchStart, Opponent, Player, Turn
from keisei.evaluation.scores import Pairs
from keisei.utils.plugins import PluginError


class Indifferent(nn.Module):
    """Logits that are all the same: sampled, it plays uniformly."""

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        return planes.new_zeros(len(planes), 2187), planes.new_full((len(planes),), 0.25)


class Greedy(nn.Module):
    """Takes a piece where it can, and promotes where it can: seen from its own side."""

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        enemies = planes[:, 31:45].sum(dim=1).flatten(1)
        logits = enemies[:, None, :].repeat(1, 27, 1) * 5.0
        logits[:, 10:20] += 2.0
        return logits.flatten(1), planes.new_zeros(len(planes))


def indifferent() -> NetworkPlayer:
    return NetworkPlayer(Indifferent(), greedy=False)


def test_every_game_is_counted_once_and_again_the_same() -> None:
    def play(seed: int) -> MatchResult:
        return play_match(
            indifferent(), UniformPlayer(), games=41, seed=seed, max_plies=300, records=None
        )

    result = play(0)
    assert result.wins + result.losses + result.draws + result.truncated == result.games == 41
    assert result.truncated > 0 and result.losses > 0
    assert result.win_rate == result.wins / 41
    assert result.black.games == 21 and result.white.games == 20
    assert sum(score.games for score in result.endings.values()) == 41
    assert result.pairs.pairs == 20, "the last game has no partner"
    assert result == play(0) != play(1)


def test_the_better_player_wins_with_both_colours() -> None:
    """One that takes whatever it can; it would lose if sides were mixed up."""
    result = play_match(NetworkPlayer(Greedy(), greedy=False), UniformPlayer(), games=60, seed=2)
    assert result.black.wins > 10 and result.white.wins > 10
    assert result.wins > 5 * result.losses


def test_the_parts_of_a_match_play_what_the_whole_does() -> None:
    openings = load_openings()[:3]

    def play(games: int, first_game: int) -> MatchResult:
        return play_match(
            indifferent(),
            GreedyCapturePlayer(),
            games=games,
            first_game=first_game,
            seed=7,
            max_plies=80,
            openings=openings,
            records=None,
        )

    whole = play(12, 0)
    parts = play(4, 0).plus(play(8, 4))
    assert parts.mean_plies == pytest.approx(whole.mean_plies)
    assert dataclasses.replace(parts, mean_plies=whole.mean_plies) == whole


def test_records_are_the_games() -> None:
    openings = [parse_opening("startpos moves 7g7f 3c3d"), START]
    result = play_match(
        indifferent(),
        FirstLegal(),
        games=6,
        seed=3,
        max_plies=40,
        openings=openings,
        names=("net", "first legal"),
        records=None,
        event="a test",
    )
    assert len(result.records) == 6
    points = []
    for game, record in enumerate(result.records):
        assert (record.black, record.white) == (
            ("net", "first legal") if game % 2 == 0 else ("first legal", "net")
        )
        assert record.event == "a test"
        *_, last = record.positions()
        outcome = last.outcome(max_plies=40)
        assert outcome is not None and outcome.ending == record.ending
        winner = None if outcome.winner is None else ("black", "white")[outcome.winner]
        assert record.winner == winner
        own = "black" if game % 2 == 0 else "white"
        points.append(0.5 if winner is None else float(winner == own))
        for ply, value in enumerate(record.values):
            is_own = (ply % 2 == 0) == (own == "black")
            chosen = ply >= record.opening_plies
            assert value == (0.25 if is_own and chosen else None), (game, ply)
    assert result.score.points == sum(points)
    assert result.pairs == Pairs.of(zip(points[::2], points[1::2], strict=True))
    assert result.mean_plies == sum(record.plies for record in result.records) / 6


def test_pairs_share_an_opening_and_deterministic_players_repeat_no_game() -> None:
    openings = load_openings()[:4]
    result = play_match(
        NetworkPlayer(Greedy()),
        FirstLegal(),
        games=24,
        max_plies=40,
        openings=openings,
        records=None,
    )
    starts = [record.moves[: record.opening_plies] for record in result.records]
    assert starts[::2] == starts[1::2], "a pair has one opening"
    assert starts[:8:2] == [opening.moves for opening in openings]
    for lap in (1, 2):  # then they go on by two moves
        for number, opening in enumerate(openings):
            again = starts[2 * (4 * lap + number)]
            plies = len(opening.moves)
            assert again[:plies] == opening.moves and len(again) == plies + 2
    games = [record.moves for record in result.records]
    assert len(set(games)) == 24, "no game was played twice"


def test_other_start_positions() -> None:
    """Each game begins where its opening says, whichever part of a match it is in."""
    sfens = [
        "4k4/9/4P4/9/9/9/9/9/4K4 b G2r2b3g4s4n4l17p 1",
        "lnsgkgsnl/1r7/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1",
    ]
    openings = [parse_opening(sfen) for sfen in sfens]
    for first_game in (0, 2, 6):
        result = play_match(
            UniformPlayer(),
            UniformPlayer(),
            games=4,
            first_game=first_game,
            max_plies=5,
            openings=openings[:2],
            records=None,
        )
        first = first_game // 2 % 2
        starts = [record.start for record in result.records]
        expected = [sfens[first]] * 2 + [sfens[1 - first]] * 2
        assert starts == expected
        for record in result.records:
            assert len(list(record.positions())) == record.plies + 1


class GivingUp(Player):
    """Loses its third move of every game, each by another reason."""

    reasons = ("resignation", "time", "illegal_move", "crash", "stall")

    def start(self, match: MatchStart) -> None:
        self.uniform = UniformPlayer()
        self.uniform.start(match)
        self.moves = [0] * match.games
        self.finished = 0

    def choose(self, turn: Turn) -> Choice:
        labels = self.uniform.choose(turn).labels
        lost = {}
        for game in turn.asked.nonzero().flatten().tolist():
            self.moves[game] += 1
            if self.moves[game] == 3:
                lost[game] = self.reasons[game % 5]
                labels[game] = -77  # nobody looks at it
        return Choice(labels, lost=lost)

    def finish(self) -> None:
        self.finished += 1


@pytest.mark.parametrize("first", [True, False])
def test_a_game_that_is_given_up_is_lost(first: bool) -> None:
    quitter = GivingUp()
    players = (quitter, UniformPlayer()) if first else (UniformPlayer(), quitter)
    result = play_match(*players, games=10, records=None)
    assert quitter.finished == 1
    assert (result.losses if first else result.wins) == 10
    assert {name: score.games for name, score in result.endings.items()} == dict.fromkeys(
        GivingUp.reasons, 2
    )
    for game, record in enumerate(result.records):
        quits_as_black = (game % 2 == 0) == first
        assert record.ending == GivingUp.reasons[game % 5]
        assert record.winner == ("white" if quits_as_black else "black")
        assert record.plies == (4 if quits_as_black else 5)


class Following(UniformPlayer):
    follows = True

    def start(self, match: MatchStart) -> None:
        super().start(match)
        self.positions = [Position.from_sfen(start) for start in match.starts]

    def choose(self, turn: Turn) -> Choice:
        for game in turn.asked.nonzero().flatten().tolist():
            assert (self.positions[game].words() == turn.positions[game].numpy()).all()
        return super().choose(turn)

    def played(self, labels: Tensor) -> None:
        for position, label in zip(self.positions, labels.tolist(), strict=True):
            if label >= 0:
                position.push_label(label)


def test_a_player_that_follows_is_told_of_every_move() -> None:
    player = Following()
    result = play_match(
        player, UniformPlayer(), games=6, max_plies=120, openings=load_openings(), records=None
    )
    for record, position in zip(result.records, player.positions, strict=True):
        assert tuple(position.moves) == record.moves


class Watching(FirstLegal):
    """Checks what it is given and tries to spoil it."""

    def start(self, games: int, device: torch.device, seed: int) -> None:
        self.started = (games, device, seed)
        self.plies = [0] * games

    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        assert positions.shape == (len(self.plies), 17) and mask.shape == (len(self.plies), 81)
        labels = super().choose(positions, mask, asked)
        for game in asked.nonzero().flatten().tolist():
            position = Position.from_words(positions[game].numpy())
            assert position.legal_labels()[0] == labels[game]
            # The network is black in the even games.
            assert position.turn == (1 if game % 2 == 0 else 0), game
            assert position.plies_played == 0
            self.plies[game] += 1
        labels[~asked] = -5  # nobody looks at these
        positions.zero_(), mask.zero_(), asked.fill_(True)
        return labels


def test_an_opponent_is_asked_where_it_is_its_turn() -> None:
    opponent = Watching()
    result = play_match(indifferent(), opponent, games=5, seed=4, max_plies=20)
    assert opponent.started == (5, torch.device("cpu"), 4)
    assert isinstance(opponent, Opponent)
    assert result.games == 5 and result.mean_plies <= 20
    assert opponent.plies == [10] * 5, "each side moves ten times in a game of twenty plies"


class Faulty(FirstLegal):
    def __init__(self, fault: str) -> None:
        self.fault = fault

    def start(self, games: int, device: torch.device, seed: int) -> None:
        if self.fault == "start":
            raise RuntimeError("no book")

    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        labels = super().choose(positions, mask, asked)
        if self.fault == "raise":
            raise KeyError("lost")
        if self.fault == "dtype":
            return labels.int()
        if self.fault == "shape":
            return labels[:1]
        if self.fault == "none":
            return None  # type: ignore[return-value]
        return labels.fill_(2186 if self.fault == "illegal" else 5000)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("start", r"start failed: RuntimeError: no book"),
        ("raise", r"choose failed: KeyError: 'lost'"),
        ("dtype", r"labels: expected int64 \[4\] on cpu, got int32 \[4\] on cpu"),
        ("shape", r"labels: expected int64 \[4\] on cpu, got int64 \[1\] on cpu"),
        ("none", r"labels: expected int64 \[4\] on cpu, got None"),
        ("illegal", r"labels: game 1: expected a label of its legal mask, got 2186"),
        ("range", r"labels: game 1: expected a label of its legal mask, got 5000"),
    ],
)
def test_a_faulty_opponent_is_named(fault: str, message: str) -> None:
    with pytest.raises(PluginError, match=rf"opponent 'odd': {message}"):
        play_match(indifferent(), Faulty(fault), games=4, names=("net", "odd"))


def test_a_match_can_be_cancelled() -> None:
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 7

    network = Indifferent().train()
    with pytest.raises(MatchCancelledError, match="the match of net against random was asked to"):
        play_match(
            NetworkPlayer(network),
            UniformPlayer(),
            games=2,
            names=("net", "random"),
            cancelled=cancelled,
        )
    assert len(asked) == 8
    assert network.training, "it is in the mode that it had"


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="games: expected at least 1, got 0"):
        play_match(UniformPlayer(), UniformPlayer(), games=0)
    with pytest.raises(ValueError, match="first_game: expected an even number, got 3"):
        play_match(UniformPlayer(), UniformPlayer(), games=2, first_game=3)
