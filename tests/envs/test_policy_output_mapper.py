"""Labels of the policy and moves of a position."""

from __future__ import annotations

import pytest
import torch

from keisei import Position
from keisei.envs.policy_output_mapper import PolicyOutputMapper

MAPPER = PolicyOutputMapper()


def positions() -> list[Position]:
    """Both sides to move, with and without pieces in hand."""
    found = [Position()]
    for usi in ("7g7f", "3c3d", "8h2b+", "3a2b"):
        found.append(found[-1].copy())
        found[-1].push(usi)
    return found


def test_every_legal_move_has_a_label_and_comes_back() -> None:
    for position in positions():
        moves = position.legal_moves()
        labels = [MAPPER.label(position, usi) for usi in moves]
        assert len(set(labels)) == len(moves)
        assert [MAPPER.move(position, label) for label in labels] == moves
        assert sorted(labels) == MAPPER.legal(position).nonzero().flatten().tolist()


def test_a_label_is_the_move_that_the_mover_sees() -> None:
    black, white = positions()[:2]
    assert MAPPER.label(black, "7g7f") == MAPPER.label(white, "3c3d")


def test_probabilities_are_those_of_legal_moves_alone() -> None:
    position = positions()[-1]
    logits = torch.full((MAPPER.size,), 5.0)
    labels = position.legal_labels()
    logits[labels] = torch.linspace(-1.0, 1.0, len(labels))
    shares = MAPPER.probabilities(position, logits)
    assert set(shares) == set(position.legal_moves())
    assert sum(shares.values()) == pytest.approx(1.0)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert next(iter(shares)) == position.move(labels[-1])
    assert MAPPER.probabilities(position, logits.double().numpy()) == shares


def test_what_is_not_there_is_named() -> None:
    position = Position()
    with pytest.raises(ValueError, match=r"^usi: expected a legal move of lnsg.*, got '7g7e'"):
        MAPPER.label(position, "7g7e")
    illegal = next(i for i in range(MAPPER.size) if i not in position.legal_labels())
    for label in (illegal, -1, MAPPER.size):
        with pytest.raises(ValueError, match=rf"^label: expected .*, got {label}"):
            MAPPER.move(position, label)
    with pytest.raises(ValueError, match=r"^logits: expected \[2187\], got \[3\]"):
        MAPPER.probabilities(position, [0.0, 1.0, 2.0])
