"""Updates with ``training.deterministic``; after each one prints the sum of what they changed.

Usage: deterministic_run.py DEVICE UPDATES. On CUDA with fused kernels, bfloat16 and graphs.
"""

from __future__ import annotations

import hashlib
import sys

import torch

from keisei.config_schema import ModelConfig, TrainingConfig
from keisei.core.determinism import require_determinism
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.network import build_network
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.rollout import Collector

device, updates = torch.device(sys.argv[1]), int(sys.argv[2])
on_cuda = device.type == "cuda"
require_determinism(device)
config = TrainingConfig(
    batch_size=512 if on_cuda else 60,
    precision="bfloat16" if on_cuda else "float32",
    compile=on_cuda,
    learning_rate=1e-3,
    target_kl=None,
    mirror=True,
    ema_decay=0.99,
    deterministic=True,
)
torch.manual_seed(1)
network = build_network(ModelConfig(tower_depth=3, tower_width=64 if on_cuda else 16))
network.to(device)
agent = PPOAgent(network, config, device)
if on_cuda:
    agent.compile_network()
games = 256 if on_cuda else 16
env = ShogiVectorEnv(games, device, max_plies=40, seed=2, check_actions=False)
buffer = ExperienceBuffer(16, games, device)
collector = Collector(env, agent, buffer)
shuffle = torch.Generator(device).manual_seed(3)
for _ in range(updates):
    collector.start()
    env.raise_errors()
    metrics = agent.learn(buffer, shuffle)
    assert metrics["gradient_steps"] > 0 and metrics["skipped_updates"] == 0, metrics
    total = hashlib.sha256()
    for state in (agent.network_tensors(), agent.training_tensors(), env.state_dict()):
        for name, tensor in sorted(state.items()):
            total.update(name.encode())
            total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    sys.stdout.write(f"{total.hexdigest()}\n")
