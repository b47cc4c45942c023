"""Three iterations of playing and learning; the figures and weights go to FOLDER/RANK.pt.

Usage: learning.py FOLDER SHUFFLE_BLOCKS DEVICE [mirror]. With one rank, too.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path

import torch

from keisei.config_schema import ModelConfig, TrainingConfig
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.network import build_network
from keisei.core.ppo_agent import PPOAgent
from keisei.core.ranks import join_ranks
from keisei.envs import ShogiVectorEnv
from keisei.training.rollout import Collector, rollout_counts, rollout_values

GAMES, PLIES, ITERATIONS = 64, 16, 3
STEPS = 6

folder, blocks, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.use_deterministic_algorithms(True, warn_only=True)
device = torch.device(kind)
if kind == "cuda":
    device = torch.device(kind, int(os.environ["LOCAL_RANK"]))
ranks = join_ranks("auto", device, timeout_seconds=60)
torch.backends.cudnn.allow_tf32 = False
config = TrainingConfig(
    batch_size=128,
    precision="float32",
    compile=False,
    learning_rate=1e-3,
    target_kl=0.001,
    mirror=sys.argv[4:] == ["mirror"],
    ema_decay=0.9,
)
torch.manual_seed(5)
network = build_network(ModelConfig(tower_depth=2, tower_width=16))
network.to(device)
agent = PPOAgent(network, config, device, ranks)
games = GAMES // ranks.world_size
# A short move limit, so that ranks have different numbers of valid rows.
env = ShogiVectorEnv(
    games, device, max_plies=6, seed=3, first_game=ranks.rank * games, check_actions=False
)
# Positions shortly before a mate: results come early and differ.
stored = Path(__file__).parents[1] / "data" / "learning_run.json"
env.reset(json.loads(stored.read_text())["starts"])
buffer = ExperienceBuffer(PLIES, games, device, ranks=ranks, shuffle_blocks=blocks)
collector = Collector(env, agent, buffer)
shuffle = torch.Generator(device).manual_seed(1)
figures: list[dict[str, float]] = []
gradients: list[torch.Tensor] = []


def note_gradient() -> None:
    """Keeps the gradients of the first steps, as all ranks had them together."""
    found = [p.grad.flatten().cpu() for p in network.parameters() if p.grad is not None]
    if found and len(gradients) < STEPS:
        gradients.append(torch.cat(found))


for _ in range(ITERATIONS):
    collector.start()
    env.raise_errors()
    counts = rollout_counts(buffer, ranks)
    if not figures:
        positions = env.positions.cpu()
    learned = agent.learn(buffer, shuffle, note_gradient)
    figures.append(counts | learned | rollout_values(buffer, ranks))
torch.save(
    {
        "figures": figures,
        "weights": {name: p.detach().cpu() for name, p in network.named_parameters()}
        | {f"averaged.{name}": p.cpu() for name, p in agent.averaged_state_dict().items()},
        "shuffle": shuffle.get_state(),
        "gradients": gradients,
        "positions": positions,
    },
    folder / f"{ranks.rank}.pt",
)
if ranks.world_size > 1:
    # NCCL waits for the recorded graphs that use it to be gone.
    del collector, agent
    gc.collect()
    torch.distributed.destroy_process_group()
