"""Kernels of learning: advantages, sampling, the loss; beside plain and compiled torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks import plain
from benchmarks.games import played
from benchmarks.measure import (
    Call,
    Row,
    Settings,
    Timing,
    close,
    expect,
    games_text,
    missing,
    row,
    sets_for,
    time_calls,
    versus,
)
from keisei import ops
from keisei.core.ppo_loss import plain_ppo_loss

GAMMA, LAMBDA = 0.99, 0.95
GAE_SHAPES = ((64, 4_096), (1_024, 131_072), (128, 1_048_576))
SHORT = 64
"""Steps up to which a compiled form is measured that would read a longer rollout too often."""
GAE_FORMS: tuple[ops.GaeForm, ...] = ("zero_sum", "single")
CHECKED = 4_096
"""Games or rows whose results are compared with the plain form in double precision."""


def reason(error: Exception) -> str:
    """An error in one line."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:120] if lines else ''}"


def peer(
    ours: Row,
    by: str,
    make: Callable[[], list[Call]],
    device: torch.device,
    *,
    graph: bool = True,
    note: str = "",
) -> Row:
    """Time another form of the same work; one that does not run here is named as missing."""
    try:
        timing = time_calls(make(), device, graph=graph, runs=5)
    except Exception as error:
        return missing(ours.bench, by, reason(error), ours.what)
    work = ours.rate * ours.seconds
    return row(
        ours.bench, ours.what, ours.size, timing, work, ours.unit, by=by, bytes_=ours.bytes,
        ceiling=ours.ceiling, ratio=versus(work / timing.median, ours), note=note,
    )  # fmt: skip


Rollout = tuple[Tensor, Tensor, Tensor, Tensor]


def rollout(steps: int, games: int, device: torch.device, seed: int) -> Rollout:
    """Values, rewards, endings and valid rows as play leaves them: every kind of end."""
    generator = torch.Generator(device).manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, device=device, generator=generator)

    values = uniform(steps + 1, games) * 2 - 1
    kind = (uniform(steps, games) * 5).to(torch.uint8) + 1
    ending = torch.where(uniform(steps, games) < 0.01, kind, 0).to(torch.uint8)
    rewards = torch.where(ending == 0, 0.0, (ending % 3).float() - 1)
    rewards = torch.where(ending == ops.MOVE_LIMIT, 0.0, rewards)
    valid = torch.ones_like(ending, dtype=torch.bool)
    valid[1:] = ending[:-1] != ops.MOVE_LIMIT
    ending = torch.where(valid, ending, 0).to(torch.uint8)
    return values, torch.where(valid, rewards, 0.0), ending, valid


