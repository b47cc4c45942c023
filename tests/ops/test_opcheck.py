"""Every op agrees with its schema, its fake kernel and torch's compiler."""

from __future__ import annotations

import pytest
import torch
from batch_helpers import DEVICES, State, clocks, played_masks, played_positions

from keisei import ops


def check(name: str, *args: object) -> None:
    torch.library.opcheck(getattr(torch.ops.keisei, name).default, args)


@pytest.mark.parametrize("games", [0, 5])
@pytest.mark.parametrize("device", DEVICES)
def test_reset(device: str, games: int) -> None:
    check("reset", *State(games, device=device).reset_arguments)
    check("random_play", *State(games, device=device).reset_arguments[:-1], 5, 3, 0)


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("games", [0, 5])
@pytest.mark.parametrize("device", DEVICES)
def test_step(device: str, games: int, checked: bool) -> None:
    state = State(games, device=device)
    actions = ops.uniform_sample(state.mask, state.progress[1], 0)
    check("step", *state.step_arguments(checked, actions=actions))


@pytest.mark.parametrize("games", [0, 5])
@pytest.mark.parametrize("device", DEVICES)
def test_positions_readers(device: str, games: int) -> None:
    rows = played_positions(games).to(device)
    word_major = rows.t().contiguous().t()
    for positions in (rows, word_major):
        check("legal_mask", positions)
        check("planes", positions, torch.float32, False)
        check("planes", positions, torch.bfloat16, True)
        check("planes", positions, torch.uint8, True)
        check("planes", positions, torch.bfloat16, True, True)
        check("planes", positions, torch.bfloat16, True, True)
        check("perft", positions, 2)
        actions = torch.arange(games, device=device)
        check("mirror", positions, actions, actions % 2 == 0)


@pytest.mark.parametrize("games", [0, 5])
@pytest.mark.parametrize("device", DEVICES)
def test_mask_readers(device: str, games: int) -> None:
    mask = played_masks(games).to(device)
    clock = clocks(games).to(device)
    check("unpack_mask", mask)
    check("uniform_sample", mask, clock, 3, 0)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        logits = torch.zeros(games, ops.LABELS, dtype=dtype, device=device)
        check("masked_sample", logits, mask, clock, 3, 0, False)


@pytest.mark.parametrize("form", ["zero_sum", "single", "own_plies"])
@pytest.mark.parametrize(("steps", "games"), [(0, 3), (4, 0), (4, 3)])
@pytest.mark.parametrize("device", DEVICES)
def test_gae(device: str, steps: int, games: int, form: str) -> None:
    values = torch.linspace(-1, 1, (steps + 1) * games, device=device).view(steps + 1, games)
    rewards = torch.zeros(steps, games, device=device)
    ending = torch.zeros(steps, games, dtype=torch.uint8, device=device)
    valid = torch.ones(steps, games, dtype=torch.bool, device=device)
    own = valid.clone() if form == "own_plies" else None
    check("gae", values, rewards, ending, valid, 1.0, 0.95, form, own)


@pytest.mark.parametrize("value_clip", [None, 0.2])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str
)
@pytest.mark.parametrize("rows", [0, 5])
@pytest.mark.parametrize("device", DEVICES)
def test_ppo_loss(device: str, rows: int, dtype: torch.dtype, value_clip: float | None) -> None:
    real = torch.promote_types(dtype, torch.float32)
    mask = played_masks(rows).to(device)
    logits = torch.zeros(rows, ops.LABELS, dtype=dtype, device=device, requires_grad=True)
    values, log_probs, old_values, advantages, returns = (
        torch.linspace(low, 1, rows, dtype=real, device=device) for low in (-1, -3, 0, -2, -0.5)
    )
    actions = ops.uniform_sample(mask, clocks(rows).to(device), 1)
    valid = torch.ones(rows, dtype=torch.bool, device=device)
    given = (mask, actions, log_probs, old_values, advantages, returns, valid)
    weight = torch.full((), 0.01, dtype=real, device=device)
    check("ppo_loss", logits, values.requires_grad_(), *given, 0.2, value_clip, 0.5, weight)
    _, metrics, stats = torch.ops.keisei.ppo_loss(
        logits.detach(), values.detach(), *given, 0.2, value_clip, 0.5, weight
    )
    gradient = torch.ones((), dtype=real, device=device)
    rest = (mask, actions, valid, metrics, stats, weight)
    check("ppo_loss_backward", gradient, logits.detach(), *rest)
