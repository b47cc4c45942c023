"""The network alone, and whole iterations of training beside it."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Row, Settings, Timing, expect, row, time_calls
from keisei import ops
from keisei.config_schema import (
    AppConfig,
    EnvConfig,
    LoggingConfig,
    ModelConfig,
    PastSelvesConfig,
    TrainingConfig,
)
from keisei.core.ppo_agent import ppo_loss
from keisei.training import Trainer


@dataclass(frozen=True)
class Job:
    """What is trained."""

    depth: int
    width: int
    epochs: int = 1
    se_ratio: int = 4
    games: int = 4_096
    plies: int = 32
    batch: int = 8_192
    share: float = 0.0
    """of the games, against past selves"""

    @property
    def network(self) -> str:
        """Its shape in words."""
        return f"{self.depth}x{self.width}{', SE' if self.se_ratio else ', no SE'}"

    @property
    def size(self) -> str:
        """Its work in words."""
        return f"{self.games:,} games x {self.plies} plies"


def job_for(settings: Settings, depth: int, width: int, epochs: int = 1, se_ratio: int = 4) -> Job:
    """The job as it is run on the device; a CPU's is small whatever the network."""
    if settings.small:
        return Job(1, 8, epochs, se_ratio, games=16, plies=2, batch=16)
    if settings.device.type != "cuda":
        return Job(2, 32, epochs, se_ratio, games=128, plies=32, batch=512)
    return Job(depth, width, epochs, se_ratio)


# A trainer makes its run's folder when it is built.
_SCRATCH = tempfile.TemporaryDirectory(prefix="keisei-benchmark-")


def make_config(job: Job, device: torch.device, run_root: str) -> AppConfig:
    """The settings of a job, its network fused or compiled where there is a GPU."""
    return AppConfig(
        training=TrainingConfig(
            device=str(device),
            rollout_length=job.plies,
            batch_size=job.batch,
            ppo_epochs=job.epochs,
            target_kl=None,  # every pass is made, or there would be less to time
            compile=device.type == "cuda",
        ),
        env=EnvConfig(num_games=job.games),
        model=ModelConfig(tower_depth=job.depth, tower_width=job.width, se_ratio=job.se_ratio),
        past_selves=PastSelvesConfig(share=job.share),
        logging=LoggingConfig(run_root=run_root),
    )


def make_trainer(job: Job, device: torch.device) -> Trainer:
    """The trainer of a job."""
    config = make_config(job, device, _SCRATCH.name)
    trainer = Trainer(config)
    if device.type == "cuda":
        trainer.agent.compile_network()
    return trainer


