"""``keisei.perft`` and the command ``keisei-perft``: count the legal move sequences of a length.

The counts (perft, for performance test) are the fingerprint by which move generators are compared.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keisei._core import Position

if TYPE_CHECKING:
    import torch

_log = logging.getLogger("keisei.perft")

# From here on the device counts one first move after another, so that Ctrl-C has a chance.
DEEP = 8
DEEP_ON_A_CPU = 6


def perft(sfen: str, depth: int, device: torch.device | str = "cpu") -> int:
    """The number of legal move sequences of ``depth`` moves.

    Legality alone counts: no repetition, no declaration, no move limit.

    Args:
        sfen: A position, or ``startpos``.
        depth: At least 0.
        device: ``cpu`` (one thread), ``cuda`` or ``cuda:I``.

    Raises:
        ValueError: An argument does not fit.
        RuntimeError: A CUDA device is asked for that torch or this build of keisei does not have.
    """
    position = _position(sfen)
    if str(device) == "cpu":
        # One first move after another where that takes a while: Ctrl-C has a chance between them.
        if depth < DEEP_ON_A_CPU:
            return position.perft(depth)
    elif depth < DEEP:
        return next(_on_device([position], depth, device))
    return sum(nodes for _, nodes in _divided(position, depth, device))


def divide(sfen: str, depth: int, device: torch.device | str = "cpu") -> dict[str, int]:
    """The same for each first move, in USI. ``depth`` is at least 1."""
    return dict(_divided(_position(sfen), depth, device))


def _position(sfen: str) -> Position:
    return Position() if sfen == "startpos" else Position.from_sfen(sfen)


def _divided(
    position: Position, depth: int, device: torch.device | str
) -> Iterator[tuple[str, int]]:
    if depth < 1:
        raise ValueError(f"depth: expected 1 or more, got {depth}")
    moves = position.legal_moves()
    children = []
    for move in moves:
        position.push(move)
        children.append(position.copy())
        position.pop()
    if str(device) == "cpu":
        counts: Iterator[int] = (child.perft(depth - 1) for child in children)
    else:
        counts = _on_device(children, depth - 1, device)
    yield from zip(moves, counts, strict=True)


def _on_device(positions: list[Position], depth: int, device: torch.device | str) -> Iterator[int]:
    if not positions:
        return iter(())
    import torch

    from keisei import ops
    from keisei._libraries import device_of

    words = torch.stack([torch.from_numpy(position.words()) for position in positions])
    words = words.to(device_of(device))
    if depth < DEEP - 1:
        return iter(ops.perft(words, depth).tolist())
    return (int(ops.perft(words[i : i + 1], depth)) for i in range(len(positions)))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> int:
    """The command ``keisei-perft``; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="keisei-perft", description="counts the legal move sequences of a length"
    )
    parser.add_argument("sfen", help="a position in one argument, or startpos")
    parser.add_argument("depth", type=int, help="the length in moves")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:I")
    parser.add_argument("--divide", action="store_true", help="print each first move's count too")
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s")
    try:
        # Loading, starting a GPU and bringing the kernels to it take seconds.
        perft(args.sfen, min(args.depth, 3), args.device)
        begin = time.perf_counter()
        if args.divide:
            nodes = 0
            for move, count in _divided(_position(args.sfen), args.depth, args.device):
                _say(f"{move}: {count}")
                nodes += count
        else:
            nodes = perft(args.sfen, args.depth, args.device)
    except (RuntimeError, ValueError) as error:
        _log.error("keisei-perft: %s", error)
        return 2
    except KeyboardInterrupt:
        _log.error("keisei-perft: interrupted")
        return 130
    seconds = time.perf_counter() - begin
    _say(f"nodes {nodes}, {seconds:.3f} s, {nodes / seconds:.3g} nodes/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
