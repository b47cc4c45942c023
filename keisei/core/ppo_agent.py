"""The learner: proximal policy optimisation over legal moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from keisei import ops
from keisei.config_schema import TrainingConfig
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.captured import Captured
from keisei.core.experience_buffer import ExperienceBuffer, Minibatch
from keisei.core.gradient_sum import GradientSum
from keisei.core.network import ResNet
from keisei.core.ranks import SINGLE, Ranks
from keisei.core.working_network import PlainNetwork, WorkingNetwork

_ADAM_BETAS = (0.9, 0.999)
_ADAM_EPSILON = 1e-5
_METRICS = (
    "loss",
    "policy_loss",
    "value_loss",
    "entropy",
    "approx_kl",
    "clip_fraction",
    "gradient_norm",
)
# How many minibatches the host is ahead of the one that it looks at: enough that the device never
# waits for it, few enough that little is started in vain after the last step.
_LOOK_BACK = 2


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

    ``model`` must be on ``device`` already; ``config`` must be resolved (nothing ``auto``). With
    several ``ranks`` each learns from its share of every minibatch, and all take the same step.
    """

    def __init__(
        self,
        model: ActorCriticProtocol,
        config: TrainingConfig,
        device: torch.device,
        ranks: Ranks = SINGLE,
    ) -> None:
        if (
            config.precision == "auto"
            or config.compile == "auto"
            or isinstance(config.batch_size, str)
        ):
            raise ValueError("PPOAgent: training: expected a resolved configuration, got 'auto'")
        self.model = model
        self.config = config
        self.device = device
        self.ranks = ranks
        self.batch_size = config.batch_size
        self._dtype = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
        self.network: WorkingNetwork = PlainNetwork(model, device, self._dtype)
        self._named = dict(model.named_parameters())
        self._gradient_sum = GradientSum(ranks, list(self._named.values()))
        decayed = [p for p in self._named.values() if p.ndim > 1]
        others = [p for p in self._named.values() if p.ndim <= 1]
        # The host never waits for the device: the device itself decides whether to take a step,
        # which the fused optimiser can.
        self._ahead = device.type == "cuda"
        rate = config.learning_rate
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=torch.tensor(rate, device=device) if self._ahead else rate,
            betas=_ADAM_BETAS,
            eps=_ADAM_EPSILON,
            fused=self._ahead,
            capturable=self._ahead,
        )
        # Of the update that goes on: 1 once no more steps are to be taken and the KL that said so,
        # the steps taken, the sums of their metrics.
        self._stop = torch.zeros((), device=device)
        self._last_kl = torch.zeros((), device=device)
        self._taken = torch.zeros((), device=device)
        self._sums = torch.zeros(len(_METRICS), device=device)
        self._buffer: ExperienceBuffer | None = None
        self._rows = torch.zeros(0, dtype=torch.int64, device=device)
        self._step = Captured("the learning step", device, self._learn_from_rows)
        self._changes = 0

    def compile_network(self) -> None:
        """From now on the network runs fused or compiled; its next calls take longer, once.

        Raises RuntimeError where the kernels need Triton and there is none.
        """
        if self.device.type == "cuda" and isinstance(self.model, ResNet):
            try:
                from keisei.core.fused import FusedResNet  # Triton is there on CUDA only
            except ImportError as error:
                raise RuntimeError(f"training.compile: expected Triton, got {error}") from error
            self.network = FusedResNet(self.model, self._dtype)
        elif isinstance(self.network, PlainNetwork):
            self.network.compile()
        self._changes += 1

    @property
    def changes(self) -> int:
        """How often something was replaced, after which no recorded work holds."""
        return self._changes

    def evaluate(self, positions: Tensor, *, refresh: bool = True) -> tuple[Tensor, Tensor]:
        """Packed positions int32 [N, 17] -> (logits [N, 2187] in the working dtype, values [N]).

        Without ``refresh`` with the weights of the last call that had it: they have not changed.
        """
        if refresh:
            self.network.refresh()
        return self.network(self.planes(positions))

    def planes(self, positions: Tensor) -> Tensor:
        """What the working network takes, from packed positions int32 [N, 17]."""
        return ops.planes(positions, self._dtype, channels_last=True, padded=self.network.padded)

    def learn(self, buffer: ExperienceBuffer, generator: torch.Generator) -> dict[str, float]:
        """Several passes over a rollout with its advantages; returns the means of the metrics.

        Stops early, before the step that would be one too many, once a minibatch's approximate KL
        passes ``target_kl``. ``gradient_steps`` says how many were taken. On CUDA nothing waits for
        a minibatch before the next one is started: steps after the last one change nothing, and
        soon no more are started. Raises TrainingDivergedError when the loss is not finite.
        """
        self.model.train()
        for tensor in (self._stop, self._last_kl, self._taken, self._sums):
            tensor.zero_()
        self._buffer = buffer
        for _ in range(self.config.ppo_epochs):
            pieces = buffer.shuffled_rows(self.batch_size, generator)
            if (self._run_ahead if self._ahead else self._run)(pieces):
                break
        figures = torch.cat((torch.stack((self._stop, self._last_kl, self._taken)), self._sums))
        stop, last_kl, taken, *sums = figures.tolist()
        if not math.isfinite(last_kl):
            raise TrainingDivergedError(
                f"PPO: expected a finite KL, got {last_kl} in gradient step {int(taken)}"
            )
        metrics = dict(zip(_METRICS, sums, strict=True)) if taken else {}
        for name in metrics:
            metrics[name] /= taken
            if not math.isfinite(metrics[name]):
                raise TrainingDivergedError(
                    f"PPO: {name}: expected a finite number, got {metrics[name]}"
                )
        metrics["gradient_steps"] = taken
        metrics["kl_stop"] = stop
        return metrics

    def _run(self, pieces: Sequence[Tensor]) -> bool:
        """Learns from each piece until a step is not to be taken; returns whether there was one."""
        for rows in pieces:
            self._rows = rows
            self._learn_from_rows()
            if self._stop:
                return True
        return False

    def _run_ahead(self, pieces: Sequence[Tensor]) -> bool:
        """As ``_run``, but looks back at a minibatch only when later ones are under way."""
        longest = max(len(rows) for rows in pieces)
        if len(self._rows) != longest:
            self._rows = torch.empty(longest, dtype=torch.int64, device=self.device)
        flags = torch.zeros(len(pieces) + 1, pin_memory=True)
        done: list[torch.cuda.Event] = []
        for number, rows in enumerate(pieces):
            if number >= _LOOK_BACK:
                done[number - _LOOK_BACK].synchronize()
                if flags[number - _LOOK_BACK]:
                    return True
            self._rows[: len(rows)].copy_(rows)
            self._rows[len(rows) :].fill_(-1)
            self._step((self._changes, self._rows.data_ptr(), id(self._buffer)))
            flags[number].copy_(self._stop, non_blocking=True)
            done.append(torch.cuda.Event())  # type: ignore[no-untyped-call]
            done[-1].record()
        return False

    def _learn_from_rows(self) -> None:
        """One minibatch: judge it, and take a gradient step unless this update has stopped."""
        assert self._buffer is not None
        batch = self._buffer.gather(self._rows)
        mask = ops.legal_mask(batch.positions)
        logits, values = self.evaluate(batch.positions)
        loss = ppo_loss(logits, values, mask, batch, self.config)
        terms = torch.stack((loss.total.detach(), *loss[1:]))
        share = self._share_terms(terms, batch.valid)
        kl = terms[_METRICS.index("approx_kl")]

        going_on = 1.0 - self._stop
        self._last_kl.copy_(torch.where(going_on > 0, kl, self._last_kl))
        limit = math.inf if self.config.target_kl is None else self.config.target_kl
        good = self._last_kl.isfinite() & (self._last_kl <= limit)
        self._stop.copy_(torch.maximum(self._stop, 1.0 - good.float()))
        if not self._ahead and self._stop:
            return

        gradients = self._gradient_sum(self.network.gradients([loss.total]), share)
        for parameter, gradient in zip(self._named.values(), gradients, strict=True):
            parameter.grad = gradient
        norm = self.clip_and_step()
        self._sums.add_(torch.where(self._stop > 0, 0.0, torch.cat((terms, norm[None]))))
        self._taken.add_(1.0 - self._stop)

    def _share_terms(self, terms: Tensor, valid: Tensor) -> Tensor | None:
        """Makes a loss's terms, [6], of this rank's rows those of all rows of the minibatch.

        Returns this rank's share of the valid rows; None where there is one rank.
        """
        if self.ranks.world_size == 1:
            return None
        count = valid.sum(dtype=terms.dtype)
        sums = self.ranks.sum_(torch.cat((terms * count, count[None])))
        everyone = sums[-1].clamp(min=1.0)
        terms.copy_(sums[:-1] / everyone)
        return count / everyone

    def clip_and_step(self) -> Tensor:
        """Scales the gradients down to ``max_grad_norm`` and takes the step; returns their norm.

        On CUDA an update that has stopped takes none.
        """
        gradients = [p.grad for p in self._named.values() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=self._ahead)
        if self._ahead:
            # As clip_grads_with_norm_ has it, in the optimiser's own pass over the gradients.
            scale = (norm + 1e-6) / self.config.max_grad_norm
            self.optimizer.grad_scale = scale.clamp(min=1.0)  # type: ignore[attr-defined]
            self.optimizer.found_inf = self._stop  # type: ignore[attr-defined]
        else:
            parameters = list(self._named.values())
            torch.nn.utils.clip_grads_with_norm_(parameters, self.config.max_grad_norm, norm)
        self.optimizer.step()
        return norm

    def set_learning_rate(self, learning_rate: float) -> None:
        """The step size from now on."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(learning_rate)
            else:
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
            state["step"] = step.to(self.device) if self._ahead else step
            self.optimizer.state[parameter] = state
        self._changes += 1
