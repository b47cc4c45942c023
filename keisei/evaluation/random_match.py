"""A match of a network against uniformly random play, all games at once.

``python -m keisei.evaluation.random_match model.ckpt``
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from keisei import ops
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.model_file import CheckpointError, load_model
from keisei.envs import ShogiVectorEnv

_log = logging.getLogger(__name__)


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


@torch.no_grad()
def play_against_uniform(
    network: ActorCriticProtocol,
    *,
    games: int = 1000,
    device: torch.device | str = "cpu",
    greedy: bool = True,
    seed: int = 0,
    max_plies: int = 512,
) -> MatchResult:
    """Plays ``games`` games at once from the usual start position, colours alternating by game.

    The network, in float32 on ``device``, plays its most probable legal move, or with
    ``greedy=False`` samples from its policy; the opponent draws uniformly from its legal moves.
    """
    env = ShogiVectorEnv(games, device, max_plies=max_plies, seed=seed, check_actions=False)
    network.eval()
    plays_white = torch.arange(games, device=env.device) % 2 == 1
    result = torch.zeros(games, dtype=torch.float32, device=env.device)
    ending = torch.zeros(games, dtype=torch.uint8, device=env.device)
    length = torch.zeros(games, dtype=torch.int32, device=env.device)
    while not bool((ending != ops.NOT_ENDED).all()):
        logits, _ = network(env.planes(channels_last=True))
        own = (env.turn == 1) == plays_white
        chosen, _, _ = env.sample(logits, greedy=greedy)
        step = env.step(torch.where(own, chosen, env.sample_uniform()))
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


def main(argv: list[str] | None = None) -> int:
    """The command; writes the result as one JSON line to stdout and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m keisei.evaluation.random_match", description=__doc__
    )
    parser.add_argument("checkpoint", type=Path, help="a model.ckpt, a checkpoint or run folder")
    parser.add_argument("--games", type=int, default=1000)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sample", action="store_true", help="sample moves instead of the best")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-plies", type=int, default=512)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        model = load_model(args.checkpoint)
        result = play_against_uniform(
            model.network(args.device),
            games=args.games,
            device=args.device,
            greedy=not args.sample,
            seed=args.seed,
            max_plies=args.max_plies,
        )
    except (CheckpointError, ValueError, RuntimeError) as error:
        _log.error("random_match: %s", error)
        return 1
    sys.stdout.write(json.dumps(asdict(result) | {"win_rate": result.win_rate}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
