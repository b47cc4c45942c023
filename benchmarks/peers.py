"""Other programs' speed at the same work, each in a process of its own.

``python -m benchmarks.peers NAME JSON`` measures one and prints a JSON object; the other benchmarks
call it so that a peer's threads, memory and faults stay its own. A peer that is not installed or
fails is reported as missing, with the reason.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, expect, missing, versus

START_MOVES = 30
TIMEOUT = 240.0


def ask(name: str, environment: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    """Measure the peer ``name`` in a new process: its figures, or ``{"missing": why}``."""
    command = [sys.executable, "-m", "benchmarks.peers", name, json.dumps(options)]
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parents[1],
            env=os.environ | (environment or {}),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return {"missing": f"not done after {TIMEOUT:.0f} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        found: dict[str, Any] = json.loads(lines[-1])
        return found
    errors = done.stderr.strip().splitlines()
    return {"missing": errors[-1][:160] if errors else f"exit status {done.returncode}"}


def peer_row(
    bench: str, what: str, size: str, by: str, found: dict[str, Any], ours: Row | None
) -> Row:
    """What ``ask`` found, beside keisei's row of the same work."""
    if "missing" in found:
        return missing(bench, by, found["missing"], what)
    return Row(
        bench,
        what,
        found.get("size", size),
        found["rate"],
        found["unit"],
        found["seconds"],
        by=f"{by} {found['version']}",
        ratio=None if ours is None else versus(found["rate"], ours),
        note=found.get("note", ""),
    )


def pgx(batches: list[int], plies: int = 8) -> dict[str, Any]:
    """Pgx's shogi, step given actions, observation made: the best of several batch sizes."""
    import importlib.metadata

    import jax
    import jax.numpy as jnp
    import pgx as library

    env = library.make("shogi")
    init, step = jax.jit(jax.vmap(env.init)), jax.jit(jax.vmap(env.step))

    def choose(mask: Any, key: Any) -> Any:
        return jax.random.categorical(key, jnp.where(mask, 0.0, -jnp.inf), axis=1)

    act = jax.jit(choose)
    tried = {}
    for batch in batches:
        key = jax.random.PRNGKey(1)
        first = init(jax.random.split(key, batch))
        moves = [int(count) for count in first.legal_action_mask.sum(1)[:4]]
        expect(set(moves) == {START_MOVES}, f"pgx: {moves} legal moves at the start")
        actions, state = [], first
        for _ in range(plies):
            key, sub = jax.random.split(key)
            actions.append(act(state.legal_action_mask, sub))
            state = step(state, actions[-1])
        jax.block_until_ready(state)
        best = float("inf")
        for _ in range(2):
            start, state = time.perf_counter(), first
            for action in actions:
                state = step(state, action)
            jax.block_until_ready((state.observation, state.legal_action_mask))
            best = min(best, (time.perf_counter() - start) / plies)
        tried[batch] = best
    batch = max(tried, key=lambda size: size / tried[size])
    version = importlib.metadata.version("pgx")
    rates = ", ".join(f"{size:,}: {size / seconds:,.0f}/s" for size, seconds in tried.items())
    return {
        "rate": batch / tried[batch],
        "unit": "plies",
        "seconds": tried[batch],
        "size": f"{batch:,} games",
        "version": f"{version} (JAX {jax.__version__}, {jax.default_backend()})",
        "note": f"best of {rates}; from the start position; no repetition, no declaration",
    }


