"""Runs a command for each alert, beside training."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence

from keisei.utils.masking import mask_secrets

_log = logging.getLogger(__name__)

_MOST_WAITING = 100
_QUOTED = 300  # characters of what a command said that failed


class CommandRunner:
    """Runs ``command`` (program and arguments, no shell) once for each call, one after another.

    A thread of its own does so. The facts come as variables of the environment, beside the
    training's own. A command that takes more than ``timeout`` seconds is killed, with what it
    started. Whatever goes wrong is logged as a warning and goes no further.
    """

    def __init__(self, command: Sequence[str], timeout: float) -> None:
        self._command = tuple(command)
        self._timeout = timeout
        self._waiting: queue.Queue[Mapping[str, str] | None] = queue.Queue(_MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._running: subprocess.Popen[bytes] | None = None
        self._given_up = False

    def run(self, facts: Mapping[str, str]) -> None:
        """Has the command run with these variables; does not wait."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="alert-command", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(dict(facts))
        except queue.Full:
            _log.warning(
                "alerts.command: %d alerts wait for it; this one is passed over", _MOST_WAITING
            )

    def close(self) -> None:
        """Waits for what was asked for, at most one timeout and a little."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=self._timeout)
        thread.join(self._timeout + 1.0)
        if thread.is_alive():
            _log.warning("alerts.command: the last alerts still wait for it; they are passed over")
            self._given_up = True
            if self._running is not None:
                _kill(self._running)
            thread.join(self._timeout)

    def _work(self) -> None:
        while (facts := self._waiting.get()) is not None and not self._given_up:
            try:
                self._run(facts)
            except (OSError, ValueError) as error:
                _log.warning("alerts.command cannot be run: %s", mask_secrets(str(error)))

    def _run(self, facts: Mapping[str, str]) -> None:
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                self._command,
                env={**os.environ, **facts},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            self._running = process
            try:
                status = process.wait(self._timeout)
            except subprocess.TimeoutExpired:
                _kill(process)
                process.wait()
                _log.warning("alerts.command was killed after %g seconds", self._timeout)
                return
            if status:
                size = said.seek(0, os.SEEK_END)
                said.seek(max(0, size - 4 * _QUOTED))
                words = mask_secrets(said.read().decode(errors="replace")).split()
                _log.warning(
                    "alerts.command failed with status %d: %s", status, " ".join(words)[-_QUOTED:]
                )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends it with what it started, unless it has ended."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
