"""Two ranks of which one meets a number that is not finite; what came goes to FOLDER/RANK.json."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from agents import bits, decide_on_the_device

from keisei.config_schema import ModelConfig, TrainingConfig
from keisei.core.divergence import TrainingDivergedError
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.network import build_network
from keisei.core.ppo_agent import PPOAgent
from keisei.core.ranks import join_ranks
from keisei.envs import ShogiVectorEnv
from keisei.training.rollout import collect

CPU = torch.device("cpu")
GAMES = 8


def sum_of(agent: PPOAgent) -> str:
    """Of everything that a step changes."""
    total = hashlib.sha256()
    for tensor in bits(agent).values():
        total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()


folder = Path(sys.argv[1])
ranks = join_ranks("auto", CPU, timeout_seconds=60)
seen: dict[str, list[object]] = {}
for way in ("cpu", "device"):
    config = TrainingConfig(
        batch_size=64,
        precision="float32",
        compile=False,
        target_kl=None,
        normalize_advantages=False,
        ppo_epochs=1,
        ema_decay=0.9,
        max_skipped_updates=7,
    )
    torch.manual_seed(5)
    network = build_network(ModelConfig(tower_depth=1, tower_width=8))
    agent = PPOAgent(network, config, CPU, ranks)
    if way == "device":
        decide_on_the_device(agent)
    env = ShogiVectorEnv(
        GAMES, max_plies=6, seed=3, first_game=ranks.rank * GAMES, check_actions=False
    )
    buffer = ExperienceBuffer(16, GAMES, CPU, ranks=ranks)
    shuffle = torch.Generator().manual_seed(1)

    seen[way] = []
    collect(env, agent, buffer)
    seen[way].append(agent.learn(buffer, shuffle)["skipped_updates"])
    seen[way].append(sum_of(agent))
    # A number of one rank's rollout.
    collect(env, agent, buffer)
    if ranks.rank == 1:
        buffer.log_probs[buffer.valid.nonzero()[0].unbind()] = math.nan
    buffer.compute_advantages(torch.zeros(GAMES), gamma=1.0, gae_lambda=0.95, normalize=False)
    seen[way].append(agent.learn(buffer, shuffle)["skipped_updates"])
    seen[way].append(sum_of(agent))
    # Every minibatch of one rank.
    collect(env, agent, buffer)
    if ranks.rank == 0:
        buffer.advantages.fill_(math.inf)
    seen[way].append(agent.learn(buffer, shuffle)["skipped_updates"])
    seen[way].append(sum_of(agent))
    try:
        agent.learn(buffer, shuffle)
    except TrainingDivergedError as error:
        seen[way].append(error.diagnosis.in_a_row)
    seen[way].append(sum_of(agent))
ranks.barrier()
(folder / f"{ranks.rank}.json").write_text(json.dumps(seen))
