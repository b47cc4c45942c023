"""The progress of a run and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keisei.training.train_state import TrainState

_IN_WORDS = (
    "loss",
    "policy_loss",
    "value_loss",
    "entropy",
    "approx_kl",
    "clip_fraction",
    "gradient_norm",
    "explained_variance",
)
RESULTS = ("black_wins", "white_wins", "draws", "truncated")


class MetricsManager:
    """Holds the run's one ``TrainState`` and turns what an iteration did into figures."""

    def __init__(self) -> None:
        self.state = TrainState()
        self.latest: dict[str, float] = {}
        self._warm_up_until = 0
        self._mark = (0, 0.0)

    @property
    def global_timestep(self) -> int:
        """Plies played since the run began, over all of its resumptions."""
        return self.state.step

    @global_timestep.setter
    def global_timestep(self, value: int) -> None:
        if value < 0:
            raise ValueError(f"global_timestep: expected 0 or more, got {value}")
        self.state.step = value

    @property
    def total_episodes_completed(self) -> int:
        """Games that ended since the run began."""
        return self.state.totals.get("games", 0)

    @property
    def black_wins(self) -> int:
        """Games that black won since the run began."""
        return self.state.totals.get("black_wins", 0)

    @property
    def white_wins(self) -> int:
        """Games that white won since the run began."""
        return self.state.totals.get("white_wins", 0)

    @property
    def draws(self) -> int:
        """Games drawn since the run began; those cut off at the move limit are not among them."""
        return self.state.totals.get("draws", 0)

    def take_progress(self, progress: TrainState) -> None:
        """Goes on from the counters of a checkpoint."""
        self.state = progress

    def set_total(self, name: str, value: int) -> None:
        """Replaces one of the counts of games since the run began, such as ``black_wins``."""
        if value < 0:
            raise ValueError(f"{name}: expected 0 or more, got {value}")
        self.state.totals[name] = value

    def get_current_stats(self) -> dict[str, Any]:
        """Where the run stands: counters, shares of results, and the last iteration's figures.

        A copy of plain values; shares are 0 before the first game has ended.
        """
        games = self.total_episodes_completed
        results = {name: self.state.totals.get(name, 0) for name in RESULTS}
        return {
            "global_timestep": self.state.step,
            "iteration": self.state.iteration,
            "seconds": self.state.seconds,
            "total_episodes_completed": games,
            **results,
            **{f"{name}_share": count / games if games else 0.0 for name, count in results.items()},
            "latest": dict(self.latest),
        }

    def record(
        self,
        counts: Mapping[str, int],
        learned: Mapping[str, float],
        *,
        collect_seconds: float,
        learn_seconds: float,
        settings: Mapping[str, float],
        also: Mapping[str, float] = {},
    ) -> dict[str, float]:
        """Counts one iteration; returns its figures by their full names.

        ``settings`` are what the learner was told for it, such as the learning rate; ``also`` are
        figures that have their full names already.
        """
        seconds = collect_seconds + learn_seconds
        state, games = self.state, counts["games"]
        state.iteration += 1
        state.step += counts["plies"]
        state.seconds += seconds
        state.count(dict(counts))
        self.latest = {
            "speed.positions_per_second": counts["plies"] / seconds,
            "speed.games_per_second": games / seconds,
            "speed.collect_seconds": collect_seconds,
            "speed.learn_seconds": learn_seconds,
            "speed.total_seconds": state.seconds,
            **{f"learn.{name}": value for name, value in {**learned, **settings}.items()},
            **{f"games.{name}": float(count) for name, count in counts.items()},
            "games.mean_plies": counts["game_plies"] / games if games else 0.0,
            **also,
        }
        return dict(self.latest)

    def format_ppo_metrics(self, learned: Mapping[str, float]) -> str:
        """The learner's figures of one update in one line."""
        steps = int(learned.get("gradient_steps", 0))
        figures = " ".join(f"{name} {learned[name]:.4g}" for name in _IN_WORDS if name in learned)
        return f"PPO: {steps or 'no'} gradient steps" + (f" | {figures}" if figures else "")

    def start_pace(self, warm_up: int) -> None:
        """The pace is that of the iterations from now on, less the first ``warm_up``."""
        self._warm_up_until = self.state.iteration + warm_up
        self._mark = self.state.step, self.state.seconds

    def seconds_left(self, total: int) -> float:
        """How long the plies up to ``total`` will take at the pace so far; infinite if unknown."""
        state = self.state
        if state.iteration <= self._warm_up_until:
            self._mark = state.step, state.seconds
            pace = self.latest.get("speed.positions_per_second", 0.0)
        else:
            pace = (state.step - self._mark[0]) / (state.seconds - self._mark[1])
        return max(0, total - state.step) / pace if pace else float("inf")
