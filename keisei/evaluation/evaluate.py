"""One whole evaluation: a network against each of several opponents."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.model_file import load_model
from keisei.evaluation.match import MatchResult, play_match
from keisei.evaluation.opponents import RANDOM, Opponent, make_opponents
from keisei.utils.files import replacing
from keisei.utils.generators import kept_generators


@dataclass(frozen=True)
class OpponentResult:
    """How the network fared against one opponent."""

    opponent: str
    result: MatchResult


@dataclass(frozen=True)
class EvaluationResult:
    """What one evaluation found."""

    step: int
    """plies the network had learned from"""
    seconds: float
    """wall time it took"""
    results: tuple[OpponentResult, ...]
    """in the order of the opponents"""

    @property
    def games(self) -> int:
        """All games."""
        return sum(one.result.games for one in self.results)

    @property
    def win_rate(self) -> float:
        """Games won out of all games, whoever the opponent was."""
        won = sum(one.result.black_wins + one.result.white_wins for one in self.results)
        return won / self.games

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the evaluation log has them."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "win_rate": self.win_rate,
            "opponents": {
                one.opponent: asdict(one.result) | {"win_rate": one.result.win_rate}
                for one in self.results
            },
        }


def execute_full_evaluation_run(
    network: ActorCriticProtocol | str | Path,
    *,
    opponents: Sequence[str] | Mapping[str, Opponent] = (RANDOM,),
    games: int = 100,
    device: torch.device | str = "cpu",
    greedy: bool = True,
    seed: int = 0,
    max_plies: int = 512,
    step: int | None = None,
    log_file: str | Path | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    in_background: bool = False,
) -> EvaluationResult:
    """Plays ``games`` games against each opponent, all at once, colours alternating.

    Nothing of a training run is disturbed: the network's mode and weights stay, and so do the
    random generators of Python, NumPy and torch, whatever a plugin draws.

    Args:
        network: On ``device``, or a ``model.ckpt``, checkpoint folder or run folder.
        opponents: Names (see ``make_opponents``), or opponents by name.
        games: Against each opponent.
        device: Where the games and the network are.
        greedy: Play the most probable move; False: draw from the policy.
        seed: Of all draws.
        max_plies: Where a game is cut off, undecided.
        step: Plies the network has learned from; None: the file's, else 0.
        log_file: One JSON line is appended to it.
        cancelled: Asked before each ply; MatchCancelledError once it is true.
        in_background: Other threads go on meanwhile: the generators, which they share, are left
            alone; keisei itself draws nothing from them here.

    Raises:
        CheckpointError: The file cannot be used.
        PluginError: An opponent cannot be built, or failed.
        ValueError: A number does not fit.
    """
    if games < 1:
        raise ValueError(f"games: expected at least 1, got {games}")
    with contextlib.ExitStack() as stack:
        if not in_background:
            stack.enter_context(kept_generators())
        if isinstance(network, str | Path):
            model = load_model(network)
            network, own_step = model.network(device), int(model.manifest["step"])
        else:
            own_step = 0
        stack.enter_context(_playing(network))
        players = opponents if isinstance(opponents, Mapping) else make_opponents(opponents)
        if not players:
            raise ValueError("opponents: expected at least one, got none")
        start = time.perf_counter()
        results = tuple(
            OpponentResult(
                name,
                play_match(
                    network,
                    opponent,
                    games=games,
                    device=device,
                    greedy=greedy,
                    seed=seed,
                    max_plies=max_plies,
                    name=name,
                    cancelled=cancelled,
                ),
            )
            for name, opponent in players.items()
        )
        seconds = time.perf_counter() - start
    result = EvaluationResult(own_step if step is None else step, seconds, results)
    if log_file is not None:
        append_result(Path(log_file), result)
    return result


@contextlib.contextmanager
def _playing(network: ActorCriticProtocol) -> Iterator[None]:
    """In eval(); afterwards each part in the mode it had."""
    parts = list(network.modules()) if isinstance(network, nn.Module) else []
    modes = [part.training for part in parts]
    network.eval()
    try:
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


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
