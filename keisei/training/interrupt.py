"""Stopping a run from outside: Ctrl-C and SIGTERM."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from keisei.training.terminal_screen import give_back_at_once

_log = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
"""How long an iteration may still take once a signal came; then it is given up."""
LAST_SECONDS = 18.0
"""After that long the main thread, if it is still not back, is not waited for any more."""
_ECHO_SECONDS = 2.0
_HANDLED = (signal.SIGINT, signal.SIGTERM)


class IterationAbandonedError(Exception):
    """An iteration was given up, in favour of the state that it began from."""


class StopRequest:
    """While open, the first SIGINT or SIGTERM only sets ``requested``.

    A SIGINT after that ends the process at once with status 130 if ``exit_at_once``, whatever the
    main thread is doing; otherwise it raises KeyboardInterrupt there. A SIGTERM after that changes
    nothing: torchrun and schedulers send several. Under torchrun, which passes on what the terminal
    has sent already, a SIGINT within two seconds of the first signal is taken for the same one.

    ``at_last`` is called in a thread of its own ``last_seconds`` after the first signal, unless the
    main thread has said ``come_back`` by then. It is to end the process: from then on the main
    thread stops where it would come back.

    Outside the main thread, where Python handles no signals, it changes nothing.
    """

    def __init__(
        self,
        *,
        exit_at_once: bool = False,
        grace_seconds: float = GRACE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        last_seconds: float = LAST_SECONDS,
        at_last: Callable[[], None] | None = None,
    ) -> None:
        self._exit_at_once = exit_at_once
        self._grace = grace_seconds
        self._clock = clock
        self._last_seconds = last_seconds
        self._at_last = at_last
        self._timer: threading.Timer | None = None
        self._turn = threading.Lock()
        self._is_back = False
        self._since: float | None = None
        self._handled: float | None = None  # the first signal that the main thread saw
        self._echoes = "TORCHELASTIC_RUN_ID" in os.environ
        self._before: dict[signal.Signals, Any] = {}
        self._listener: threading.Thread | None = None
        self._pipe: tuple[socket.socket, socket.socket] | None = None
        self._wakeup_before = -1

    @property
    def requested(self) -> bool:
        """Whether the run is to be saved and to end."""
        return self._since is not None

    @property
    def overdue(self) -> bool:
        """Whether it is to end and the grace is over: what goes on now is to be given up."""
        return self._since is not None and self._clock() - self._since >= self._grace

    def request(self) -> None:
        """Asks the run to end as the first signal does."""
        if self._since is None:
            self._since = self._clock()

    def abandon_if_overdue(self) -> None:
        """Raises IterationAbandonedError if ``overdue``."""
        if self.overdue:
            self.come_back()
            raise IterationAbandonedError

    def come_back(self) -> None:
        """Says that the main thread has seen the request and closes the run itself.

        Does not return if ``at_last`` was called already: the process is about to end.
        """
        with self._turn:
            self._is_back = True

    def _call_at_last(self) -> None:
        with self._turn:  # never given back: see ``come_back``
            if not self._is_back and self._at_last is not None:
                self._at_last()

    def _is_second(self, number: int, since: float | None) -> bool:
        if number != signal.SIGINT or since is None:
            return False
        return not (self._echoes and self._clock() - since < _ECHO_SECONDS)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """In the main thread, once it comes back to Python."""
        second = self._is_second(number, self._handled)
        if self._handled is None:
            self._handled = self._clock()
        self.request()
        if second and not self._exit_at_once:
            raise KeyboardInterrupt("second SIGINT")

    def _listen(self, pipe: socket.socket) -> None:
        """In a thread, which hears of a signal also while the main one does not run Python."""
        first: float | None = None
        while number := pipe.recv(1):
            if number[0] not in _HANDLED:
                continue
            if first is None:
                self.request()
                first = self._clock()
                if self._at_last is not None:
                    self._timer = threading.Timer(self._last_seconds, self._call_at_last)
                    self._timer.daemon = True
                    self._timer.start()
                name = signal.Signals(number[0]).name
                _log.warning(
                    "%s: this iteration is finished and saved; Ctrl-C once more quits at once", name
                )
            elif self._exit_at_once and self._is_second(number[0], first):
                _quit()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            ours, pythons = socket.socketpair()
            pythons.setblocking(False)
            self._pipe = ours, pythons
            self._listener = threading.Thread(
                target=self._listen, args=(ours,), name="signals", daemon=True
            )
            self._listener.start()
            self._wakeup_before = signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)
            for number in _HANDLED:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.come_back()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        if self._pipe is not None and self._listener is not None:
            signal.set_wakeup_fd(self._wakeup_before)
            ours, pythons = self._pipe
            pythons.close()  # ends the listener
            self._listener.join()
            if self._timer is not None:
                self._timer.cancel()
            ours.close()
            self._pipe = None


@dataclass
class CurrentStop:
    """The request that may end the run that trains now; none while none does."""

    request: StopRequest | None = None

    def check(self) -> Callable[[], bool]:
        """What tells, from now on, whether the run that trains now was asked to end."""
        request = self.request
        return lambda: request is not None and request.requested


def _quit() -> None:
    leave("quit at once; what was not saved is lost", 130)


def leave(text: str, status: int) -> NoReturn:
    """Ends the process now: no handler, no other thread, no write is waited for."""
    give_back_at_once()
    os.write(2, f"keisei.train: {text}\n".encode())
    os._exit(status)
