"""A USI engine that plays the first legal move by another rulebook, or misbehaves as it is told.

Usage: dummy_engine.py [FAULT [MOVES]]: after so many moves (0) it dies, is silent, names an illegal
move, resigns, claims a win, says nothing after bestmove, waits for stop, answers after its byoyomi
is over, or floods stderr all the while.
"""

from __future__ import annotations

import os
import sys
import time

import cshogi


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    fault = sys.argv[1] if len(sys.argv) > 1 else ""
    after = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    board, moves, options = cshogi.Board(), 0, []
    if fault == "dies at once":
        sys.stderr.write("no network file\n")
        sys.exit(3)
    for line in sys.stdin:
        words = line.split()
        command = words[0] if words else ""
        if fault == "floods":
            sys.stderr.write("x" * 200_000 + "\n")
            sys.stderr.flush()
        if command == "usi":
            if fault == "says nothing":
                time.sleep(1000)
            say("id name dummy\nid author nobody")
            say("option name USI_Hash type spin default 16 min 1 max 1024")
            say("option name Skill Level type spin default 20 min -20 max 20")
            say("option name Style type combo default Solid var Solid var Very Risky")
            say("option name Own Book type check default true")
            say("option name Clear type button")
            say("option name File type filename default <empty>")
            say("usiok")
        elif command == "setoption":
            options.append(line.strip())
        elif command == "isready":
            say("info string " + " | ".join(options))
            say("readyok")
        elif command == "position":
            board.set_position(line.strip().removeprefix("position "))
        elif command == "go":
            moves += 1
            legal = sorted(cshogi.move_to_usi(move) for move in board.legal_moves)
            best = legal[0]
            if fault and moves > after:
                if fault == "dies":
                    sys.stderr.write("segmentation fault, so to speak\n")
                    sys.stderr.flush()
                    os._exit(7)
                if fault == "ponders":
                    assert sys.stdin.readline().strip() == "stop"
                if fault == "stalls":
                    time.sleep(1000)
                if fault == "late" and "byoyomi" in words:
                    time.sleep(0.3 + int(words[words.index("byoyomi") + 1]) / 1000)
                best = {"illegal": "1a1b", "resigns": "resign", "wins": "win", "empty": ""}.get(
                    fault, best
                )
            say(f"info depth 3 seldepth 5 nodes 12 score cp {100 * moves} pv {best} 3c3d")
            say("info multipv 2 score cp -900 pv 9i9h")
            say("info string score cp 5000")
            say(f"bestmove {best}")
        elif command == "quit":
            return


if __name__ == "__main__":
    main()
