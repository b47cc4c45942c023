"""Old names of the trainer lead to where things are now, and only the mixin has them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from keisei.training.compatibility_mixin import CompatibilityMixin
from keisei.training.metrics_manager import MetricsManager
from keisei.training.trainer import Trainer

SETTABLE = ("global_timestep", "total_episodes_completed", "black_wins", "white_wins", "draws")
FIXED = ("state", "env", "total_timesteps")


class Old(CompatibilityMixin):
    """Of a trainer no more than the mixin uses."""

    def __init__(self) -> None:
        self.metrics_manager = MetricsManager()
        self.training_loop_manager = cast(Any, SimpleNamespace(total_timesteps=70))
        self.game = cast(Any, object())


@pytest.mark.parametrize("name", SETTABLE)
def test_counters_are_read_and_set_where_they_live(name: str) -> None:
    old = Old()
    assert getattr(old, name) == getattr(old.metrics_manager, name) == 0
    setattr(old, name, 5)
    assert getattr(old, name) == getattr(old.metrics_manager, name) == 5
    with pytest.raises(ValueError, match="expected 0 or more, got -1"):
        setattr(old, name, -1)


def test_other_names_are_passed_on() -> None:
    old = Old()
    assert old.state is old.metrics_manager.state
    assert old.env is old.game
    assert old.total_timesteps == 70
    for name in FIXED:
        with pytest.raises(AttributeError):
            setattr(old, name, None)


def test_every_old_name_is_tested_and_stands_nowhere_else() -> None:
    names = {
        name for name, value in vars(CompatibilityMixin).items() if isinstance(value, property)
    }
    assert names == {*SETTABLE, *FIXED}
    assert issubclass(Trainer, CompatibilityMixin)
    assert not names & set(vars(Trainer)), "expected old names in the mixin alone"
