"""What docs/plugins.md shows runs, and the names in it are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keisei.training.callbacks import Callback, Event

PAGE = (Path(__file__).parent.parent / "docs/plugins.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
# What an example needs beside keisei itself.
EXTRAS = ("gymnasium", "pettingzoo", "torchrl")


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for extra in EXTRAS:
        if extra in EXAMPLES[number]:
            pytest.importorskip(extra, reason=f"needs the extra {extra!r}")
    monkeypatch.chdir(tmp_path)
    exec(compile(EXAMPLES[number], f"example {number}", "exec"), {"__name__": "example"})


def test_there_are_examples_of_everything() -> None:
    text = "".join(EXAMPLES)
    for name in ("Callback", "check_network", "execute_full_evaluation_run", "EnhancedTrainer"):
        assert name in text
    assert all(extra in text for extra in EXTRAS)


def test_every_event_is_in_the_table() -> None:
    told = re.findall(r"^\| `(on_\w+)` \|", PAGE, re.MULTILINE)
    assert told == [f"on_{event.value}" for event in Event]
    assert all(hasattr(Callback, name) for name in told)
