"""The learner: proximal policy optimisation over legal moves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from keisei import ops
from keisei.config_schema import TrainingConfig
from keisei.core.actor_critic_protocol import ActorCriticProtocol
from keisei.core.captured import Captured
from keisei.core.divergence import FiniteGuard, TrainingDivergedError
from keisei.core.ema import WeightAverage
from keisei.core.experience_buffer import ExperienceBuffer, Minibatch
from keisei.core.gradient_sum import GradientSum
from keisei.core.network import ResNet
from keisei.core.ranks import SINGLE, Ranks
from keisei.core.working_network import PlainNetwork, WorkingNetwork, laid_out_as, lay_out

_ADAM_BETAS = (0.9, 0.999)
_ADAM_EPSILON = 1e-5
# What a minibatch is judged by, and the means of which are an update's metrics; but for "logits",
# which is 0, or nan where one of them is not finite.
_FIGURES = (
    "loss",
    "policy_loss",
    "value_loss",
    "entropy",
    "approx_kl",
    "clip_fraction",
    "logits",
    "gradient_norm",
)
_OF = (*("loss",) * 6, "logits", "gradient")  # what each is a figure of
# How many minibatches the host is ahead of the one that it looks at: enough that the device never
# waits for it, few enough that little is started in vain after the last step.
_LOOK_BACK = 2


_log = logging.getLogger(__name__)


def ppo_loss(
    logits: Tensor,
    values: Tensor,
    mask: Tensor,
    batch: Minibatch,
    config: TrainingConfig,
    entropy_coefficient: Tensor | None = None,
) -> ops.PPOLoss:
    """PPO's loss of a minibatch of B rows; rows that are not valid have no part in it.

    logits [B, 2187], values float32 [B], mask int32 [B, 81]: packed legal masks. The entropy's
    weight is ``config``'s unless a scalar on the device is given.
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
        entropy_coefficient=config.entropy_coefficient
        if entropy_coefficient is None
        else entropy_coefficient,
    )


