"""One whole evaluation: a player against each of several opponents.

The periodic evaluations of a run, ``Trainer.execute_full_evaluation_run`` and the command
``keisei-evaluate`` all come through here.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.evaluation.match import MatchResult, play_match
from keisei.evaluation.network_player import NetworkPlayer
from keisei.evaluation.openings import Opening, load_openings
from keisei.evaluation.opponents import RANDOM, make_opponents, make_player
from keisei.evaluation.players import Opponent, Player, as_player
from keisei.evaluation.scores import Score
from keisei.utils.files import replacing
from keisei.utils.generators import kept_generators


@dataclass(frozen=True)
class OpponentResult:
    """How the player fared against one opponent."""

    opponent: str
    result: MatchResult

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the evaluation log has them; the games' records are not among them."""
        result = self.result
        return {
            "games": result.games,
            "black_wins": result.black.wins,
            "white_wins": result.white.wins,
            "losses": result.losses,
            "draws": result.draws,
            "truncated": result.truncated,
            "mean_plies": result.mean_plies,
            "win_rate": result.win_rate,
            "score": _with_interval(result.score),
            "elo": _elo(result),
            "black": _with_interval(result.black),
            "white": _with_interval(result.white),
            "endings": {name: _counts(score) for name, score in result.endings.items()},
            "pairs": list(result.pairs.counts),
        }


def _counts(score: Score) -> dict[str, int]:
    return {"wins": score.wins, "draws": score.draws, "losses": score.losses}


def _with_interval(score: Score) -> dict[str, float]:
    low, high = score.interval()
    rate = score.rate if score.games else 0.5
    return {**_counts(score), "rate": rate, "low": low, "high": high}


def _elo(result: MatchResult) -> dict[str, float | None]:
    """The Elo difference with its interval, of pairs where there are any; None: no bound."""
    counted = result.pairs if result.pairs.pairs else result.score
    values = dict(zip(("low", "high"), counted.elo_interval(), strict=True), rate=counted.elo)
    return {name: value if abs(value) < float("inf") else None for name, value in values.items()}


