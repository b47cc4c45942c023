"""What it costs to be watched is measured with and without, in turns."""

from __future__ import annotations

import importlib.util
import json
import os
import signal

import pytest

from benchmarks import watching
from keisei.training.callbacks import Event, Snapshot, StopTraining
from keisei.utils.wandb_mirror import WandbMirror


def test_pairs_are_of_blocks_in_turns(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    now = [0.0]
    monkeypatch.setattr(watching.time, "perf_counter", lambda: now[0])
    on = [False]
    turns = watching._Turns("wandb", lambda state: on.__setitem__(0, state), block=3, pairs=2)
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
    said = capsys.readouterr()
    row = json.loads(said.out.splitlines()[-1])
    assert row["part"] == part and row["pairs"] == 2 and row["iteration_seconds"] > 0
    assert row["least"] <= row["low"] <= row["cost"] <= row["high"] <= row["most"]
    told = [line.split(":")[1] for line in said.err.splitlines() if line.startswith(f"{part}: ")]
    assert told == [" 5 iterations to warm up are over", " pair 1 of 2", " pair 2 of 2"]


def measured() -> None:
    watching.main(["--device", "cpu", "--small", "--part", "wandb", "--block", "2", "--pairs", "2"])


def test_a_run_that_was_stopped_gives_no_figure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        watching._Mirror, "switch", lambda self, on: os.kill(os.getpid(), signal.SIGINT)
    )
    with pytest.raises(SystemExit, match="the run was stopped before all pairs were measured"):
        measured()
    assert capsys.readouterr().out == ""


def test_no_mirror_has_no_cost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as left:
        measured()
    assert "expected a mirror that has begun its run, the log has: " in str(left.value.code)
    assert "the package wandb is not installed" in str(left.value.code)
    assert capsys.readouterr().out == ""


def test_a_mirror_that_dies_has_no_cost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    switch, switched = watching._Mirror.switch, []

    def kills(self: watching._Mirror, on: bool) -> None:
        switch(self, on)
        switched.append(on)
        if len(switched) == 2:
            assert self._mirror is not None and self._mirror.process_id is not None
            os.kill(self._mirror.process_id, signal.SIGKILL)

    monkeypatch.setattr(watching._Mirror, "switch", kills)
    with pytest.raises(SystemExit, match=r"expected (a mirror that has begun its run|4 records)"):
        measured()
    assert capsys.readouterr().out == ""


def test_a_mirror_that_takes_nothing_has_no_cost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(WandbMirror, "log", lambda self, values, step: None)
    with pytest.raises(SystemExit, match="expected 4 records there, got 0"):
        measured()
    assert capsys.readouterr().out == ""