class PPOAgent:
    """A network, its optimiser, and the arithmetic both run in.

    ``model`` must be on ``device`` already; its kernels are laid out anew, channels last.
    ``config`` must be resolved (nothing ``auto``). With several ``ranks`` each learns from its
    share of every minibatch, and all take the same step. Raises ValueError for what does not fit.
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
        for name, parameter in model.named_parameters():
            if parameter.device.type != device.type:
                raise ValueError(
                    f"PPOAgent: expected a network on {device}, got {name} on {parameter.device}"
                )
        lay_out(model)
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
        self._entropy_coefficient = torch.full((), config.entropy_coefficient, device=device)
        self._average = (
            None if config.ema_decay is None else WeightAverage(self._named, config.ema_decay)
        )
        self._guard = FiniteGuard(_OF, list(self._named), config.max_skipped_updates, device)
        # Of the update that goes on: 1 once no more steps are to be taken, whether a minibatch's KL
        # said so, the steps taken, the sums of their figures.
        self._stop = torch.zeros((), device=device)
        self._too_far = torch.zeros((), device=device)
        self._taken = torch.zeros((), device=device)
        self._sums = torch.zeros(len(_FIGURES), device=device)
        self._buffer: ExperienceBuffer | None = None
        self._on_minibatch: Callable[[], None] = lambda: None
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

    def alike(self, model: ActorCriticProtocol) -> WorkingNetwork:
        """Another network of the same kind, in the arithmetic that this one has now.

        It is never compiled by torch: fused as this one is, or as it stands.
        """
        if isinstance(self.network, PlainNetwork) or not isinstance(model, ResNet):
            return PlainNetwork(model, self.device, self._dtype)
        from keisei.core.fused import FusedResNet  # as in compile_network

        return FusedResNet(model, self._dtype)

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

    def learn(
        self,
        buffer: ExperienceBuffer,
        generator: torch.Generator,
        on_minibatch: Callable[[], None] = lambda: None,
    ) -> dict[str, float]:
        """Several passes over a rollout with its advantages; returns the means of the metrics.

        Stops early, before the step that would be one too many, once a minibatch's approximate KL
        passes ``target_kl``. ``gradient_steps`` says how many were taken. On CUDA nothing waits for
        a minibatch before the next one is started: steps after the last one change nothing, and
        soon no more are started.

        A minibatch whose loss, logits or gradient are not finite changes nothing: neither weights
        nor moments nor average. ``skipped_updates`` says how many there were; a rollout that is
        lost counts as one, and is not learned from. Raises TrainingDivergedError once
        ``max_skipped_updates`` were skipped in a row.

        ``on_minibatch`` is called before each minibatch is started; what it raises goes through,
        with the update half done.
        """
        self.model.train()
        for tensor in (self._too_far, self._taken, self._sums):
            tensor.zero_()
        self._stop.copy_(buffer.lost)
        self._guard.begin(buffer.lost)
        self._buffer, self._on_minibatch = buffer, on_minibatch
        for _ in range(self.config.ppo_epochs):
            pieces = buffer.shuffled_rows(self.batch_size, generator)
            if (self._run_ahead if self._ahead else self._run)(pieces):
                break
        counts = (self._taken, self._too_far, self._guard.skipped, self._guard.in_a_row)
        taken, too_far, skipped, in_a_row, *sums = torch.cat(
            (torch.stack(counts), self._sums)
        ).tolist()
        if skipped:
            diagnosis = self._guard.report(self._named, self._learning_rate())
            if in_a_row >= self.config.max_skipped_updates:
                raise TrainingDivergedError(diagnosis)
            if self.ranks.is_main:  # the others found the same
                _log.warning(
                    "%d gradient steps were skipped in this update: %s", skipped, diagnosis
                )
        metrics = dict(zip(_FIGURES, sums, strict=True)) if taken else {}
        metrics.pop("logits", None)
        metrics = {name: total / taken for name, total in metrics.items()}
        metrics["gradient_steps"] = taken
        metrics["skipped_updates"] = skipped
        metrics["kl_stop"] = too_far
        return metrics

    def _run(self, pieces: Sequence[Tensor]) -> bool:
        """Learns from each piece until a step is not to be taken; returns whether there was one."""
        for rows in pieces:
            if self._stop:
                return True
            self._on_minibatch()
            self._rows = rows
            self._learn_from_rows()
        return bool(self._stop)

    def _run_ahead(self, pieces: Sequence[Tensor]) -> bool:
        """As ``_run``, but looks back at a minibatch only when later ones are under way."""
        longest = max(len(rows) for rows in pieces)
        if len(self._rows) != longest:
            self._rows = torch.empty(longest, dtype=torch.int64, device=self.device)
        flags = torch.zeros(len(pieces) + 1, pin_memory=True)
        done: list[torch.cuda.Event] = []
        for number, rows in enumerate(pieces):
            self._on_minibatch()
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
        loss = ppo_loss(logits, values, mask, batch, self.config, self._entropy_coefficient)
        # Their sum is finite if they are: to be more than float32 holds they would have to be so
        # large that nothing could be made of them.
        unknown = 0.0 * logits.detach().sum(dtype=torch.float32)
        terms = torch.stack((loss.total.detach(), *loss[1:], unknown))
        share = self._share_terms(terms, batch.valid)
        if self.config.target_kl is not None:
            kl = terms[_FIGURES.index("approx_kl")]
            too_far = (kl > self.config.target_kl) & kl.isfinite()
            self._too_far.logical_or_(too_far & (self._stop == 0))
            self._stop.logical_or_(too_far)
        if not self._ahead and self._stop:
            return

        gradients = self._gradient_sum(self.network.gradients([loss.total]), share)
        for parameter, gradient in zip(self._named.values(), gradients, strict=True):
            parameter.grad = laid_out_as(parameter, gradient)
        norms = self.gradient_norms()
        norm = torch.linalg.vector_norm(norms)
        figures = torch.cat((terms, norm[None]))
        skip = self._guard.judge(self._stop, figures, norms)
        if not self._ahead and skip:
            return
        self.take_step(norm, skip)
        if self._average is not None:
            self._average.update(skip if self._ahead else None)
        self._sums.add_(torch.where(skip > 0, 0.0, figures))
        self._taken.add_(1.0 - skip)

    def _share_terms(self, terms: Tensor, valid: Tensor) -> Tensor | None:
        """Makes a loss's terms, [7], of this rank's rows those of all rows of the minibatch.

        Returns this rank's share of the valid rows; None where there is one rank.
        """
        if self.ranks.world_size == 1:
            return None
        count = valid.sum(dtype=terms.dtype)
        sums = self.ranks.sum_(torch.cat((terms * count, count[None])))
        everyone = sums[-1].clamp(min=1.0)
        terms.copy_(sums[:-1] / everyone)
        return count / everyone

    def gradient_norms(self) -> Tensor:
        """The norm of each parameter's gradient, [P]; 0 where there is none."""
        gradients = [p.grad for p in self._named.values()]
        norms = iter(torch._foreach_norm([g for g in gradients if g is not None]))
        return torch.stack(
            [self._taken.new_zeros(()) if g is None else next(norms) for g in gradients]
        )

    def take_step(self, norm: Tensor, skip: Tensor | None = None) -> None:
        """Scales the gradients, of this ``norm``, down to ``max_grad_norm`` and takes the step.

        On CUDA none is taken where ``skip``, a scalar, is 1.
        """
        if self._ahead:
            # As clip_grads_with_norm_ has it, in the optimiser's own pass over the gradients.
            scale = (norm + 1e-6) / self.config.max_grad_norm
            self.optimizer.grad_scale = scale.clamp(min=1.0)  # type: ignore[attr-defined]
            self.optimizer.found_inf = skip  # type: ignore[attr-defined]
        else:
            parameters = list(self._named.values())
            torch.nn.utils.clip_grads_with_norm_(parameters, self.config.max_grad_norm, norm)
        self.optimizer.step()

    def set_learning_rate(self, learning_rate: float) -> None:
        """The step size from now on."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(learning_rate)
            else:
                group["lr"] = learning_rate

    def _learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def set_entropy_coefficient(self, entropy_coefficient: float) -> None:
        """The weight of the entropy bonus from now on."""
        self._entropy_coefficient.fill_(entropy_coefficient)

    def averaged_state_dict(self) -> dict[str, Tensor]:
        """The network's ``state_dict`` with the averaged weights in place of the present ones.

        Its tensors change with the next update. Raises RuntimeError without ``ema_decay``.
        """
        if self._average is None:
            raise RuntimeError("training.ema_decay: expected a number to average by, got None")
        averages = self._average.tensors
        # A parameter that the network uses twice has several names there.
        names = {id(parameter): name for name, parameter in self._named.items()}
        every = dict(self.model.named_parameters(remove_duplicate=False))
        return {
            name: averages[names[id(every[name])]] if name in every else tensor
            for name, tensor in self.model.state_dict().items()
        }

    def network_tensors(self) -> dict[str, Tensor]:
        """What a checkpoint's ``model.ckpt`` holds: see ``training.use_ema``."""
        return self.averaged_state_dict() if self.config.use_ema else self.model.state_dict()

    def training_tensors(self) -> dict[str, Tensor]:
        """All that future updates depend on beside ``network_tensors``; on the device, no copies.

        ``optimizer.KEY.NAME`` once there was an update; ``ema.NAME``, or with ``use_ema``, where
        the averages are the network's tensors, ``raw.NAME``: the weights; and a counter.
        """
        tensors = self.optimizer_tensors()
        if self._average is not None and not self.config.use_ema:
            tensors |= {f"ema.{name}": tensor for name, tensor in self._average.tensors.items()}
        if self.config.use_ema:
            tensors |= {f"raw.{name}": p.detach() for name, p in self._named.items()}
        return tensors | {"learner.skipped": self._guard.in_a_row}

    def load(self, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
        """Takes what ``network_tensors`` and ``training_tensors`` gave, under the same settings.

        Raises KeyError if a tensor is missing, RuntimeError if one does not fit.
        """
        skipped = tensors["learner.skipped"]
        if self._average is None:
            self.model.load_state_dict(weights)
        else:
            own = {name: p.detach() for name, p in self._named.items()}
            prefix = "raw." if self.config.use_ema else "ema."
            given = {name: tensors[prefix + name] for name in own}
            self.model.load_state_dict(weights)
            self._average.load(own if self.config.use_ema else given)
            if self.config.use_ema:
                for name, weight in own.items():
                    weight.copy_(given[name])
        self._guard.in_a_row.copy_(skipped)
        if any(name.startswith("optimizer.") for name in tensors):
            self.load_optimizer_tensors(tensors)
        else:
            self.optimizer.state.clear()
        self._changes += 1

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """The optimiser's moments and step counts, named after their parameters."""
        return {
            f"optimizer.{key}.{name}": value
            for name, parameter in self._named.items()
            for key, value in self.optimizer.state.get(parameter, {}).items()
        }

    def load_optimizer_tensors(self, tensors: Mapping[str, Tensor]) -> None:
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