@dataclass(frozen=True)
class EvaluationResult:
    """What one evaluation found."""

    step: int
    """plies the network had learned from"""
    seconds: float
    """wall time it took"""
    results: tuple[OpponentResult, ...]
    """in the order of the opponents"""
    earlier: tuple[OpponentResult, ...] = ()
    """against its earlier selves: for the ladder, no part of ``win_rate``"""

    @property
    def games(self) -> int:
        """All games against the opponents."""
        return sum(one.result.games for one in self.results)

    @property
    def score(self) -> Score:
        """Of all games against the opponents."""
        return sum((one.result.score for one in self.results), Score())

    @property
    def win_rate(self) -> float:
        """Games won out of all games, whoever the opponent was."""
        return sum(one.result.wins for one in self.results) / self.games

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the evaluation log has them."""
        out: dict[str, Any] = {
            "step": self.step,
            "seconds": self.seconds,
            "win_rate": self.win_rate,
            "opponents": {one.opponent: one.to_json() for one in self.results},
        }
        if self.earlier:
            out["earlier"] = {one.opponent: one.to_json() for one in self.earlier}
        return out


Stop = Callable[[MatchResult], bool]
"""whether what is known of a match is enough"""


def _never(_: MatchResult) -> bool:
    return False


def execute_full_evaluation_run(
    network: ActorCriticProtocol | Player | str | Path,
    *,
    opponents: Sequence[str] | Mapping[str, Player | Opponent] = (RANDOM,),
    earlier: Mapping[str, Player] | None = None,
    games: int = 100,
    device: torch.device | str = "cpu",
    greedy: bool = True,
    seed: int = 0,
    max_plies: int = 512,
    openings: Sequence[Opening] | None = None,
    name: str = "network",
    records: int | None = 0,
    batch: int | None = None,
    enough: Stop = _never,
    step: int | None = None,
    log_file: str | Path | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    in_background: bool = False,
) -> EvaluationResult:
    """Plays ``games`` games against each opponent, colours alternating, all at once.

    Each opening is played twice, with colours exchanged. Nothing of a training run is disturbed:
    the network's mode and weights stay, and so do the random generators of Python, NumPy and torch,
    whatever a plugin draws.

    Args:
        network: On ``device``; a player; or what ``make_player`` takes, a ``model.ckpt``,
            checkpoint folder or run folder, say.
        opponents: Texts (see ``make_opponents``), or opponents by name, which stay open.
        earlier: The network's earlier selves, played after the opponents.
        games: Against each opponent, at most.
        device: Where the games and the networks are.
        greedy: Networks play the most probable move; False: they draw from the policy.
        seed: Of all draws.
        max_plies: Where a game is cut off, undecided.
        openings: None: those that keisei brings; empty: the usual start.
        name: What records call the network.
        records: How many games against each opponent are recorded; None: all.
        batch: Games at once; None: all.
        enough: Asked after each batch with the result so far; ends the match against this
            opponent. If the match fails or is interrupted, the result that it was asked about
            last is what was finished: of the games of one batch those that are over first are the
            short ones, so they say nothing without the others.
        step: Plies the network has learned from; None: the file's, else 0.
        log_file: One JSON line is appended to it.
        cancelled: Asked before each ply; MatchCancelledError once it is true.
        in_background: Other threads go on meanwhile: the generators, which they share, are left
            alone; keisei itself draws nothing from them while it plays, so opponents must be
            players, which are built already.

    Raises:
        CheckpointError: A file cannot be used.
        PluginError: An opponent cannot be built, or failed.
        EngineError: A USI engine cannot be started.
        ValueError: A number does not fit.
    """
    if games < 1:
        raise ValueError(f"games: expected at least 1, got {games}")
    if batch is not None and batch < 1:
        raise ValueError(f"batch: expected at least 1, got {batch}")
    begins = load_openings() if openings is None else openings
    with contextlib.ExitStack() as stack:
        if not in_background:
            stack.enter_context(kept_generators())
        player, own_step = _player(network, name, device, greedy, stack)
        if isinstance(opponents, Mapping):
            others = {key: as_player(one, key) for key, one in opponents.items()}
        else:
            others = dict(make_opponents(opponents, device=device, greedy=greedy))
            for one in others.values():
                stack.callback(one.close)
        if not others:
            raise ValueError("opponents: expected at least one, got none")
        steps = own_step if step is None else step
        match = functools.partial(
            _match,
            player,
            name,
            games=games,
            batch=batch or games,
            records=records,
            enough=enough,
            device=device,
            seed=seed,
            max_plies=max_plies,
            openings=begins,
            event=f"evaluation after {steps:,} plies" if steps else "evaluation",
            cancelled=cancelled,
        )
        start = time.perf_counter()
        results = tuple(match(one, key) for key, one in others.items())
        selves = tuple(match(one, key) for key, one in (earlier or {}).items())
        seconds = time.perf_counter() - start
    result = EvaluationResult(steps, seconds, results, selves)
    if log_file is not None:
        append_result(Path(log_file), result)
    return result


def _player(
    network: ActorCriticProtocol | Player | str | Path,
    name: str,
    device: torch.device | str,
    greedy: bool,
    stack: contextlib.ExitStack,
) -> tuple[Player, int]:
    """The player of ``network``, and the plies that it has learned from."""
    if isinstance(network, Player):
        player = network
    elif isinstance(network, str | Path):
        player = make_player(str(network), device=device, greedy=greedy)
        stack.callback(player.close)
    else:
        player = NetworkPlayer(network, greedy=greedy)
    return player, player.step if isinstance(player, NetworkPlayer) else 0


def _match(
    player: Player,
    name: str,
    other: Player,
    other_name: str,
    *,
    games: int,
    batch: int,
    records: int | None,
    enough: Stop,
    **settings: Any,
) -> OpponentResult:
    """A match in batches, each of an even number of games unless it is the last."""
    batch += batch % 2
    result: MatchResult | None = None
    for first in range(0, games, batch):
        left = None if records is None else max(0, records - first)
        part = play_match(
            player,
            other,
            games=min(batch, games - first),
            names=(name, other_name),
            first_game=first,
            records=left,
            **settings,
        )
        result = part if result is None else result.plus(part)
        if enough(result):
            break
    assert result is not None
    return OpponentResult(other_name, result)


def append_result(path: Path, result: EvaluationResult) -> None:
    """Adds one JSON line to an evaluation log."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result.to_json()) + "\n")


def forget_results_after(path: Path, step: int) -> None:
    """Drops what a run that died wrote to its evaluation log past the step it goes on from."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and _step_of(line) <= step]
    if kept != lines:
        with replacing(path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # torn: it goes
