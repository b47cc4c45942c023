"""GNU Shogi, which has a text protocol of its own, as a USI engine.

Usage: gnushogi_usi.py [PROGRAM]. It searches to a fixed depth and takes no notice of clocks, and
knows games from the usual start alone. Its protocol: ``force`` lets both sides' moves be typed in,
each is repeated as ``3. 7g7f 300000``; ``switch`` has it move, which is ``2. ... 3c3d 299900``; a
move that it does not take is ``Illegal move``.
"""

from __future__ import annotations

import re
import subprocess
import sys

_REPEATED = re.compile(r"\d+\. (?!\.\.\.)(\S+) \d+")
_ANSWER = re.compile(r"\d+\. \.\.\. (\S+) \d+")
_FAREWELL = re.compile(r"mates!|resign|draw", re.IGNORECASE)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class GnuShogi:
    """Its process. An empty line from ``_read`` is its end."""

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen(
            [program, "5"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._moves: list[str] = []

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"gnushogi ended with status {self._process.wait()}")
        return line

    def go(self, moves: list[str], depth: int) -> str:
        """A move after these."""
        known = len(self._moves)
        if moves[:known] != self._moves or not known:
            known = 0
            self._send("new")
        self._send("force")
        for move in moves[known:]:
            self._send(move)
            while not _REPEATED.search(line := self._read()):
                if "Illegal" in line:
                    sys.exit(f"gnushogi does not take {move} after {moves}: {line.strip()}")
        self._send(f"depth\n{depth}\nswitch")
        while not (found := _ANSWER.search(line := self._read())):
            if _FAREWELL.search(line):
                self._moves = []
                return "resign"
        self._moves = [*moves, found[1]]
        return found[1]


def main() -> None:
    engine = GnuShogi(sys.argv[1] if len(sys.argv) > 1 else "gnushogi")
    moves: list[str] = []
    depth = 2
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["usi"]:
            say("id name GNU Shogi\nid author the GNU Shogi developers")
            say("option name Depth type spin default 2 min 1 max 29\nusiok")
        elif words[:3] == ["setoption", "name", "Depth"]:
            depth = int(words[4])
        elif words[:1] == ["isready"]:
            say("readyok")
        elif words[:1] == ["position"]:
            if words[1] != "startpos":
                sys.exit(f"expected the usual start, got {line.strip()}")
            moves = words[3:]
        elif words[:1] == ["go"]:
            say(f"bestmove {engine.go(moves, depth)}")
        elif words[:1] == ["quit"]:
            return


if __name__ == "__main__":
    main()
