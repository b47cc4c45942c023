"""Weights & Biases as a mirror: whatever fails there is said, and training goes on."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import netrc
import os
import queue
import secrets
import signal
import string
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keisei.config_schema import AppConfig
from keisei.utils import wandb_process
from keisei.utils.files import replacing
from keisei.utils.masking import mask_secrets, mask_texts

_log = logging.getLogger(__name__)

ID_FILE = "wandb.json"
# Seconds that the service has to answer when a run starts, and to take what is left at the end.
_START_TIMEOUT = 60.0
_FINISH_TIMEOUT = 30.0
# For what a process that has ended said last.
_HEARING_SECONDS = 5.0
# Messages that may wait for a service that does not take them.
_MOST_WAITING = 2000


class WandbMirror:
    """Sends figures to a Weights & Biases run, if ``logging.wandb_enabled`` says so.

    A process of its own does so (``wandb_process``): here a message is put into a queue and a
    thread writes it to a pipe. No package, no key, no network, or a service that dies or hangs: the
    first failure is logged and switches the mirror off for good. Nothing is ever raised, nothing is
    waited for but the end (half a minute at most), and nothing is asked on the terminal. Without a
    key ``WANDB_MODE=offline`` still writes a local copy; ``WANDB_MODE=disabled`` leaves it off.

    A run that goes on from ``step`` goes on in the same Weights & Biases run, whose id is in
    ``wandb.json``; what is there already of later steps stays.
    """

    def __init__(
        self,
        config: AppConfig,
        run_dir: Path,
        step: int = 0,
        *,
        finish_timeout: float = _FINISH_TIMEOUT,
    ) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.taken = 0
        """how often values were taken there; known once the run has ended there"""
        self._lock = threading.Lock()
        self._over = True
        self._finish_timeout = finish_timeout
        self._waiting: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        if not config.logging.wandb_enabled or os.environ.get("WANDB_MODE") == "disabled":
            return
        self._over = False
        try:
            _check()
            start = {
                "project": config.logging.wandb_project,
                "name": run_dir.name,
                "id": _id_of(run_dir, step),
                "dir": str(run_dir),
                "config": config.model_dump(mode="json"),
                "timeout": _START_TIMEOUT,
            }
            self._process = _spawn()
        except (OSError, RuntimeError) as error:
            self._fail("could not be started", str(error))
            return
        self._threads = [
            threading.Thread(target=self._write, name="wandb-writer", daemon=True),
            threading.Thread(target=self._listen, name="wandb-listener", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._send({"start": start})

    @property
    def active(self) -> bool:
        """Whether figures are being sent."""
        return not self._over

    @property
    def process_id(self) -> int | None:
        """Of the process that sends them; None if there is none."""
        return None if self._process is None else self._process.pid

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Sends values at a step; those of a step that is past already are not taken there."""
        self._send({"log": dict(values), "step": step})

    def alert(self, title: str, text: str) -> None:
        """Sends an alert, which Weights & Biases passes on as its user has chosen."""
        self._send({"alert": [title, text]})

    def close(self) -> None:
        """Ends the run there; a second call does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        if not self._over:
            self._put(None)
            try:
                process.wait(self._finish_timeout)
                # How it ended is heard first; a child of it may keep the pipe open.
                for thread in self._threads:
                    thread.join(_HEARING_SECONDS)
            except subprocess.TimeoutExpired:
                seconds = f"within {self._finish_timeout:g} seconds"
                self._fail("did not finish", f"it has not taken everything {seconds}")
        self._over = True
        if process.poll() is None:
            for number in (*_children(process.pid), process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            process.wait()
        with contextlib.suppress(queue.Full):  # if it is full, nobody waits for it to be filled
            self._waiting.put_nowait(None)
        for thread in self._threads:
            thread.join()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what nobody took is of no use any more
                if pipe is not None:
                    pipe.close()

    def _send(self, message: Mapping[str, Any]) -> None:
        if not self._over:
            try:
                self._put(json.dumps(mask_texts(message)))
            except (TypeError, ValueError) as error:
                self._fail("is lost", f"what was to be sent is no plain value: {error}")

    def _put(self, line: str | None) -> None:
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._fail("is lost", f"it has not taken {_MOST_WAITING} messages")

    def _write(self) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        try:
            while (line := self._waiting.get()) is not None:
                process.stdin.write(line + "\n")
                process.stdin.flush()
            process.stdin.close()
        except (OSError, ValueError):
            pass  # the listener hears of the end

    def _listen(self) -> None:
        """Hears of a failure, or of an end that was not asked for."""
        process = self._process
        if process is None or process.stdout is None:
            return
        for line in process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue  # a line of somebody else's
            if "failed" in message:
                self._fail(message["failed"], message["why"])
            elif "finished" in message:
                self._over, self.taken = True, int(message["taken"])
        self._fail("is lost", "its process has ended")

    def _fail(self, what: str, why: str) -> None:
        with self._lock:
            if self._over:  # or failed before, which was said
                return
            self._over = True
        text = mask_secrets(why)
        _log.warning("Weights & Biases %s: %s; training goes on without it", what, text)


def _check() -> None:
    """RuntimeError if it is known already that nothing can be sent."""
    if importlib.util.find_spec("wandb") is None:
        raise RuntimeError("the package wandb is not installed (pip install 'keisei[wandb]')")
    if os.environ.get("WANDB_MODE", "online") == "online" and not _has_key():
        raise RuntimeError(
            "no API key; set WANDB_API_KEY, log in with `wandb login`, or set WANDB_MODE=offline"
        )


def _has_key() -> bool:
    """Whether Weights & Biases would find a key without asking for one."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    path = os.environ.get("NETRC")
    for file in [Path(path)] if path else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            if netrc.netrc(file).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _id_of(run_dir: Path, step: int) -> str:
    """The id of a run that goes on; a new one, which is noted, for a run that begins."""
    path = run_dir / ID_FILE
    if step > 0 and path.exists():
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["id"])
        except (ValueError, KeyError, TypeError) as error:
            raise RuntimeError(f"{path}: expected the id of the run, got {error}") from error
    letters = string.ascii_lowercase + string.digits
    new = "".join(secrets.choice(letters) for _ in range(8))
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"id": new}) + "\n", encoding="utf-8")
    return new


def _children(number: int) -> list[int]:
    """The processes that a process has started: the service, in a group of its own."""
    found = []
    for path in Path(f"/proc/{number}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in path.read_text().split()]
    return found


def _spawn() -> subprocess.Popen[str]:
    # -P: what lies beside the script is not to be taken for other packages. A session of its own:
    # Ctrl-C is for the run, which then ends this.
    return subprocess.Popen(
        [sys.executable, "-P", wandb_process.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
