"""What it costs to be watched is measured with and without, in turns."""

from __future__ import annotations

import json

import pytest

from benchmarks import watching
from keisei.training.callbacks import Event, Snapshot, StopTraining


def test_pairs_are_of_blocks_in_turns(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    now = [0.0]
    monkeypatch.setattr(watching.time, "perf_counter", lambda: now[0])
    on = [False]
    turns = watching._Turns(lambda state: on.__setitem__(0, state), block=3, pairs=2)
    snapshot = Snapshot(Event.UPDATE_END, 1, 1, 0.0, tmp_path)
    seen = []

    def iterate() -> None:
        now[0] += 1.5 if on[0] else 1.0
        seen.append(on[0])
        turns.on_update_end(snapshot)

    for _ in range(watching._WARM_UP + 12 - 1):
        iterate()
    with pytest.raises(StopTraining):
        iterate()
    assert turns.pairs() == pytest.approx([0.5, 0.5])
    assert [len(block) for block in turns.seconds] == [2, 2, 2, 2]
    assert seen[-11:] == [True] * 2 + [False] * 6 + [True] * 3


@pytest.mark.parametrize("part", ["wandb", "details", "alerts"])
def test_each_part_is_measured(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    watching.main(["--device", "cpu", "--small", "--part", part, "--block", "2", "--pairs", "2"])
    row = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert row["part"] == part and row["pairs"] == 2
    assert row["low"] <= row["cost"] <= row["high"] and row["iteration_seconds"] > 0
    assert row["mirror_alive"] == (True if part == "wandb" else None)
