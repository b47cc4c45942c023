"""What does not fit is refused in the same words on every device, and nothing has changed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from batch_helpers import DEVICES, State, clocks, played_masks, played_positions

from keisei import ops

N = 6


def refuses(text: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        call()


def where(device: str) -> str:
    return "cuda:0" if device == "cuda" else device


@pytest.mark.parametrize("device", DEVICES)
def test_step_names_what_does_not_fit(device: str) -> None:
    state = State(N, device=device)
    on = where(device)
    wrong: list[tuple[str, torch.Tensor, str]] = [
        ("positions", torch.zeros(16, N, dtype=torch.int32), "int32 [17, N]"),
        ("progress", torch.zeros(4, N + 1, dtype=torch.int32), f"int32 [4, {N}]"),
        ("history", torch.zeros(1, 9, 32, dtype=torch.int32), "int64 [1, max_plies + 1, 32]"),
        ("buckets", torch.zeros(N, 8, dtype=torch.int32), f"int16 [{N}, B]"),
        ("starts", torch.zeros(1, 17, dtype=torch.int32), "int32 [S, 98]"),
        ("mask", torch.zeros(N, 82, dtype=torch.int32), f"int32 [{N}, 81]"),
        ("actions", torch.zeros(N), f"int64 [{N}]"),
        ("actions", torch.zeros(N, 1, dtype=torch.int64), f"int64 [{N}]"),
        ("reward", torch.zeros(N, dtype=torch.float64), f"float32 [{N}]"),
        ("ending", torch.zeros(N, dtype=torch.int8), f"uint8 [{N}]"),
        ("valid", torch.zeros(N, dtype=torch.uint8), f"bool [{N}]"),
        ("length", torch.zeros(N, dtype=torch.int64), f"int32 [{N}]"),
        ("error", torch.zeros(2, dtype=torch.int64), "int64 [1]"),
    ]
    before = [state.positions.clone(), state.progress.clone(), state.mask.clone()]
    for name, tensor, expected in wrong:
        tensor = tensor.to(device)
        got = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)} on {on}"
        arguments = state.step_arguments(**{name: tensor})
        refuses(
            f"{name}: expected {expected} on {on}, got {got}",
            lambda arguments=arguments: torch.ops.keisei.step(*arguments),
        )
    for old, new in zip(before, (state.positions, state.progress, state.mask), strict=True):
        assert torch.equal(old, new)


@pytest.mark.parametrize("device", DEVICES)
def test_only_contiguous_tensors(device: str) -> None:
    state = State(N, device=device)
    on = where(device)
    every_second = torch.zeros(2 * N, dtype=torch.int64, device=device)[::2]
    refuses(
        f"actions: expected contiguous int64 [{N}] on {on}, "
        f"got int64 [{N}] with strides [2] on {on}",
        lambda: torch.ops.keisei.step(*state.step_arguments(actions=every_second)),
    )
    refuses(
        f"mask: expected contiguous int32 [N, 81] on {on}, "
        f"got int32 [{N}, 81] with strides [1, {N}] on {on}",
        lambda: ops.unpack_mask(state.mask.t().contiguous().t()),
    )


@pytest.mark.parametrize("read", [ops.legal_mask, ops.planes, lambda p: ops.perft(p, 2)])
@pytest.mark.parametrize("device", DEVICES)
def test_positions_in_rows_or_word_major_and_no_other_way(
    device: str, read: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    positions = played_positions(N).to(device)
    on = where(device)
    spread = torch.zeros(N, 34, dtype=torch.int32, device=device)[:, ::2]
    refuses(
        f"positions: expected int32 [{N}, 17] with strides [17, 1] or [1, {N}] on {on}, "
        f"got int32 [{N}, 17] with strides [34, 2] on {on}",
        lambda: read(spread),
    )
    part = positions.t().contiguous().t()[: N - 1]
    refuses(
        f"positions: expected int32 [{N - 1}, 17] with strides [17, 1] or [1, {N - 1}] on {on}, "
        f"got int32 [{N - 1}, 17] with strides [1, {N}] on {on}",
        lambda: read(part),
    )
    refuses(
        f"positions: expected int32 [N, 17] on {on}, got int32 [17, {N}] on {on}",
        lambda: read(positions.t()),
    )
    one = positions[:1]
    assert torch.equal(read(one), read(one.t().contiguous().t()))


def test_what_is_written_shares_no_memory() -> None:
    state = State(N)
    both = torch.zeros(N + 2)
    refuses(
        "length: expected memory of its own, got memory shared with reward",
        lambda: torch.ops.keisei.step(
            *state.step_arguments(reward=both[:N], length=both[2:].view(torch.int32))
        ),
    )
    actions = torch.zeros(N, dtype=torch.int64)
    refuses(
        "error: expected memory of its own, got memory shared with actions",
        lambda: torch.ops.keisei.step(*state.step_arguments(actions=actions, error=actions[3:4])),
    )
    # Neighbours in one storage do not overlap.
    pair = torch.zeros(2, N)
    state.actions = ops.uniform_sample(state.mask, state.progress[1], 0)
    torch.ops.keisei.step(*state.step_arguments(reward=pair[0], length=pair[1].view(torch.int32)))
    assert state.valid.all()


def test_numbers_out_of_range() -> None:
    state = State(N, max_plies=8)
    arguments = list(state.step_arguments())
    refuses(
        "max_plies: expected 8 (the rows of history less one), got 9",
        lambda: torch.ops.keisei.step(*arguments[:-2], 9, True),
    )
    refuses(
        "first_game: expected at least 0, got -1",
        lambda: torch.ops.keisei.reset(*state.reset_arguments[:-1], -1),
    )
    short = torch.zeros(1, 1, 32, dtype=torch.int64)
    refuses(
        "history: expected 2 to 65536 rows (max_plies + 1), got 1",
        lambda: torch.ops.keisei.reset(
            state.positions, state.progress, short, state.buckets, state.starts, state.mask, 0
        ),
    )
    refuses(
        "starts: number of rows: expected at least 1, got 0",
        lambda: torch.ops.keisei.reset(
            state.positions,
            state.progress,
            state.history,
            state.buckets,
            state.starts[:0],
            state.mask,
            0,
        ),
    )
    for wrong in (0, 1, 12):
        buckets = torch.zeros(N, wrong, dtype=torch.int16)
        refuses(
            f"buckets: expected a power of two from 2 to 65536 a game, got {wrong}",
            lambda buckets=buckets: torch.ops.keisei.reset(
                *state.reset_arguments[:3], buckets, *state.reset_arguments[4:]
            ),
        )
    for plies, text in ((-1, "at least 0, got -1"), (2**20 + 1, "at most 1048576, got 1048577")):
        refuses(
            f"plies: expected {text}",
            lambda plies=plies: torch.ops.keisei.random_play(
                *state.reset_arguments[:-1], plies, 0, 0
            ),
        )


@pytest.mark.parametrize("device", DEVICES)
def test_sampling_names_what_does_not_fit(device: str) -> None:
    on = where(device)
    mask = played_masks(N).to(device)
    clock = clocks(N).to(device)
    logits = torch.zeros(N, ops.LABELS, device=device)
    refuses(
        f"clock: expected int32 [{N}] on {on}, got int64 [{N}] on {on}",
        lambda: ops.uniform_sample(mask, clock.long(), 0),
    )
    refuses(
        f"logits: expected float32, float16 or bfloat16 [N, 2187] on {on}, "
        f"got float64 [{N}, 2187] on {on}",
        lambda: ops.masked_sample(logits.double(), mask, clock, 0),
    )
    refuses(
        f"mask: expected int32 [{N}, 81] on {on}, got int32 [{N - 1}, 81] on {on}",
        lambda: ops.masked_sample(logits, mask[1:], clock, 0),
    )
    for depth in (-1, 33):
        refuses(
            f"depth: expected 0 to 32, got {depth}",
            lambda: ops.perft(played_positions(N).to(device), depth),  # noqa: B023
        )
    refuses(
        "dtype: expected float32, float64, float16, bfloat16 or uint8, got int8",
        lambda: ops.planes(played_positions(N).to(device), torch.int8),
    )
    refuses(
        "padded: expected False without channels_last, got True",
        lambda: ops.planes(played_positions(N).to(device), padded=True),
    )


@pytest.mark.parametrize("device", DEVICES)
def test_gae_names_what_does_not_fit(device: str) -> None:
    on = where(device)
    values = torch.zeros(4, N, device=device)
    rewards = torch.zeros(3, N, device=device)
    ending = torch.zeros(3, N, dtype=torch.uint8, device=device)
    valid = torch.ones(3, N, dtype=torch.bool, device=device)
    refuses(
        f"values: expected float32 [T + 1, N] on {on}, got float64 [4, {N}] on {on}",
        lambda: ops.gae(values.double(), rewards, ending, valid),
    )
    refuses(
        f"rewards: expected float32 [3, {N}] on {on}, got float32 [4, {N}] on {on}",
        lambda: ops.gae(values, values, ending, valid),
    )
    refuses(
        "form: expected zero_sum, single or own_plies, got zerosum",
        lambda: torch.ops.keisei.gae(values, rewards, ending, valid, 1.0, 1.0, "zerosum", None),
    )
    refuses(
        f"own: expected bool [3, {N}], got None",
        lambda: ops.gae(values, rewards, ending, valid, form="own_plies"),
    )
    refuses(
        "own: expected None for a form other than own_plies, got a tensor",
        lambda: ops.gae(values, rewards, ending, valid, own=valid),
    )


@pytest.mark.parametrize("device", DEVICES)
def test_ppo_loss_names_what_does_not_fit(device: str) -> None:
    on = where(device)
    logits = torch.zeros(N, ops.LABELS, device=device, dtype=torch.bfloat16)
    row = torch.zeros(N, device=device)
    mask = played_masks(N).to(device)
    actions = torch.zeros(N, dtype=torch.int64, device=device)
    valid = torch.ones(N, dtype=torch.bool, device=device)
    given = [logits, row, mask, actions, row, row, row, row, valid]
    wrong: list[tuple[int, torch.Tensor, str]] = [
        (0, logits[:, :7], "logits: expected float32, float16, bfloat16 or float64 [B, 2187]"),
        (1, row.double(), f"values: expected float32 [{N}]"),
        (2, mask[1:], f"mask: expected int32 [{N}, 81]"),
        (3, actions.int(), f"actions: expected int64 [{N}]"),
        (4, row[1:], f"log_probs: expected float32 [{N}]"),
        (5, row.half(), f"old_values: expected float32 [{N}]"),
        (6, row[:, None], f"advantages: expected float32 [{N}]"),
        (7, row.int(), f"returns: expected float32 [{N}]"),
        (8, valid.byte(), f"valid: expected bool [{N}]"),
    ]
    for place, tensor, expected in wrong:
        got = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)} on {on}"
        arguments = [*given[:place], tensor, *given[place + 1 :]]
        refuses(
            f"{expected} on {on}, got {got}", lambda arguments=arguments: ops.ppo_loss(*arguments)
        )
    refuses(
        f"values: expected float64 [{N}] on {on}, got float32 [{N}] on {on}",
        lambda: ops.ppo_loss(logits.double(), *given[1:]),
    )
    for weight, got in ((row, f"float32 [{N}]"), (row[0].double(), "float64 []")):
        refuses(
            f"entropy_coefficient: expected float32 [] on {on}, got {got} on {on}",
            lambda weight=weight: ops.ppo_loss(*given, entropy_coefficient=weight),
        )


@pytest.mark.parametrize("device", DEVICES)
def test_mirror_names_what_does_not_fit(device: str) -> None:
    on = where(device)
    given = [
        played_positions(N).to(device),
        torch.zeros(N, dtype=torch.int64, device=device),
        torch.ones(N, dtype=torch.bool, device=device),
    ]
    wrong: list[tuple[int, torch.Tensor, str]] = [
        (0, given[0][:, 1:], "positions: expected int32 [N, 17]"),
        (1, given[1].int(), f"actions: expected int64 [{N}]"),
        (1, given[1][1:], f"actions: expected int64 [{N}]"),
        (2, given[2].int(), f"flip: expected bool [{N}]"),
        (2, given[2][:2], f"flip: expected bool [{N}]"),
    ]
    for place, tensor, expected in wrong:
        got = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)} on {on}"
        arguments = [*given[:place], tensor, *given[place + 1 :]]
        refuses(
            f"{expected} on {on}, got {got}", lambda arguments=arguments: ops.mirror(*arguments)
        )


@pytest.mark.gpu
def test_two_devices_in_one_call() -> None:
    state = State(N, device="cuda")
    refuses(
        f"actions: expected int64 [{N}] on cuda:0, got float32 [{N}] on cpu",
        lambda: torch.ops.keisei.step(*state.step_arguments(actions=torch.zeros(N))),
    )
    refuses(
        f"clock: expected int32 [{N}] on cuda:0, got int32 [{N}] on cpu",
        lambda: ops.uniform_sample(state.mask, clocks(N), 0),
    )
    refuses(
        f"flip: expected bool [{N}] on cuda:0, got bool [{N}] on cpu",
        lambda: ops.mirror(state.positions.t(), state.actions, torch.zeros(N, dtype=torch.bool)),
    )
    refuses(
        f"clock: expected int32 [{N}] on cpu, got int32 [{N}] on cuda:0",
        lambda: ops.uniform_sample(state.mask.cpu(), clocks(N).cuda(), 0),
    )
