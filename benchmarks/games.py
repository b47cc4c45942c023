"""Many games at once: masks, steps, planes, memory, and how they grow with the number of games."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

import keisei
from benchmarks import peers
from benchmarks.measure import (
    Call,
    Row,
    Settings,
    Timing,
    clock,
    expect,
    games_text,
    row,
    sets_for,
    time_calls,
)
from keisei import ops
from keisei.envs import ShogiVectorEnv

PLIES_OF_PLAY = 208
"""Uniform plies before anything is measured; games that ended were begun anew."""

SIZES = (16_384, 131_072, 1_048_576)
CHECKED_GAMES = 256
SEED = 7

# What a step must move for a game: position and progress in and out, next mask, action, one key and
# one bucket of repetition, what it returns.
STEP_BYTES = 2 * (17 + 4) * 4 + 81 * 4 + 8 + 2 * 8 + 10


def played(
    games: int, device: torch.device, seed: int = SEED, plies: int = PLIES_OF_PLAY
) -> ShogiVectorEnv:
    """An environment after uniform play."""
    env = ShogiVectorEnv(games, device, seed=seed, check_actions=False)
    for _ in range(plies):
        env.step(env.sample_uniform())
    env.raise_errors()
    return env


def expect_same_games(env: ShogiVectorEnv, plies: int, seed: int, what: str) -> None:
    """The first games of ``env`` are those that the CPU plays."""
    twin = played(min(env.num_envs, CHECKED_GAMES), torch.device("cpu"), seed, plies)
    n = twin.num_envs
    expect(
        torch.equal(env.positions[:n].cpu(), twin.positions),
        f"{what}: positions differ from the CPU's",
    )
    expect(torch.equal(env.mask[:n].cpu(), twin.mask), f"{what}: masks differ from the CPU's")


def masks(settings: Settings) -> Iterator[Row]:
    """Legal masks of stored positions, as packed words."""
    device = settings.device
    for games in settings.sizes(*SIZES):
        size = games * (17 + 81) * 4
        sets = sets_for(size, device)
        env = played(games * sets, device)
        expect_masks(ops.legal_mask(env.positions), env)
        columns = [part.clone() for part in env.positions.t().chunk(sets, 1)]
        rows = [part.contiguous() for part in env.positions.chunk(sets)]
        for layout, sources in (
            ("live games (word-major)", [part.t() for part in columns]),
            ("rollout rows", rows),
        ):
            timing = time_calls([partial(ops.legal_mask, source) for source in sources], device)
            yield row(
                "masks",
                f"legal mask written, {layout}",
                games_text(games),
                timing,
                games,
                "positions",
                count=games,
                bytes_=size,
                ceiling="copy",
            )


def expect_masks(mask: Tensor, env: ShogiVectorEnv) -> None:
    """Masks are those that play kept, and some are checked move by move."""
    expect(torch.equal(mask, env.mask), "legal_mask: differs from the masks that play kept")
    positions = env.positions
    for g in random.Random(1).sample(range(env.num_envs), min(env.num_envs, 64)):
        position = keisei.Position.from_words(positions[g].cpu().numpy())
        labels = ops.unpack_mask(mask[g : g + 1])[0].nonzero().flatten().tolist()
        expect(labels == sorted(position.legal_labels()), f"legal_mask: game {g} is wrong")


class Recorded:
    """Several environments and legal actions for their next plies, so that choosing is not timed.

    ``restore`` puts the games back to where the first recorded action is due.
    """

    def __init__(self, games: int, sets: int, plies: int, device: torch.device) -> None:
        self.envs = [played(games, device, SEED + e) for e in range(sets)]
        self.plies = plies
        self._before = [env.state_dict() for env in self.envs]
        self.actions: list[list[Tensor]] = [[] for _ in self.envs]
        for env, actions in zip(self.envs, self.actions, strict=True):
            for _ in range(plies):
                actions.append(env.sample_uniform())
                env.step(actions[-1])
            env.raise_errors()
        self._after = [(env.positions.clone(), env.mask.clone()) for env in self.envs]

    def restore(self) -> None:
        """Back to the beginning of the recorded plies."""
        for env, state in zip(self.envs, self._before, strict=True):
            # Not load_state_dict, which checks what it is given and so waits for the device.
            for name, tensor in env._state().items():
                tensor.copy_(state[name])

    def calls(self, then: Callable[[ShogiVectorEnv], object] | None = None) -> list[Call]:
        """Every recorded step, the environments in turn; ``then`` follows each."""

        def one(env: ShogiVectorEnv, actions: Tensor) -> object:
            step = env.step(actions)
            return step if then is None else (step, then(env))

        return [
            partial(one, env, actions[ply])
            for ply in range(self.plies)
            for env, actions in zip(self.envs, self.actions, strict=True)
        ]

    def check(self, what: str) -> None:
        """The games are where they were after the recorded plies."""
        for env, (positions, mask) in zip(self.envs, self._after, strict=True):
            env.raise_errors()
            expect(torch.equal(env.positions, positions), f"{what}: other positions than recorded")
            expect(torch.equal(env.mask, mask), f"{what}: other masks than recorded")
        expect_same_games(self.envs[0], PLIES_OF_PLAY + self.plies, SEED, what)


def time_recorded(
    recorded: Recorded,
    device: torch.device,
    then: Callable[[ShogiVectorEnv], object] | None = None,
) -> Timing:
    """Seconds of one step of one environment, and of ``then`` with it after that step."""
    timing = time_calls(recorded.calls(then), device, before=recorded.restore)
    recorded.check("step")
    return timing


def step(settings: Settings) -> Iterator[Row]:
    """A whole step, given actions: outcome, reset and next mask included."""
    device = settings.device
    best: Row | None = None
    for games in settings.sizes(*SIZES):
        sets = sets_for(games * STEP_BYTES, device, most=16)
        plies = 2 if settings.small else max(8, 64 // sets)
        recorded = Recorded(games, sets, plies, device)
        ours = row(
            "step", "step, given actions", games_text(games),
            time_recorded(recorded, device), games, "plies",
            count=games, bytes_=games * STEP_BYTES, ceiling="copy",
        )  # fmt: skip
        yield ours
        best = ours if best is None or ours.rate > best.rate else best
    if settings.compare and device.type == "cuda":
        del recorded
        torch.cuda.empty_cache()
        environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_PLATFORMS": "cuda"}
        found = peers.ask("pgx", environment, batches=[4_096, 32_768])
        yield peers.peer_row("step", "step, given actions", "", "Pgx", found, best)


def play_uniform(env: ShogiVectorEnv) -> object:
    """One uniform ply of every game."""
    return env.step(env.sample_uniform())


PLIES_A_LAUNCH = 64


def random_play(settings: Settings) -> Iterator[Row]:
    """Uniform self-play: choice and whole step of each ply."""
    device = settings.device
    plies = 4 if settings.small else PLIES_A_LAUNCH
    for games in settings.sizes(*SIZES):
        yield from _random_play(games, plies, device)


def _random_play(games: int, plies: int, device: torch.device) -> Iterator[Row]:
    env = played(games, device)
    env.random_play(plies)
    expect_same_games(env, PLIES_OF_PLAY + plies, SEED, "random play")
    timing = time_calls([partial(env.random_play, plies)], device)
    yield row(
        "random-play",
        f"{plies} plies a launch",
        games_text(games),
        timing,
        games * plies,
        "plies",
        count=games,
    )
    yield row(
        "random-play",
        "two launches a ply: choice, step",
        games_text(games),
        time_calls([partial(play_uniform, env)] * 16, device),
        games,
        "plies",
        count=games,
        bytes_=games * (STEP_BYTES + 81 * 4),
        ceiling="copy",
    )


LEAVES = {
    3: 25_470,
    4: 719_731,
    5: 19_861_490,
    6: 547_581_517,
    7: 15_086_269_607,
    8: 416_062_133_009,
}
"""Move sequences from the start position, agreed by six independent programs."""


def perft(settings: Settings) -> Iterator[Row]:
    """Leaves counted from the start position."""
    device = settings.device
    depths = (3,) if settings.small else (5, 6, 7, 8) if device.type == "cuda" else (4, 5)
    sfen = keisei.Position().sfen()
    for depth in depths:
        found: list[int] = []

        def count(depth: int = depth, found: list[int] = found) -> None:
            found.append(keisei.perft(sfen, depth, device))

        seconds = clock(count, device)
        timing = Timing(seconds, seconds, seconds)
        if seconds < 2:
            # The work is cut as it goes, which waits for the device: no graph.
            timing = time_calls([count], device, graph=False, runs=3, least=0.0)
        right = LEAVES[depth]
        expect(set(found) == {right}, f"perft({depth}): expected {right}, got {found}")
        yield row(
            "perft", "start position", f"depth {depth}", timing, right, "leaves", count=depth,
            note=f"{right:,} leaves",
        )  # fmt: skip


PLANE_FORMS = (
    (torch.bfloat16, True),
    (torch.float32, False),
    (torch.uint8, False),
)


def planes(settings: Settings) -> Iterator[Row]:
    """Feature planes of stored positions, in the network's dtype and memory format."""
    device = settings.device
    for games in settings.sizes(16_384, 131_072):
        for dtype, channels_last in PLANE_FORMS:
            size = games * (17 * 4 + ops.FEATURE_PLANES * 81 * dtype.itemsize)
            sets = sets_for(size, device)
            env = played(games * sets, device)
            rows = [part.contiguous() for part in env.positions.chunk(sets)]
            expect_planes(ops.planes(rows[0], dtype, channels_last), rows[0])
            calls = [partial(ops.planes, part, dtype, channels_last) for part in rows]
            name = str(dtype).removeprefix("torch.")
            yield row(
                "planes",
                f"{name}{' channels-last' if channels_last else ''}",
                games_text(games),
                time_calls(calls, device),
                games,
                "positions",
                count=games,
                bytes_=size,
                ceiling="write",
            )


