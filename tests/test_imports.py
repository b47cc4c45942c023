"""Playing loads torch and nothing else that is heavy; only training loads what training needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"google.protobuf", "pydantic", "rich", "tensorboard", "torch._dynamo", "yaml"}


def modules_after(statement: str) -> set[str]:
    """What a fresh Python has loaded after torch and ``statement``, less what torch loads."""
    code = (
        "import sys, torch; before = set(sys.modules)\n"
        f"{statement}\n"
        "print('\\n'.join(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import keisei; keisei.Position()",
        "import keisei.envs; keisei.envs.ShogiVectorEnv(1)",
        "import keisei.training",
    ],
)
def test_playing_loads_nothing_heavy(statement: str) -> None:
    loaded = modules_after(statement) & HEAVY
    assert not loaded, f"{statement!r} loads {sorted(loaded)}, which only training should"


def test_the_trainer_loads_what_it_writes_with_only_when_it_trains() -> None:
    late = {"google.protobuf", "tensorboard", "torch._dynamo", "torch.utils.tensorboard", "wandb"}
    loaded = modules_after("from keisei.training import Trainer; Trainer") & late
    assert not loaded, f"importing the trainer loads {sorted(loaded)}"
