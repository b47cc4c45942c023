"""Signals: the first one asks, a second SIGINT quits, whatever the main thread does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from keisei.training.interrupt import IterationAbandonedError, StopRequest


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_only_asks(number: signal.Signals) -> None:
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    with StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
    assert {n: signal.getsignal(n) for n in before} == before
    assert signal.set_wakeup_fd(-1) == -1, "expected no wakeup descriptor to stay behind"


def test_a_second_sigint_interrupts_and_a_second_sigterm_does_not() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_what_torchrun_passes_on_is_not_a_second_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    clock = Clock()
    with StopRequest(clock=clock) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        clock.now += 1.9
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        clock.now += 0.2
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_it_is_overdue_once_the_grace_is_over() -> None:
    clock = Clock()
    with StopRequest(grace_seconds=10, clock=clock) as stop:
        clock.now += 100
        assert not stop.overdue
        os.kill(os.getpid(), signal.SIGTERM)
        clock.now += 9.9
        stop.abandon_if_overdue()
        assert not stop.overdue
        os.kill(os.getpid(), signal.SIGTERM)  # does not begin the grace anew
        clock.now += 0.2
        assert stop.overdue
        with pytest.raises(IterationAbandonedError):
            stop.abandon_if_overdue()


# One call of C that takes an hour, without the lock: no handler of Python's runs in it.
BUSY = """
import hashlib, logging
from keisei.training.interrupt import StopRequest
logging.basicConfig(format="%(message)s")
with StopRequest(exit_at_once=True):
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


def test_a_second_sigint_ends_a_process_that_is_busy_elsewhere() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stderr.readline().startswith("SIGTERM: this iteration is finished and saved")
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=30)
    finally:
        process.kill()
    assert rest == "keisei.train: quit at once; what was not saved is lost\n"
    assert process.returncode == 130


def test_at_last_is_called_unless_the_main_thread_is_back() -> None:
    called = threading.Event()
    with StopRequest(last_seconds=0, at_last=called.set):
        assert not called.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert called.wait(60), "expected it to be called from another thread"
    called.clear()
    stop = StopRequest(last_seconds=0, at_last=called.set)
    with stop:
        stop.come_back()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
    stop._call_at_last()
    assert not called.is_set()