def expect_gae(found: tuple[Tensor, Tensor], data: Rollout, form: ops.GaeForm) -> None:
    """Advantages and returns of some games are those of the plain form in double precision."""
    step = max(1, data[0].shape[1] // CHECKED)
    values, rewards, ending, valid = (tensor[:, ::step] for tensor in data)
    expected = plain.gae(values.double(), rewards.double(), ending, valid, GAMMA, LAMBDA, form)
    for name, got, want in zip(("advantages", "returns"), found, expected, strict=True):
        right = close(got[:, ::step] * valid, want * valid, 1e-4)
        expect(right, f"gae, {form}: {name} differ from the plain form")


def gae(settings: Settings) -> Iterator[Row]:
    """Generalised advantage estimation, two forms."""
    device = settings.device
    shapes = ((8, 64),) if settings.small else GAE_SHAPES
    if device.type != "cuda":
        shapes = shapes[:1]
    for steps, games in shapes:
        size = (steps + 1) * games * 4 + steps * games * (4 + 1 + 1 + 4 + 4)
        data = [rollout(steps, games, device, seed) for seed in range(sets_for(size, device))]
        for form in GAE_FORMS:
            calls = [partial(ops.gae, *one, GAMMA, LAMBDA, form) for one in data]
            expect_gae(calls[0](), data[0], form)
            ours = row(
                "gae", form, f"[{steps}, {games:,}]", time_calls(calls, device), steps * games,
                "elements", count=games, bytes_=size, ceiling="copy",
            )  # fmt: skip
            yield ours
            if settings.compare and form == "zero_sum":
                yield from _gae_peers(ours, data, form, device)


def _gae_peers(
    ours: Row, data: list[Rollout], form: ops.GaeForm, device: torch.device
) -> Iterator[Row]:
    compiled = torch.compile(plain.gae_step, dynamic=False)

    def calls_of(function: Callable[..., tuple[Tensor, Tensor]]) -> list[Call]:
        expect_gae(function(*data[0], GAMMA, LAMBDA, form), data[0], form)
        return [partial(function, *one, GAMMA, LAMBDA, form) for one in data]

    def scan() -> list[Call]:
        from benchmarks import triton_gae

        return calls_of(triton_gae.gae)

    loop = partial(calls_of, plain.gae)
    compiled_loop = partial(calls_of, partial(plain.gae, body=compiled))
    yield peer(ours, "torch", loop, device, note="a loop over time")
    yield peer(ours, "torch.compile", compiled_loop, device, note="a loop over a compiled step")
    if len(data[0][1]) <= SHORT:
        joined = torch.compile(plain.gae_doubling, dynamic=False)
        note = "steps joined over 1, 2, 4, ... rows"
        yield peer(ours, "torch.compile", partial(calls_of, joined), device, note=note)
    yield peer(ours, "Triton", scan, device, note="an associative scan, block sizes tuned")


def sampling(settings: Settings) -> Iterator[Row]:
    """A legal action, its log-probability and the entropy, from logits."""
    device = settings.device
    for games in settings.sizes(16_384, 131_072):
        env = played(games, device)
        for dtype in (torch.bfloat16, torch.float32):
            size = games * (ops.LABELS * dtype.itemsize + 81 * 4 + 4 + 8 + 4 + 4)
            sets = sets_for(size, device)
            many = [torch.randn(games, ops.LABELS, device=device).to(dtype) for _ in range(sets)]
            calls = [
                partial(ops.masked_sample, logits, env.mask, env.clock, 1, 0, False)
                for logits in many
            ]
            expect_sample(calls[0](), many[0], env.mask)
            ours = row(
                "sampling", f"{str(dtype).removeprefix('torch.')} logits",
                games_text(games), time_calls(calls, device), games, "rows", count=games,
                bytes_=size, ceiling="read", note="counted as if every logit were read",
            )  # fmt: skip
            yield ours
            if settings.compare and dtype is torch.bfloat16:
                yield from _sampling_peers(ours, many, env.mask, device)


def expect_sample(found: tuple[Tensor, Tensor, Tensor], logits: Tensor, mask: Tensor) -> None:
    """Actions are legal; the rest is that of the softmax in double precision."""
    part = slice(0, CHECKED)
    action, log_prob, entropy = (tensor[part] for tensor in found)
    legal = ops.unpack_mask(mask[part])
    chosen = action[:, None]
    expect(bool((action >= 0).all()), "masked_sample: a row without an action")
    expect(bool(legal.gather(1, chosen).all()), "masked_sample: an action is not legal")
    exact = torch.log_softmax(logits[part].double().masked_fill(~legal, -torch.inf), 1)
    expected = -(exact.exp() * exact.masked_fill(~legal, 0)).sum(1)
    expect(close(entropy, expected, 1e-3), "masked_sample: an entropy is wrong")
    right = close(log_prob, exact.gather(1, chosen).squeeze(1), 1e-3)
    expect(right, "masked_sample: a log-probability is wrong")


def _sampling_peers(
    ours: Row, many: list[Tensor], mask: Tensor, device: torch.device
) -> Iterator[Row]:
    forms = (
        ("torch", plain.masked_sample),
        ("torch.compile", torch.compile(plain.masked_sample, dynamic=False)),
    )
    for by, form in forms:

        def make(form: Callable[..., tuple[Tensor, Tensor, Tensor]] = form) -> list[Call]:
            expect_sample(form(many[0], mask), many[0], mask)
            return [partial(form, logits, mask) for logits in many[:4]]

        # No graph: torch draws its noise. The kernels are long enough to hide their launches.
        yield peer(ours, by, make, device, graph=False)


Loss = Callable[..., ops.PPOLoss]


def _loss_inputs(rows: int, device: torch.device, seed: int) -> tuple[Tensor, ...]:
    """Logits, values, mask, actions, log-probabilities, old values, advantages, returns, valid."""
    torch.manual_seed(seed)
    env = played(rows, device, seed)
    logits = torch.randn(rows, ops.LABELS, device=device).bfloat16()
    actions, log_probs, _ = env.sample(logits)
    logits = (logits.float() + 0.1 * torch.randn_like(logits.float())).bfloat16()
    floats = [torch.randn(rows, device=device) for _ in range(4)]
    valid = torch.rand(rows, device=device) < 0.99
    return (
        logits.requires_grad_(), floats[0].requires_grad_(), env.mask, actions, log_probs,
        *floats[1:], valid,
    )  # fmt: skip


def _forward_backward(loss: Loss, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    total = loss(*inputs).total
    return (total.detach(), *torch.autograd.grad(total, inputs[:2]))


def expect_loss(found: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> None:
    """Loss and gradients are those of the plain form in double precision."""
    exact = [x.detach().double() if x.is_floating_point() else x for x in inputs]
    exact = [x.requires_grad_() if i < 2 else x for i, x in enumerate(exact)]
    exact[2] = ops.unpack_mask(inputs[2])
    expected = _forward_backward(plain_ppo_loss, tuple(exact))
    expect(close(found[0], expected[0], 1e-4), f"ppo_loss: got {found[0]}, not {expected[0]}")
    for name, got, want in zip(("logits", "values"), found[1:], expected[1:], strict=True):
        scale = want.abs().max()
        right = close(got.double() / scale, want / scale, 1e-2)
        expect(right, f"ppo_loss: the gradient of {name} differs from the plain form")


def ppo_loss(settings: Settings) -> Iterator[Row]:
    """The whole loss of a minibatch, forward and backward."""
    device = settings.device
    rows = 64 if settings.small else 16_384 if device.type == "cuda" else 512
    # Logits are read twice and their gradient written once; the mask is read twice.
    size = rows * (3 * ops.LABELS * 2 + 2 * 81 * 4 + 2 * 8 * 4)
    many = [_loss_inputs(rows, device, seed) for seed in range(sets_for(size, device))]
    expect_loss(_forward_backward(ops.ppo_loss, many[0]), many[0])
    timing = _time_loss(ops.ppo_loss, many, device)
    ours = row(
        "ppo-loss", "forward and backward, bfloat16 logits", f"{rows:,} rows", timing, rows, "rows",
        count=rows, bytes_=size, ceiling="copy",
    )  # fmt: skip
    yield ours
    if not settings.compare:
        return

    def unpacked(loss: Loss) -> Loss:
        return lambda logits, values, mask, *rest: loss(
            logits, values, ops.unpack_mask(mask), *rest
        )

    compiled = torch.compile(plain_ppo_loss, dynamic=False)
    for by, form in (("torch", unpacked(plain_ppo_loss)), ("torch.compile", unpacked(compiled))):

        def make(form: Loss = form) -> list[Call]:
            expect_loss(_forward_backward(form, many[0]), many[0])
            return [partial(_forward_backward, form, one) for one in many]

        yield peer(ours, by, make, device)


def _time_loss(loss: Loss, many: list[tuple[Tensor, ...]], device: torch.device) -> Timing:
    return time_calls([partial(_forward_backward, loss, one) for one in many], device)
