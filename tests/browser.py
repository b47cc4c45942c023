"""A page in a real browser: Chromium without a window, driven by its own protocol over two pipes.

https://chromedevtools.github.io/devtools-protocol/. Run as a program it takes pictures:

    python tests/browser.py PAGE.html PICTURE.png [--width 1280] [--dark] [--select CSS]
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 60.0
# Chromium reads from 3 and writes to 4; the pipes may have just these numbers, the wrong way round.
_LAUNCH = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for number, pipe in enumerate(pipes, 3):
    os.dup2(pipe, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_browser() -> str | None:
    """A Chromium of this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page. ``requests`` has the addresses it asked for, ``errors`` what its console said."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._rest = b""
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.requests: list[str] = []
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol; RuntimeError if it failed."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def open(self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Loads a page into a window of this size."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.requests.clear()
        self.errors.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        while True:
            event = self._next()
            self._note(event)
            if event.get("method") == "Page.loadEventFired":
                break
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, expression: str) -> Any:
        """The value of an expression in the page; RuntimeError if it throws."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Presses a key, such as ``ArrowRight``."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def picture(self, path: Path, select_css: str | None = None) -> None:
        """Saves a picture of the whole page, or of one element."""
        box = self.run(
            f"(() => {{ const b = {json.dumps(select_css)} ? "
            f"document.querySelector({json.dumps(select_css)}).getBoundingClientRect() : "
            "{x: 0, y: -scrollY, width: document.documentElement.clientWidth, "
            "height: document.documentElement.scrollHeight};"
            "return {x: b.x, y: b.y + scrollY, width: b.width, height: b.height, scale: 1} })()"
        )
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=box)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._read], [], [], _SECONDS)[0]:
                raise RuntimeError(f"the browser said nothing for {_SECONDS:g} seconds")
            got = os.read(self._read, 1 << 20)
            if not got:
                raise RuntimeError("the browser has ended")
            self._rest += got
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        what, of = event.get("method"), event.get("params", {})
        if what == "Network.requestWillBeSent":
            self.requests.append(of["request"]["url"])
        elif what == "Runtime.exceptionThrown":
            details = of["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif what == "Runtime.consoleAPICalled":
            self.errors.append(" ".join(str(part.get("value")) for part in of["args"]))
        elif what == "Log.entryAdded":
            self.errors.append(of["entry"]["text"])


@contextlib.contextmanager
def browser(program: str) -> Iterator[Browser]:
    """Starts Chromium and ends it."""
    to_it, own_write = os.pipe()
    own_read, from_it = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            sys.executable,
            "-c",
            _LAUNCH,
            str(to_it),
            str(from_it),
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            f"--user-data-dir={profile}",
            "--remote-debugging-pipe",
        ]
        process = subprocess.Popen(
            command,
            pass_fds=(to_it, from_it),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_it)
        os.close(from_it)
        try:
            page = Browser(own_read, own_write)
            yield page
        finally:
            process.kill()
            process.wait()
            os.close(own_write)
            os.close(own_read)


def main() -> None:
    parser = argparse.ArgumentParser(description="takes a picture of a page")
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--select", help="the element to show; the whole page without")
    parser.add_argument("--run", help="JavaScript to run before")
    args = parser.parse_args()
    program = find_browser()
    if program is None:
        parser.error(f"expected one of {', '.join(NAMES)} on the PATH, got none")
    with browser(program) as page:
        page.open(args.page, width=args.width, height=args.height, dark=args.dark)
        if args.run:
            page.run(args.run)
        page.picture(args.picture, args.select)
        for error in page.errors:
            sys.stderr.write(f"console: {error}\n")


if __name__ == "__main__":
    main()
