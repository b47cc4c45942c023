"""How many games and how large a batch suit a device, measured at the start of a run.

``env.num_games: fit`` and ``training.batch_size: fit`` ask for it. Sizes double as long as that
pays and fits: the smallest size within ``ENOUGH`` of the best rate is taken, since more games or
larger batches than the device needs only make learning slower.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping

import torch

from keisei import ops
from keisei.config_schema import AppConfig, ConfigError
from keisei.core.network import build_network
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.resource_limits import available, bytes_of_games

_log = logging.getLogger(__name__)

ENOUGH = 0.95
GAMES = {"cpu": (32, 4096), "cuda": (512, 1 << 17)}
BATCHES = {"cpu": (64, 4096), "cuda": (1024, 1 << 16)}
# A size whose one pass takes longer than this is the last one tried.
_LONGEST = 2.0
# Seconds of work that one rate is taken from, once the first pass has loaded what it needs.
_SAMPLE = 0.2
# A size is tried only where the last one gained at least this much.
_GAIN = 1.05


def doubling(least: int, most: int) -> Iterator[int]:
    """``least``, twice that, and so on, up to ``most``."""
    size = least
    while size <= most:
        yield size
        size *= 2


def smallest_good(rates: Mapping[int, float], enough: float = ENOUGH) -> int:
    """The smallest size whose rate is at least ``enough`` of the best; ValueError without any."""
    if not rates:
        raise ValueError("smallest_good: expected at least one size, got none")
    best = max(rates.values())
    return min(size for size, rate in rates.items() if rate >= enough * best)


def measure_rates(sizes: Iterator[int], seconds_of: Callable[[int], float]) -> dict[int, float]:
    """Things a second by size, for sizes in rising order, until more no longer pays or fits.

    ``seconds_of`` gives the time of one pass of that size and raises MemoryError or torch's
    OutOfMemoryError where it does not fit; if the first one does not, that is raised.
    """
    rates: dict[int, float] = {}
    for size in sizes:
        try:
            seconds = seconds_of(size)
        except (MemoryError, torch.OutOfMemoryError):
            if not rates:
                raise
            break
        last = max(rates.values(), default=0.0)
        rates[size] = size / seconds
        if seconds > _LONGEST or rates[size] < _GAIN * last:
            break
    return rates


def _trials(config: AppConfig, device: torch.device) -> Trials:
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        network = build_network(config.model)
    network.to(device)
    agent = PPOAgent(network, config.training, device)
    if config.training.compile:
        agent.compile_network()
    agent.network.refresh()
    return Trials(config, agent)


class Trials:
    """Plays and learns in small on one device, to be timed; the network's weights stay."""

    def __init__(self, config: AppConfig, agent: PPOAgent) -> None:
        self._config = config
        self._agent = agent
        self._device = agent.device

    def _seconds(self, work: Callable[[], object]) -> float:
        """One call's time in a row of calls, after a first one that is not counted."""
        self._timed(work, 1)
        once = self._timed(work, 1)
        return self._timed(work, max(1, int(_SAMPLE / once))) if once < _SAMPLE else once

    def _timed(self, work: Callable[[], object], times: int) -> float:
        self._wait()
        start = time.perf_counter()
        for _ in range(times):
            work()
        self._wait()
        return (time.perf_counter() - start) / times

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    @torch.no_grad()
    def play(self, games: int) -> float:
        """Seconds of one ply of so many games, as collecting plays it.

        Raises MemoryError where games and rollout would take more than is left.
        """
        env, rollout = self._config.env, self._config.training.rollout_length
        assert not isinstance(rollout, str)
        needed = bytes_of_games(games, env.max_plies, rollout)
        if needed > available(self._config.resources, self._device):
            raise MemoryError(f"{games} games take {needed} bytes")
        played = ShogiVectorEnv(games, self._device, max_plies=env.max_plies, check_actions=False)

        def ply() -> None:
            logits, _ = self._agent.evaluate(played.positions, refresh=False)
            played.step(played.sample(logits)[0])

        return self._seconds(ply)

    def learn(self, batch: int) -> float:
        """Seconds of one gradient of so many positions; no step is taken."""
        games = ShogiVectorEnv(batch, self._device, max_plies=8, check_actions=False)
        games.random_play(4)
        rows, mask = games.positions.contiguous(), games.mask
        zeros = torch.zeros(batch, device=self._device)
        actions, valid = games.sample_uniform(), torch.ones_like(zeros, dtype=torch.bool)

        def gradient() -> None:
            logits, values = self._agent.evaluate(rows)
            loss = ops.ppo_loss(logits, values, mask, actions, zeros, zeros, zeros, zeros, valid)
            self._agent.network.gradients([loss.total])

        return self._seconds(gradient)


def fit_sizes(
    config: AppConfig,
    device: torch.device,
    wanted: frozenset[str],
    *,
    ranks: int = 1,
    trials: Trials | None = None,
) -> dict[str, int]:
    """One rank's games and batch, for the keys in ``wanted``; ``config`` is resolved.

    What ``config``, which is for all ``ranks``, says of these keys does not count. A batch is never
    larger than the rollout that it is drawn from. torch's random generators stay as they are.
    Raises ConfigError where not even the smallest size fits.
    """
    trials = trials or _trials(config, device)
    kind = device.type
    rollout, games = config.training.rollout_length, config.env.num_games
    assert not isinstance(rollout, str) and not isinstance(games, str)
    found: dict[str, int] = {}
    for key, sizes, seconds_of in (
        ("env.num_games", GAMES[kind], trials.play),
        ("training.batch_size", BATCHES[kind], trials.learn),
    ):
        if key not in wanted:
            continue
        least, most = sizes
        if key == "training.batch_size":
            rows = rollout * found.get("env.num_games", games // ranks)
            least, most = min(least, rows), min(most, rows)
        try:
            rates = measure_rates(doubling(least, most), seconds_of)
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise ConfigError(
                f"{key}: fit: expected room for at least {least}, got none: {error}"
            ) from error
        found[key] = smallest_good(rates)
        shown = ", ".join(f"{size:,}: {rate:,.0f}/s" for size, rate in rates.items())
        _log.info("%s: %s fits %s (%s)", key, f"{found[key]:,}", device, shown)
    return found
