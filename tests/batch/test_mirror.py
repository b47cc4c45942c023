"""Positions and labels in the mirror: against the text transforms, the other ops and the rules."""

from __future__ import annotations

import pytest
import torch
from batch_helpers import DEVICES, clocks, played_positions
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import text

from keisei import Position, ops
from keisei.envs import ShogiVectorEnv

GAMES = 200


@pytest.fixture(scope="module")
def positions() -> torch.Tensor:
    """int32 [3 * GAMES, 17]: black and white to move, early and late, some occurred before."""
    rows = torch.cat([played_positions(GAMES, steps) for steps in (7, 60, 95)])
    rows[::3, 15] |= (torch.arange(len(rows[::3]), dtype=torch.int32) % 4) << 28
    assert 0 < int((rows[:, 15] < 0).sum()) < len(rows)
    return rows


def all_of(rows: torch.Tensor, flip: bool = True) -> torch.Tensor:
    return torch.full((len(rows),), flip, device=rows.device)


def actions_of(rows: torch.Tensor, seed: int = 1) -> torch.Tensor:
    return ops.uniform_sample(ops.legal_mask(rows), clocks(len(rows)).to(rows.device), seed)


def mirrored_bits(legal: torch.Tensor) -> torch.Tensor:
    """bool [N, 2187] with every label in its mirror image's place, by the text transform."""
    order = torch.tensor([text.mirror_label(label) for label in range(ops.LABELS)])
    return legal[:, order.to(legal.device)]


@pytest.mark.parametrize("device", DEVICES)
def test_twice_is_the_position_itself(device: str, positions: torch.Tensor) -> None:
    rows = positions.to(device)
    actions = actions_of(rows)
    once = ops.mirror(rows, actions, all_of(rows))
    assert not torch.equal(once[0], rows) and not torch.equal(once[1], actions)
    again = ops.mirror(*once, all_of(rows))
    assert torch.equal(again[0], rows) and torch.equal(again[1], actions)


@pytest.mark.parametrize("device", DEVICES)
def test_legal_moves_and_planes_are_the_mirrored_ones(device: str, positions: torch.Tensor) -> None:
    rows = positions.to(device)
    for given_rows in (rows, rows.t().contiguous().t()):
        mirrored, _ = ops.mirror(given_rows, actions_of(rows), all_of(rows))
        assert mirrored.is_contiguous()
        legal = ops.unpack_mask(ops.legal_mask(rows))
        assert torch.equal(ops.unpack_mask(ops.legal_mask(mirrored)), mirrored_bits(legal))
        # Planes are [N, plane, file, rank].
        assert torch.equal(ops.planes(mirrored), ops.planes(rows).flip(2))
    assert torch.equal(mirrored[:, 15:], rows[:, 15:]), "hands, turn and occurrence must stay"


@pytest.mark.parametrize("device", DEVICES)
def test_only_the_rows_that_are_said(device: str, positions: torch.Tensor) -> None:
    rows = positions.to(device)
    actions = actions_of(rows)
    flip = torch.rand(len(rows), generator=torch.Generator().manual_seed(2)).to(device) < 0.4
    got = ops.mirror(rows, actions, flip)
    whole = ops.mirror(rows, actions, all_of(rows))
    for mine, mirrored, plain in zip(got, whole, (rows, actions), strict=True):
        assert torch.equal(mine[flip], mirrored[flip])
        assert torch.equal(mine[~flip], plain[~flip])


@pytest.mark.parametrize("device", DEVICES)
def test_every_label_and_what_is_none(device: str) -> None:
    odd = [-1, -(2**40), ops.LABELS, 2**40]
    actions = torch.tensor([*range(ops.LABELS), *odd], device=device)
    rows = torch.zeros(len(actions), 17, dtype=torch.int32, device=device)
    _, mirrored = ops.mirror(rows, actions, all_of(rows))
    expected = [text.mirror_label(label) for label in range(ops.LABELS)]
    assert mirrored.tolist() == [*expected, *odd]


def test_a_game_and_its_mirror_image_go_on_alike() -> None:
    """Step by step in the environment: rewards, endings, positions."""
    env, image = (ShogiVectorEnv(64, max_plies=120, seed=9) for _ in range(2))
    image.reset([text.mirror_sfen(Position().sfen())])
    ended = 0
    for step in range(300):
        rows = env.positions.contiguous()
        actions = env.sample_uniform()
        mirrored, labels = ops.mirror(rows, actions, all_of(rows))
        assert torch.equal(image.positions, mirrored), f"step {step}"
        out, seen = env.step(actions), image.step(labels)
        ended += int((out.ending != ops.NOT_ENDED).sum())
        for name in out._fields:
            assert torch.equal(getattr(out, name), getattr(seen, name)), f"step {step}: {name}"
    assert ended > 100


STARTS = (
    "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1",
    "l6nl/5+P1gk/2np1S3/p1p4Pp/3P2Sp1/1PPb2P1P/P5GS1/R8/LN4bKL w RGgsn5p 1",
    "4k4/9/9/9/9/9/9/9/4K4 b RBGSNL9Prbgsnl9p 1",
    "7nk/9/7PG/9/9/9/9/9/4K4 b 2P2r2b3g4s3n4l15p 1",
    "K+L+N6/GS+P6/1+P2R4/9/4b4/6p2/7g1/5g+n1s/3r4k b BG2S2N3L12P 200",
)


@settings(max_examples=150)
@given(st.sampled_from(STARTS), st.lists(st.integers(min_value=0, max_value=599), max_size=80))
def test_as_the_rules_have_it(start: str, choices: list[int]) -> None:
    """The words of any game's position, mirrored, are those of the game played in the mirror."""
    position = Position.from_sfen(start)
    image = Position.from_sfen(text.mirror_sfen(start))
    for choice in choices:
        moves = position.legal_moves()
        if not moves:
            break
        move = moves[choice % len(moves)]
        words = torch.from_numpy(position.words())[None]
        label = torch.tensor([position.label(move)])
        mirrored, labels = ops.mirror(words, label, torch.tensor([True]))
        assert mirrored[0].tolist() == image.words().tolist(), position.sfen()
        assert labels.item() == image.label(text.mirror_usi(move)), (position.sfen(), move)
        position.push(move)
        image.push(text.mirror_usi(move))
    assert position.outcome() == image.outcome(), position.sfen()


@pytest.mark.parametrize("device", DEVICES)
def test_no_rows(device: str) -> None:
    rows = torch.zeros(0, 17, dtype=torch.int32, device=device)
    actions = torch.zeros(0, dtype=torch.int64, device=device)
    mirrored, labels = ops.mirror(rows, actions, all_of(rows))
    assert mirrored.shape == (0, 17) and labels.shape == (0,)
