"""The fused PPO loss: against its plain form, its gradient in float64, and the edges of both."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import pytest
import torch
from batch_helpers import DEVICES, pack, played_masks, random_masks, unpack

from keisei import ops
from keisei.core.ppo_loss import plain_ppo_loss

COEFFICIENTS = {"clip_range": 0.2, "value_coefficient": 0.7, "entropy_coefficient": 0.03}
# Of sums of at most 2,187 float32 terms in another order, relative to their size.
FLOAT32_BOUND = 2e-5
# What the type of the logits can tell apart; the gradient is rounded to it once.
STEP = {torch.float32: 2e-5, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}


@dataclass(frozen=True)
class Batch:
    """The tensors of one loss, B rows, on the CPU; floats in float64."""

    logits: torch.Tensor
    values: torch.Tensor
    mask: torch.Tensor
    actions: torch.Tensor
    log_probs: torch.Tensor
    old_values: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor
    valid: torch.Tensor

    def arguments(self, dtype: torch.dtype, device: str) -> list[torch.Tensor]:
        """As the op takes them: logits in `dtype`, the other floats in what it computes in."""
        wide = torch.promote_types(dtype, torch.float32)
        out = []
        for field in fields(self):
            tensor = getattr(self, field.name).to(device)
            if tensor.is_floating_point():
                tensor = tensor.to(dtype if field.name == "logits" else wide)
            out.append(tensor)
        for tensor in out[:2]:
            tensor.requires_grad_()
        return out


def batch_of(mask: torch.Tensor, seed: int = 1, scale: float = 1.0) -> Batch:
    """Rows as they come up: some gain and some lose, some are clipped, a fifth are not valid."""
    generator = torch.Generator().manual_seed(seed)
    rows = len(mask)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    # In bfloat16 already, so that every type sees the same logits.
    logits = (scale * draw(rows, ops.LABELS)).bfloat16().double()
    legal = unpack(mask)
    actions = torch.multinomial(legal.double(), 1, generator=generator)[:, 0]
    chosen = torch.log_softmax(logits.masked_fill(~legal, -torch.inf), 1)
    chosen = chosen.gather(1, actions[:, None])[:, 0]
    valid = torch.rand(rows, generator=generator) < 0.8
    valid[:1] = True
    return Batch(
        logits=logits,
        values=draw(rows).tanh(),
        mask=mask,
        actions=actions,
        log_probs=chosen - 0.3 * draw(rows),
        old_values=draw(rows).tanh(),
        advantages=draw(rows),
        returns=draw(rows).tanh(),
        valid=valid,
    )


Result = tuple[ops.PPOLoss, torch.Tensor, torch.Tensor]


def fused(
    batch: Batch, dtype: torch.dtype, device: str, scale: float = 1, **options: object
) -> Result:
    arguments = batch.arguments(dtype, device)
    loss = ops.ppo_loss(*arguments, **(COEFFICIENTS | options))
    (loss.total * scale).backward()
    return loss, arguments[0].grad, arguments[1].grad


def plain(batch: Batch, scale: float = 1, **options: object) -> Result:
    arguments = batch.arguments(torch.float64, "cpu")
    arguments[2] = unpack(batch.mask)
    loss = plain_ppo_loss(*arguments, **(COEFFICIENTS | options))
    (loss.total * scale).backward()
    return loss, arguments[0].grad, arguments[1].grad


def assert_equal(got: Result, expected: Result, dtype: torch.dtype) -> None:
    bound = 1e-12 if dtype == torch.float64 else FLOAT32_BOUND
    for name, mine, theirs in zip(ops.PPOLoss._fields, got[0], expected[0], strict=True):
        assert mine.item() == pytest.approx(theirs.item(), abs=bound, rel=bound), name
    # Errors are measured by the largest gradient, and by each one's own last place: the parts of a
    # gradient may cancel out.
    step = STEP.get(dtype, 1e-12)
    mine, theirs = got[1].cpu().double(), expected[1]
    room = step * theirs.abs() + bound * theirs.abs().max()
    if dtype == torch.float16:
        room += 2.0**-25  # half of its smallest step
    worst = (mine - theirs).abs() - room
    assert (worst <= 0).all(), f"logits_gradient: off by {float(worst.max())} more than allowed"
    assert got[1].dtype == dtype
    torch.testing.assert_close(got[2].cpu().double(), expected[2], atol=bound, rtol=bound)


MASKS = {
    "played": lambda: played_masks(203),
    "dense": lambda: random_masks(21, 0.5, seed=3),  # more labels than are listed at a time
    "all": lambda: pack(torch.ones(5, ops.LABELS, dtype=torch.bool)),
}


@pytest.mark.parametrize("value_clip", [None, 0.1])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str
)
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("device", DEVICES)
def test_equals_the_plain_form(
    device: str, masks: str, dtype: torch.dtype, value_clip: float | None
) -> None:
    batch = batch_of(MASKS[masks]())
    got = fused(batch, dtype, device, value_clip=value_clip)
    assert_equal(got, plain(batch, value_clip=value_clip), dtype)
    assert 0 < float(got[0].clip_fraction) < 1 or masks == "all"
    assert (got[1].cpu()[~unpack(batch.mask)] == 0).all()
    assert (got[1].cpu()[~batch.valid] == 0).all() and (got[2].cpu()[~batch.valid] == 0).all()


@pytest.mark.parametrize("value_clip", [None, 0.3])
@pytest.mark.parametrize("device", DEVICES)
def test_gradcheck(device: str, value_clip: float | None) -> None:
    mask = played_masks(3)
    logits, values, *others = replace(
        batch_of(mask), valid=torch.tensor([True, False, True])
    ).arguments(torch.float64, device)

    def total(logits: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return ops.ppo_loss(logits, values, *others, value_clip=value_clip, **COEFFICIENTS).total

    assert torch.autograd.gradcheck(total, (logits, values), fast_mode=False)


@pytest.mark.parametrize("device", DEVICES)
def test_there_is_no_second_derivative(device: str) -> None:
    arguments = batch_of(random_masks(3, 0.05, seed=5)).arguments(torch.float64, device)
    total = ops.ppo_loss(*arguments, **COEFFICIENTS).total
    (first,) = torch.autograd.grad(total, arguments[0], create_graph=True)
    with pytest.raises(RuntimeError, match=r"^ppo_loss: expected a first derivative, got one of"):
        first.square().sum().backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("device", DEVICES)
def test_the_upstream_gradient_scales(device: str, dtype: torch.dtype) -> None:
    batch = batch_of(played_masks(20))
    assert_equal(fused(batch, dtype, device, scale=-3.5), plain(batch, scale=-3.5), dtype)


@pytest.mark.parametrize("scale", [0.0, 30.0, 1000.0])
@pytest.mark.parametrize("device", DEVICES)
def test_flat_and_steep_logits(device: str, scale: float) -> None:
    batch = batch_of(played_masks(40), scale=scale)
    got = fused(batch, torch.float64, device)
    assert_equal(got, plain(batch), torch.float64)


@pytest.mark.parametrize("device", DEVICES)
def test_a_far_offset_costs_no_precision(device: str) -> None:
    batch = batch_of(played_masks(40))
    moved = replace(batch, logits=batch.logits + 4096.0)
    for a, b in zip(
        fused(batch, torch.float64, device), fused(moved, torch.float64, device), strict=True
    ):
        for mine, theirs in zip(a, b, strict=True):
            torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("device", DEVICES)
def test_one_legal_move(device: str) -> None:
    legal = torch.zeros(4, ops.LABELS, dtype=torch.bool)
    legal[:, 1234] = True
    batch = replace(
        batch_of(pack(legal)), log_probs=torch.zeros(4), valid=torch.ones(4, dtype=torch.bool)
    )
    loss, by_logits, _ = fused(batch, torch.float32, device)
    assert float(loss.entropy) == 0 and float(loss.approx_kl) == 0
    assert (by_logits == 0).all()


@pytest.mark.parametrize("device", DEVICES)
def test_no_valid_row(device: str) -> None:
    batch = batch_of(played_masks(9))
    batch = replace(batch, valid=torch.zeros(9, dtype=torch.bool))
    loss, by_logits, by_values = fused(batch, torch.bfloat16, device)
    assert [x.item() for x in loss] == [0.0] * 6
    assert (by_logits == 0).all() and (by_values == 0).all()


@pytest.mark.parametrize("device", DEVICES)
def test_rows_without_a_move_are_not_read(device: str) -> None:
    batch = batch_of(played_masks(50))
    expected = fused(batch, torch.float32, device)
    without = ~batch.valid
    spoilt = {
        name: getattr(batch, name).masked_fill(without.view(-1, *[1] * (d - 1)), math.nan)
        for name, d in {
            "logits": 2, "values": 1, "log_probs": 1, "old_values": 1, "advantages": 1, "returns": 1
        }.items()
    }  # fmt: skip
    spoilt["logits"] = spoilt["logits"].masked_fill(~unpack(batch.mask), math.nan)
    got = fused(
        replace(
            batch,
            **spoilt,
            mask=batch.mask.masked_fill(without[:, None], 0),
            actions=batch.actions.masked_fill(without, -(2**40)),
        ),
        torch.float32,
        device,
        value_clip=None,
    )
    for a, b in zip((*got[0], *got[1:]), (*expected[0], *expected[1:]), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("clip_range", "ratios", "slopes"),
    [
        # Past an edge a row has a slope only where going back would gain.
        (0.5, [0.4, 0.4, 1.6, 1.6], [True, False, False, True]),
        (0.5, [0.6, 0.6, 1.4, 1.4], [True] * 4),
        # At the edge itself, which only a ratio of 1 meets exactly, every row has its slope.
        (0.0, [1.0] * 4, [True] * 4),
    ],
)
@pytest.mark.parametrize("device", DEVICES)
def test_at_the_edges_of_the_clip(
    device: str, clip_range: float, ratios: list[float], slopes: list[bool]
) -> None:
    legal = torch.zeros(4, ops.LABELS, dtype=torch.bool)
    legal[:, :2] = True
    batch = replace(
        batch_of(pack(legal)),
        logits=torch.zeros(4, ops.LABELS, dtype=torch.float64),
        actions=torch.zeros(4, dtype=torch.int64),
        log_probs=-math.log(2) - torch.tensor(ratios, dtype=torch.float64).log(),
        advantages=torch.tensor([1.0, -1.0] * 2, dtype=torch.float64),
        valid=torch.ones(4, dtype=torch.bool),
    )
    options = {"clip_range": clip_range, "entropy_coefficient": 0.0}
    got = fused(batch, torch.float64, device, **options)
    # d/d logit of log p is 1/2 here.
    expected = [-a * r * s / 8 for a, r, s in zip([1, -1] * 2, ratios, slopes, strict=True)]
    assert got[1][:, 0].tolist() == pytest.approx(expected, abs=1e-12)
    assert_equal(got, plain(batch, **options), torch.float64)


@pytest.mark.parametrize("action", [-1, ops.LABELS, 2**40, -(2**40), "illegal"])
@pytest.mark.parametrize("device", DEVICES)
def test_an_action_that_is_not_legal_shows(device: str, action: int | str) -> None:
    batch = batch_of(played_masks(5))
    if action == "illegal":
        action = int((~unpack(batch.mask)[0]).nonzero()[0])
    batch.actions[0] = action
    loss, _, _ = fused(batch, torch.float32, device)
    assert loss.total.isnan() and loss.approx_kl.isnan()
    assert loss.value.isfinite() and loss.entropy.isfinite()


@pytest.mark.parametrize("device", DEVICES)
def test_a_legal_logit_of_minus_infinity_has_probability_0(device: str) -> None:
    batch = batch_of(played_masks(6))
    legal = unpack(batch.mask)
    gone = legal.int().argmax(1)
    last = ops.LABELS - 1 - legal.flip(1).int().argmax(1)
    gone = torch.where(gone == batch.actions, last, gone)
    fewer = legal.scatter(1, gone[:, None], False)
    logits = batch.logits.scatter(1, gone[:, None], -math.inf)
    got = fused(replace(batch, logits=logits), torch.float64, device)
    assert_equal(got, fused(replace(batch, mask=pack(fewer)), torch.float64, "cpu"), torch.float64)


@pytest.mark.parametrize("device", DEVICES)
def test_a_lost_number_shows(device: str) -> None:
    for value in (math.nan, math.inf):
        batch = batch_of(played_masks(6))
        label = unpack(batch.mask)[0].int().argmax()
        batch.logits[0, label] = value
        assert fused(batch, torch.float32, device)[0].total.isnan()


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_on_every_run(device: str) -> None:
    batch = batch_of(played_masks(300))
    first = fused(batch, torch.bfloat16, device)
    for _ in range(5):
        again = fused(batch, torch.bfloat16, device)
        for a, b in zip((*first[0], *first[1:]), (*again[0], *again[1:]), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("device", DEVICES)
def test_the_weight_of_the_entropy_may_lie_on_the_device(device: str, dtype: torch.dtype) -> None:
    weight = torch.zeros((), dtype=torch.promote_types(dtype, torch.float32), device=device)
    for value in (0.0, 0.03, 0.7):
        weight.fill_(value)
        expected, got = (
            fused(batch_of(played_masks(30)), dtype, device, entropy_coefficient=entropy)
            for entropy in (value, weight)
        )
        for a, b in zip((*got[0], *got[1:]), (*expected[0], *expected[1:]), strict=True):
            assert torch.equal(a, b), f"weight {value}"


@pytest.mark.gpu
def test_a_recorded_loss_follows_the_weight_of_the_entropy() -> None:
    batch = batch_of(played_masks(30))
    arguments = batch.arguments(torch.float32, "cuda")
    weight = torch.zeros((), device="cuda")
    out: list[torch.Tensor] = []

    def work() -> None:
        options = COEFFICIENTS | {"entropy_coefficient": weight}
        total = ops.ppo_loss(*arguments, **options).total
        out[:] = [total, *torch.autograd.grad(total, arguments[:2])]

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    for value in (0.2, 0.01):
        weight.fill_(value)
        graph.replay()
        expected = fused(batch, torch.float32, "cuda", entropy_coefficient=value)
        for a, b in zip(out, (expected[0].total, *expected[1:]), strict=True):
            assert torch.equal(a, b), f"weight {value}"


@pytest.mark.parametrize("device", DEVICES)
def test_no_rows(device: str) -> None:
    batch = Batch(**{k: v[:0] for k, v in vars(batch_of(played_masks(2))).items()})
    loss, by_logits, by_values = fused(batch, torch.float32, device)
    assert [x.item() for x in loss] == [0.0] * 6
    assert by_logits.shape == (0, ops.LABELS) and by_values.shape == (0,)


@pytest.mark.parametrize("seed", [1, 2])
def test_half_precision_gradients_are_rounded_to_nearest(seed: int) -> None:
    # A loss scaled up and down, so that the gradient spans normal, subnormal and infinite halves.
    for scale in (1e-6, 1.0, 1e7):
        for dtype in (torch.float16, torch.bfloat16):
            batch = batch_of(played_masks(12), seed=seed)
            wide = fused(batch, torch.float32, "cpu", scale=scale)[1]
            assert torch.equal(fused(batch, dtype, "cpu", scale=scale)[1], wide.to(dtype))