def expect_planes(out: Tensor, positions: Tensor) -> None:
    """Some positions' planes are those of ``keisei.Position``."""
    for g in random.Random(2).sample(range(len(positions)), min(len(positions), 64)):
        position = keisei.Position.from_words(positions[g].cpu().numpy())
        expected = torch.from_numpy(position.planes())
        expect(torch.equal(out[g].float().cpu(), expected), f"planes: game {g} is wrong")


def memory(settings: Settings) -> Iterator[Row]:
    """Device memory of an environment, history included, at the usual move limit of 512."""
    device = settings.device
    for games in settings.sizes(*SIZES, 4_194_304):
        timing, taken = _make(games, device)
        yield Row(
            "memory",
            "an environment, max_plies=512",
            games_text(games),
            taken / games,
            "bytes a game",
            timing,
            count=games,
            bytes=taken,
        )


def _make(games: int, device: torch.device) -> tuple[float, float]:
    """Seconds to make an environment and the bytes that stay allocated."""
    cuda = device.type == "cuda"
    before = torch.cuda.memory_allocated(device) if cuda else 0
    made: list[ShogiVectorEnv] = []
    seconds = clock(lambda: made.append(ShogiVectorEnv(games, device)), device)
    env = made[0]
    states = sum(tensor.nbytes for tensor in env.state_dict().values())
    taken = torch.cuda.memory_allocated(device) - before if cuda else states
    expect(taken >= states, f"memory: {taken} bytes allocated, but the state alone has {states}")
    # The last game is there and plays.
    env.step(env.sample_uniform())
    expect(bool((env.ply == 1).all()), "memory: a game did not play its first ply")
    return seconds, taken


def curves(settings: Settings) -> Iterator[Row]:
    """Steps a second and memory over the number of games; one environment, no rotation."""
    device = settings.device
    for games in settings.sizes(*(2**power for power in range(10, 23))):
        torch.cuda.empty_cache()
        recorded = Recorded(games, 1, 2 if settings.small else 8, device)
        taken = sum(tensor.nbytes for tensor in recorded.envs[0]._state().values())
        timing = time_recorded(recorded, device)
        yield row(
            "curves", "step, given actions", games_text(games), timing, games, "plies", count=games,
            bytes_=games * STEP_BYTES, ceiling="copy",
        )  # fmt: skip
        plies = 4 if settings.small else PLIES_A_LAUNCH
        played_on = time_calls([partial(recorded.envs[0].random_play, plies)], device)
        yield row(
            "curves", f"random play, {plies} plies a launch", games_text(games), played_on,
            games * plies, "plies", count=games,
        )  # fmt: skip
        yield Row(
            "curves", "memory of the games", games_text(games), taken, "bytes", 0.0, count=games,
            note=f"{taken / games:,.0f} a game",
        )  # fmt: skip
