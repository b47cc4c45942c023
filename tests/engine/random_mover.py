"""A USI engine that plays random legal moves by another rulebook: an opponent for matches."""

from __future__ import annotations

import argparse
import random
import sys

import cshogi


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    rng = random.Random(parser.parse_args().seed)
    board = cshogi.Board()
    for line in sys.stdin:
        words = line.split()
        command = words[0] if words else ""
        if command == "usi":
            say("id name random mover\nid author the keisei developers\nusiok")
        elif command == "isready":
            say("readyok")
        elif command == "position":
            board.set_position(line.strip().removeprefix("position "))
        elif command == "go":
            moves = [cshogi.move_to_usi(move) for move in board.legal_moves]
            say(f"bestmove {rng.choice(moves) if moves else 'resign'}")
        elif command == "quit":
            return


if __name__ == "__main__":
    main()
