"""The learner: proximal policy optimisation over legal moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from keisei import ops
from keisei.config_schema import TrainingConfig
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.experience_buffer import ExperienceBuffer, Minibatch

_ADAM_BETAS = (0.9, 0.999)
_ADAM_EPSILON = 1e-5


class TrainingDivergedError(RuntimeError):
    """A loss or a gradient is no longer a finite number."""


def ppo_loss(
    logits: Tensor, values: Tensor, mask: Tensor, batch: Minibatch, config: TrainingConfig
) -> ops.PPOLoss:
    """PPO's loss of a minibatch of B rows; rows that are not valid have no part in it.

    logits [B, 2187], values float32 [B], mask int32 [B, 81]: packed legal masks.
    """
    return ops.ppo_loss(
        logits,
        values,
        mask,
        batch.actions,
        batch.log_probs,
        batch.values,
        batch.advantages,
        batch.returns,
        batch.valid,
        clip_range=config.clip_range,
        value_clip=config.value_clip,
        value_coefficient=config.value_coefficient,
        entropy_coefficient=config.entropy_coefficient,
    )


class PPOAgent:
    """A network, its optimiser, and the arithmetic both run in.

    ``model`` must be on ``device`` already; ``config`` must be resolved (nothing ``auto``).
    """

    def __init__(
        self, model: ActorCriticProtocol, config: TrainingConfig, device: torch.device
    ) -> None:
        if config.precision == "auto" or config.compile == "auto" or config.batch_size == "auto":
            raise ValueError("PPOAgent: training: expected a resolved configuration, got 'auto'")
        self.model = model
        self.config = config
        self.device = device
        self.batch_size = config.batch_size
        self._dtype = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
        self._network: Callable[[Tensor], tuple[Tensor, Tensor]] = model
        self._named = dict(model.named_parameters())
        decayed = [p for p in self._named.values() if p.ndim > 1]
        others = [p for p in self._named.values() if p.ndim <= 1]
        self._fused = device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=_ADAM_BETAS,
            eps=_ADAM_EPSILON,
            fused=self._fused,
        )

    def compile_network(self) -> None:
        """From now on the network runs compiled; the next call of each batch size takes longer."""
        # One program per batch size: collecting and learning have one size each.
        self._network = torch.compile(self.model, dynamic=False)

    def evaluate(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Packed positions int32 [N, 17] -> (logits [N, 2187] in the working dtype, values [N])."""
        planes = ops.planes(positions, self._dtype, channels_last=True)
        enabled = self._dtype != torch.float32
        with torch.autocast(self.device.type, dtype=self._dtype, enabled=enabled):
            logits, values = self._network(planes)
        return logits, values.float()

    def learn(self, buffer: ExperienceBuffer, generator: torch.Generator) -> dict[str, float]:
        """Several passes over a rollout with its advantages; returns the means of the metrics.

        Stops early, before the step that would be one too many, once a minibatch's approximate KL
        passes ``target_kl``. Raises TrainingDivergedError when the loss is not finite.
        """
        self.model.train()
        parameters = list(self._named.values())
        steps: list[Tensor] = []
        stopped = False
        for _ in range(self.config.ppo_epochs):
            for batch in buffer.minibatches(self.batch_size, generator):
                mask = ops.legal_mask(batch.positions)
                logits, values = self.evaluate(batch.positions)
                loss = ppo_loss(logits, values, mask, batch, self.config)
                approx_kl = loss.approx_kl.item()
                if not math.isfinite(approx_kl):
                    raise TrainingDivergedError(
                        f"PPO: expected a finite KL, got {approx_kl} in gradient step {len(steps)}"
                    )
                if self.config.target_kl is not None and approx_kl > self.config.target_kl:
                    stopped = True
                    break
                self.optimizer.zero_grad(set_to_none=True)
                loss.total.backward()  # type: ignore[no-untyped-call]
                norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm)
                self.optimizer.step()
                steps.append(
                    torch.stack(
                        (
                            loss.total.detach(),
                            loss.policy,
                            loss.value,
                            loss.entropy,
                            loss.approx_kl,
                            loss.clip_fraction,
                            norm,
                        )
                    )
                )
            if stopped:
                break
        names = (
            "loss",
            "policy_loss",
            "value_loss",
            "entropy",
            "approx_kl",
            "clip_fraction",
            "gradient_norm",
        )
        metrics: dict[str, float] = {}
        if steps:
            metrics = dict(zip(names, torch.stack(steps).mean(dim=0).tolist(), strict=True))
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise TrainingDivergedError(f"PPO: {name}: expected a finite number, got {value}")
        metrics["gradient_steps"] = float(len(steps))
        metrics["kl_stop"] = float(stopped)
        return metrics

    def set_learning_rate(self, learning_rate: float) -> None:
        """The step size from now on."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """The optimiser's moments and step counts, named after their parameters."""
        return {
            f"optimizer.{key}.{name}": value
            for name, parameter in self._named.items()
            for key, value in self.optimizer.state.get(parameter, {}).items()
        }

    def load_optimizer_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Takes what ``optimizer_tensors`` gave; KeyError if one is missing.

        Moments take their parameter's memory format, which the fused optimiser asks for.
        """
        for name, parameter in self._named.items():
            state: dict[str, Any] = {}
            for key in ("exp_avg", "exp_avg_sq"):
                state[key] = torch.empty_like(parameter).copy_(tensors[f"optimizer.{key}.{name}"])
            step = tensors[f"optimizer.step.{name}"].clone()
            state["step"] = step.to(self.device) if self._fused else step
            self.optimizer.state[parameter] = state
