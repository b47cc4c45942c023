"""A match of a network against uniformly random play, all games at once.

``python -m keisei.evaluation.random_match model.ckpt``
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.model_file import CheckpointError, load_model
from keisei.evaluation.match import MatchResult, play_match
from keisei.evaluation.opponents import UniformOpponent

_log = logging.getLogger(__name__)


def play_against_uniform(
    network: ActorCriticProtocol,
    *,
    games: int = 1000,
    device: torch.device | str = "cpu",
    greedy: bool = True,
    seed: int = 0,
    max_plies: int = 512,
) -> MatchResult:
    """Plays ``games`` games against uniformly drawn moves: see ``play_match``.

    The network is left in eval().
    """
    network.eval()
    return play_match(
        network,
        UniformOpponent(),
        games=games,
        device=device,
        greedy=greedy,
        seed=seed,
        max_plies=max_plies,
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
