"""PPO's loss in plain torch: what ``ops.ppo_loss`` is tested and measured against."""

from __future__ import annotations

import torch
from torch import Tensor

from keisei.ops import PPOLoss


def masked_log_softmax(logits: Tensor, legal: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities over legal labels only, and their entropy.

    logits [B, L] of any float dtype, legal bool [B, L] with at least one True a row ->
    (float32 or wider [B, L] with 0 in place of the minus infinity of an illegal label, [B]).
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    masked = wide.masked_fill(~legal, -torch.inf)
    # The zeros keep minus infinity out of products whose gradient would be 0 * inf.
    log_probs = torch.log_softmax(masked, dim=1).masked_fill(~legal, 0.0)
    entropy = -(log_probs.exp() * log_probs).sum(dim=1)
    return log_probs, entropy


def plain_ppo_loss(
    logits: Tensor,
    values: Tensor,
    legal: Tensor,
    actions: Tensor,
    log_probs: Tensor,
    old_values: Tensor,
    advantages: Tensor,
    returns: Tensor,
    valid: Tensor,
    *,
    clip_range: float = 0.2,
    value_clip: float | None = None,
    value_coefficient: float = 0.5,
    entropy_coefficient: float = 0.01,
) -> PPOLoss:
    """``ops.ppo_loss`` with the legal labels as bool [B, 2187]; each row needs a legal label."""
    weight = valid.to(values.dtype)
    weight = weight / weight.sum().clamp(min=1.0)

    def mean(x: Tensor) -> Tensor:
        return (x * weight).sum()

    all_log_probs, entropy = masked_log_softmax(logits, legal)
    chosen = all_log_probs.gather(1, actions[:, None]).squeeze(1)
    log_ratio = torch.where(valid, chosen - log_probs, 0.0)
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    policy = -mean(torch.minimum(ratio * advantages, clipped * advantages))

    value_error = (values - returns).square()
    if value_clip is not None:
        near = old_values + (values - old_values).clamp(-value_clip, value_clip)
        value_error = torch.maximum(value_error, (near - returns).square())
    value = mean(value_error)

    bonus = mean(entropy)
    total = policy + value_coefficient * value - entropy_coefficient * bonus
    return PPOLoss(
        total=total,
        policy=policy.detach(),
        value=value.detach(),
        entropy=bonus.detach(),
        approx_kl=mean(ratio - 1.0 - log_ratio).detach(),
        clip_fraction=mean(((ratio - 1.0).abs() > clip_range).to(values.dtype)).detach(),
    )