class Alone:
    """A trainer's network at the two batch sizes of an iteration, and nothing else."""

    def __init__(self, trainer: Trainer, job: Job, device: torch.device) -> None:
        agent = trainer.agent
        self._network = agent.network
        self._model = trainer.model
        self._device = device
        positions = trainer.env.positions
        self.rows = _longest_piece(job)
        repeated = positions.repeat(math.ceil(self.rows / len(positions)), 1)[: self.rows]
        self._collecting = agent.planes(positions)
        self._learning = agent.planes(repeated)
        self._network.refresh()  # the last step of an iteration comes after its last look
        logits, values = self.forward()
        self._seeds = (
            torch.randn(self.rows, ops.LABELS, device=device).to(logits.dtype) * 1e-3,
            torch.randn(self.rows, device=device).to(values.dtype) * 1e-3,
        )
        self._check(positions, logits)

    def _check(self, positions: Tensor, logits: Tensor) -> None:
        """The network that works rounds about as the module does under autocast."""
        part = slice(0, min(256, len(positions) // 2))
        planes = ops.planes(positions[part].contiguous(), torch.float32, True)
        with torch.no_grad():
            exact, _ = self._model(planes)
            with torch.autocast(self._device.type, torch.bfloat16):
                rounded, _ = self._model(planes)
        # After some training logits are small beside what they are sums of: no fixed bound holds.
        bound = 6 * float((rounded.float() - exact).abs().max()) + 1e-5
        error = float((logits[part].float() - exact).abs().max())
        expect(
            error <= bound, f"network: logits are wrong by {error:g}, expected {bound:g} at most"
        )

    @torch.no_grad()
    def forward(self) -> tuple[Tensor, Tensor]:
        """As while collecting: one position of each game."""
        out: tuple[Tensor, Tensor] = self._network(self._collecting)
        return out

    def forward_backward(self) -> object:
        """As while learning: one minibatch."""
        logits, values = self._network(self._learning)
        return self._network.gradients((logits, values), self._seeds)

    def flops(self) -> tuple[float, float]:
        """Of a forward pass while collecting, and of both passes of a minibatch."""
        planes = torch.zeros(2, ops.FEATURE_PLANES, 9, 9, device=self._device)
        with FlopCounterMode(display=False) as forward:
            logits, values = self._model(planes)
        with FlopCounterMode(display=False) as backward:
            weights = [weight for _, weight in self._model.named_parameters()]
            torch.autograd.grad(logits.sum() + values.sum(), weights)
        one, other = forward.get_total_flops() / 2, backward.get_total_flops() / 2
        return one * len(self._collecting), (one + other) * self.rows

    def times(self) -> tuple[Timing, Timing]:
        """Seconds of ``forward`` and of ``forward_backward``."""
        return (
            time_calls([self.forward], self._device, least=0.1),
            time_calls([self.forward_backward], self._device, least=0.1),
        )


def _pieces(job: Job) -> int:
    return max(1, round(job.games * job.plies / job.batch))


def _longest_piece(job: Job) -> int:
    return math.ceil(job.games * job.plies / _pieces(job))


def steps_of(job: Job) -> int:
    """Gradient steps an iteration."""
    return job.epochs * _pieces(job)


def network(settings: Settings) -> Iterator[Row]:
    """The network alone, at the batch sizes of collecting and learning; what SE costs."""
    device = settings.device
    jobs = [(9, 256), (6, 128)] if device.type == "cuda" else [(2, 32)]
    for depth, width in jobs:
        before: dict[str, float] = {}
        for se_ratio in (0, 4):
            job = job_for(settings, depth, width, se_ratio=se_ratio)
            alone = Alone(make_trainer(job, device), job, device)
            for what, timing, flops, rows in zip(
                ("forward", "forward + backward"),
                alone.times(),
                alone.flops(),
                (job.games, alone.rows),
                strict=True,
            ):
                note = ""
                if se_ratio:
                    note = f"SE costs {100 * (timing.median / before[what] - 1):.1f}%"
                before[what] = timing.median
                yield row(
                    "network", f"{job.network}: {what}", f"{rows:,} positions", timing, rows,
                    "positions", count=rows, flops=flops, ceiling="matmul", note=note,
                )  # fmt: skip
            del alone


WARM_UP = 2
"""Iterations before those that are timed: the first starts everything, the second records it."""


def run_iterations(trainer: Trainer, job: Job, device: torch.device) -> Timing:
    """Seconds of iterations as the trainer makes them: two or, if quick, up to five."""
    found: list[float] = []
    number = 0
    while len(found) < 2 or (len(found) < 5 and sum(found) < 1):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        metrics = trainer.training_loop_manager.iterate()
        number += 1
        if number > WARM_UP:
            found.append(time.perf_counter() - start)
        steps, taken = steps_of(job), metrics["learn.gradient_steps"]
        expect(taken == steps, f"iteration: expected {steps} gradient steps, got {taken}")
        plies, least = metrics["games.plies"], 0.9 * job.games * job.plies
        expect(plies >= least, f"iteration: expected {least} plies or more, got {plies}")
    return Timing(statistics.median(found), min(found), max(found))


def iteration(settings: Settings) -> Iterator[Row]:
    """Whole iterations of training beside the network's own passes at the same batch sizes."""
    device = settings.device
    for depth, width in ((9, 256), (6, 128)) if device.type == "cuda" else ((2, 32),):
        for epochs in (1, 4):
            yield from _iteration(job_for(settings, depth, width, epochs), device)
            if device.type == "cuda":
                torch.cuda.empty_cache()


def past_selves(settings: Settings) -> Iterator[Row]:
    """Whole iterations with a share of the games against four past selves."""
    device, without = settings.device, 0.0
    for share in (0.0, 0.25, 1.0):
        job = replace(job_for(settings, 6, 128), share=share)
        timing = run_iterations(make_trainer(job, device), job, device)
        without = without or timing.median
        yield row(
            "past-selves", f"{job.network}, a share of {share:g}", job.size, timing, 1,
            "iterations", note=f"{timing.median / without:.3f} times the iteration without",
        )  # fmt: skip
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _iteration(job: Job, device: torch.device) -> Iterator[Row]:
    trainer = make_trainer(job, device)
    whole = run_iterations(trainer, job, device)
    alone = Alone(trainer, job, device)
    forward, both = alone.times()
    steps = steps_of(job)
    needed = forward.median * (job.plies + 1) + both.median * steps
    one, other = alone.flops()
    what = f"{job.network}, {job.epochs} {'epoch' if job.epochs == 1 else 'epochs'}"
    yield row(
        "iteration", what, job.size, whole, 1, "iterations",
        flops=one * (job.plies + 1) + other * steps, ceiling="matmul",
        note=f"{whole.median / needed:.3f} times the network's own time",
    )  # fmt: skip
    parts = _parts(trainer, job, steps, device)
    network_row = ("the network's own passes", needed)
    rest = whole.median - needed - sum(parts.values())
    for name, seconds in (network_row, *parts.items(), ("all else, gaps included", rest)):
        yield Row(
            "iteration", f"of it {name}", "", 100 * seconds / whole.median,
            "% of the time", seconds,
        )  # fmt: skip


def _parts(trainer: Trainer, job: Job, steps: int, device: torch.device) -> dict[str, float]:
    """Seconds an iteration of what is not the network, each timed alone."""
    agent, env, buffer = trainer.agent, trainer.env, trainer.experience_buffer
    rows = torch.arange(_longest_piece(job), device=device)
    batch = buffer.gather(rows)
    mask = ops.legal_mask(batch.positions)
    with torch.no_grad():
        chosen, _ = agent.evaluate(env.positions)
    logits = torch.randn(len(rows), ops.LABELS, device=device).to(chosen.dtype).requires_grad_()
    values = torch.randn(len(rows), device=device).requires_grad_()
    for _, parameter in trainer.model.named_parameters():
        parameter.grad = torch.zeros_like(parameter)

    def choose_and_step() -> None:
        env.step(env.sample(chosen)[0])

    def loss() -> object:
        found = ppo_loss(logits, values, mask, batch, agent.config)
        return torch.autograd.grad(found.total, (logits, values))

    def clip_and_step() -> None:
        agent.take_step(torch.linalg.vector_norm(agent.gradient_norms()))

    calls: dict[str, tuple[Callable[[], object], int]] = {
        "planes while collecting": (lambda: agent.planes(env.positions), job.plies + 1),
        "choosing and stepping": (choose_and_step, job.plies),
        "gathering rows": (lambda: buffer.gather(rows), steps),
        "planes and masks while learning": (
            lambda: (agent.planes(batch.positions), ops.legal_mask(batch.positions)),
            steps,
        ),
        "loss": (loss, steps),
        "clipping and optimiser": (clip_and_step, steps),
        "casting weights": (agent.network.refresh, steps + 1),
    }
    return {
        name: time_calls([call], device, runs=3).median * count
        for name, (call, count) in calls.items()
    }


NETWORK_SIZES = ((2, 32), (4, 64), (6, 128), (9, 256))


def curve(settings: Settings) -> Iterator[Row]:
    """Seconds an iteration over the network's size."""
    device = settings.device
    sizes = NETWORK_SIZES if device.type == "cuda" and not settings.small else NETWORK_SIZES[:1]
    for depth, width in sizes:
        job = job_for(settings, depth, width)
        trainer = make_trainer(job, device)
        timing = run_iterations(trainer, job, device)
        weights = sum(parameter.numel() for _, parameter in trainer.model.named_parameters())
        yield row(
            "curves", f"iteration of {job.size}, 1 epoch", job.network, timing, 1, "iterations",
            count=weights, note=f"{weights:,} weights",
        )  # fmt: skip
