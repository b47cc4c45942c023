"""The command ``keisei_play``: becomes the native engine, or with ``--analyse`` asks it."""

import os
import sys

from keisei._engine import command


def main() -> None:
    """Replace this process by the engine, or go through a game with it."""
    words = sys.argv[1:]
    if any(word == "--analyse" or word.startswith("--analyse=") for word in words):
        from keisei import analyse  # here, so that engines start without it

        sys.exit(analyse.main(words))
    try:
        program, arguments, environment = command(words)
    except FileNotFoundError as error:
        sys.exit(str(error))
    os.execve(program, arguments, environment)