def envpool(games: int, threads: int, plies: int = 12) -> dict[str, Any]:
    """EnvPool's Shogi-v1, step given actions; its observation is always made."""
    import envpool as library
    import numpy as np

    env = library.make(
        "Shogi-v1", env_type="gymnasium", num_envs=games, batch_size=games, num_threads=threads
    )
    _, info = env.reset()
    moves = set(info["legal_action_mask"].sum(1).tolist())
    expect(moves == {START_MOVES}, f"envpool: {moves} legal moves at the start")
    choose = np.random.default_rng(1)
    spent = 0.0
    for ply in range(plies):
        mask = info["legal_action_mask"].astype(bool)
        action = (choose.random(mask.shape) * mask).argmax(1).astype(np.int32)
        start = time.perf_counter()
        _, _, _, _, info = env.step(action)
        if ply >= 2:
            spent += time.perf_counter() - start
    seconds = spent / (plies - 2)
    return {
        "rate": games / seconds,
        "unit": "plies",
        "seconds": seconds,
        "size": f"{games:,} games",
        "version": library.__version__,
        "note": f"{threads} threads; from the start position; planes included",
    }


def cshogi(plies: int, features: bool) -> dict[str, Any]:
    """Uniform play from Python on one board; with ``features`` dlshogi planes and labels."""
    import importlib.metadata

    import cshogi as library
    import numpy as np
    from cshogi import dlshogi

    choose = random.Random(1)
    board = library.Board()
    expect(len(list(board.legal_moves)) == START_MOVES, "cshogi: wrong moves at the start")
    one = np.zeros((dlshogi.FEATURES1_NUM, 9, 9), np.float32)
    two = np.zeros((dlshogi.FEATURES2_NUM, 9, 9), np.float32)
    start = time.perf_counter()
    for _ in range(plies):
        moves = list(board.legal_moves)
        if not moves or board.move_number > 512:
            board.reset()
            continue
        if features:
            dlshogi.make_input_features(board, one, two)
            for move in moves:
                dlshogi.make_move_label(move, board.turn)
        board.push(choose.choice(moves))
    seconds = (time.perf_counter() - start) / plies
    return {
        "rate": 1 / seconds,
        "unit": "plies",
        "seconds": seconds,
        "size": "1 game",
        "version": importlib.metadata.version("cshogi"),
        "note": "from Python, one thread, uniform play"
        + (", with its dlshogi planes and the labels of all moves" if features else ""),
    }


CSHOGI_SOURCES = "bitboard common generateMoves hand init move mt64bit position search square usi"


def cshogi_perft(source: str, depth: int, runs: int = 3) -> dict[str, Any]:
    """Perft in cshogi's own C++, built from its unpacked source archive."""
    folder = Path(source) / "src"
    if not (folder / "position.hpp").is_file():
        raise FileNotFoundError(f"{folder}/position.hpp: expected cshogi's sources")
    with tempfile.TemporaryDirectory() as scratch:
        program = Path(scratch) / "perft"
        subprocess.run(
            [
                "g++", "-O3", "-DNDEBUG", "-std=c++17", "-msse4.2", "-mavx2",
                "-DHAVE_SSE4", "-DHAVE_SSE42", "-DHAVE_AVX2", "-w", f"-I{folder}",
                str(Path(__file__).with_name("cshogi_perft.cpp")),
                *(str(folder / f"{name}.cpp") for name in CSHOGI_SOURCES.split()),
                "-o", str(program),
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
        found = []
        for _ in range(runs):
            out = subprocess.run([program, str(depth)], check=True, capture_output=True, text=True)
            nodes, seconds = out.stdout.split()
            found.append((float(seconds), int(nodes)))
    seconds_, nodes_ = sorted(found)[len(found) // 2]
    return {
        "rate": nodes_ / seconds_,
        "unit": "nodes",
        "seconds": seconds_,
        "nodes": nodes_,
        "version": "C++",
        "note": "one thread, built from its source archive with -O3 and AVX2",
    }


PEERS: dict[str, Callable[..., dict[str, Any]]] = {
    "pgx": pgx,
    "envpool": envpool,
    "cshogi": cshogi,
    "cshogi_perft": cshogi_perft,
}


if __name__ == "__main__":
    print(json.dumps(PEERS[sys.argv[1]](**json.loads(sys.argv[2]))))
