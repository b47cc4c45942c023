"""Other people's draws leave the run's generators where they stood."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from keisei.utils.generators import kept_generators


def test_every_generator_goes_on_as_if_nothing_had_been_drawn() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draws()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)

    def draw_and_fail() -> None:
        with kept_generators():
            draws()
            torch.manual_seed(99)
            raise KeyError

    with pytest.raises(KeyError):
        draw_and_fail()
    assert draws() == expected


@pytest.mark.gpu
def test_the_devices_generators_too() -> None:
    torch.cuda.manual_seed_all(1)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed_all(1)
    with kept_generators():
        torch.rand(5, device="cuda")
    assert torch.equal(torch.rand(3, device="cuda"), expected)
