"""Plain torch forms of the learning kernels: what they are compared with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from keisei import ops
from keisei.core.ppo_loss import masked_log_softmax

Body = Callable[..., Tensor]


def gae_step(
    value: Tensor,
    next_value: Tensor,
    reward: Tensor,
    ending: Tensor,
    valid: Tensor,
    later: Tensor,
    sign: float,
    gamma: float,
    lam: float,
) -> Tensor:
    """One step of the recursion, all tensors [N]; ``later`` is the next step's result."""
    going = ending == ops.NOT_ENDED
    worth = going | (ending == ops.MOVE_LIMIT)
    delta = reward + sign * gamma * torch.where(worth, next_value, 0.0) - value
    chained = delta + sign * gamma * lam * torch.where(going, later, 0.0)
    return torch.where(valid, chained, 0.0)


def gae(
    values: Tensor,
    rewards: Tensor,
    ending: Tensor,
    valid: Tensor,
    gamma: float,
    lam: float,
    form: ops.GaeForm,
    body: Body = gae_step,
) -> tuple[Tensor, Tensor]:
    """``ops.gae`` for ``zero_sum`` and ``single`` as a loop over time; ``body`` may be compiled."""
    sign = -1.0 if form == "zero_sum" else 1.0
    advantages = torch.empty_like(rewards)
    later = torch.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        row = (values[t], values[t + 1], rewards[t], ending[t], valid[t])
        later = body(*row, later, sign, gamma, lam)
        advantages[t] = later
    return advantages, advantages + values[:-1]


def gae_doubling(
    values: Tensor,
    rewards: Tensor,
    ending: Tensor,
    valid: Tensor,
    gamma: float,
    lam: float,
    form: ops.GaeForm,
) -> tuple[Tensor, Tensor]:
    """The same without a loop over time: affine steps joined over 1, 2, 4, ... rows."""
    sign = -1.0 if form == "zero_sum" else 1.0
    going = ending == ops.NOT_ENDED
    worth = going | (ending == ops.MOVE_LIMIT)
    delta = rewards + sign * gamma * torch.where(worth, values[1:], 0.0) - values[:-1]
    base = torch.where(valid, delta, 0.0)
    link = torch.where(valid & going, sign * gamma * lam, 0.0)
    reach = 1
    while reach < len(rewards):
        later = (0, 0, 0, reach)
        base = base + link * torch.nn.functional.pad(base[reach:], later)
        link = link * torch.nn.functional.pad(link[reach:], later)
        reach *= 2
    return base, torch.where(valid, base + values[:-1], 0.0)


def masked_sample(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What ``ops.masked_sample`` does, with torch's own noise: action, log-probability, entropy."""
    legal = unpack(mask)
    log_probs, entropy = masked_log_softmax(logits, legal)
    noise = -torch.empty_like(log_probs).exponential_().log()
    action = torch.where(legal, log_probs + noise, -torch.inf).argmax(1)
    return action, log_probs.gather(1, action[:, None]).squeeze(1), entropy


def unpack(mask: Tensor) -> Tensor:
    """Packed masks int32 [N, 81] as bool [N, 2187]."""
    bits = torch.arange(27, device=mask.device, dtype=torch.int32)
    return ((mask[:, :, None] >> bits) & 1).bool().flatten(1)
