"""Recorded work: on CUDA one graph, elsewhere a plain call, and where it fails still the work."""

from __future__ import annotations

import logging

import pytest
import torch

from keisei.core.captured import Captured


def test_elsewhere_a_call_is_a_call() -> None:
    calls: list[int] = []
    work = Captured("work", torch.device("cpu"), lambda: calls.append(len(calls)))
    for key in (None, None, "other"):
        work(key)
    assert calls == [0, 1, 2] and not work.recorded


def test_what_cannot_be_recorded_runs_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The order of calls on CUDA, with a recorder that fails."""
    calls: list[str] = []

    class Broken:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def __enter__(self) -> None:
            calls.append("record")
            raise RuntimeError("operation not permitted\nwhen stream is capturing")

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Broken)
    monkeypatch.setattr(torch.cuda, "device", lambda _: open("/dev/null"))  # noqa: PTH123, SIM115
    monkeypatch.setattr(torch.cuda, "graph", Broken)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: "the stream")
    monkeypatch.setattr(torch.cuda, "set_stream", calls.append)
    work = Captured("the work", torch.device("cuda"), lambda: calls.append("work"))
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            work()
    assert calls == ["work", "record", "the stream", "work", "work", "work"]
    assert caplog.messages == ["the work runs without a CUDA graph: operation not permitted"]


@pytest.mark.gpu
def test_a_graph_does_the_work_and_another_key_begins_anew() -> None:
    x = torch.zeros((), device="cuda")
    calls: list[int] = []

    def add() -> None:
        calls.append(1)
        x.add_(1)

    work = Captured("work", torch.device("cuda"), add)
    for number in range(1, 6):
        work("one")
        assert float(x) == number
        assert work.recorded == (number > 1)
    assert len(calls) == 2  # as it stands, and to be recorded
    work("two")
    assert float(x) == 6 and not work.recorded


@pytest.mark.gpu
def test_work_that_waits_is_not_recorded(caplog: pytest.LogCaptureFixture) -> None:
    x = torch.zeros((), device="cuda")

    def add() -> None:
        if float(x) >= 0:  # waits for the device
            x.add_(1)

    work = Captured("the work", torch.device("cuda"), add)
    for number in range(1, 4):
        work()
        assert float(x) == number
    assert not work.recorded
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert "the work runs without a CUDA graph" in caplog.text
