"""Sjaak II, which writes drops as ``P@5e`` and takes no others, as a USI engine.

Usage: sjaakii_usi.py [PROGRAM].
"""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TextIO


def hand_on(source: TextIO, sink: TextIO, old: str, new: str) -> None:
    """Line by line until ``quit``. No other word than a drop has either sign."""
    for line in source:
        sink.write(line.replace(old, new))
        sink.flush()
        if line.strip() == "quit":
            break


def main() -> None:
    program = sys.argv[1] if len(sys.argv) > 1 else "sjaakii"
    with subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as engine:
        assert engine.stdin is not None and engine.stdout is not None
        back = threading.Thread(target=hand_on, args=(engine.stdout, sys.stdout, "@", "*"))
        back.start()
        hand_on(sys.stdin, engine.stdin, "*", "@")
        engine.stdin.close()
        back.join()
    sys.exit(engine.returncode)


if __name__ == "__main__":
    main()
