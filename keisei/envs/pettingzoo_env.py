"""One game of shogi as a PettingZoo AEC environment: ``pip install 'keisei[pettingzoo]'``.

from keisei.envs import pettingzoo_env
env = pettingzoo_env.env()
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv
from pettingzoo.utils import wrappers

from keisei import Outcome, Position, ops

BLACK, WHITE = "player_0", "player_1"

Observation = dict[str, NDArray[Any]]


def env(max_plies: int = 512, render_mode: str | None = None) -> AECEnv:
    """The environment with PettingZoo's usual wrappers: an illegal move loses, the order is kept.

    ``max_plies`` truncates a game; ``render_mode`` is ``ansi`` or None.
    """
    game = ShogiAECEnv(max_plies=max_plies, render_mode=render_mode)
    game = wrappers.TerminateIllegalWrapper(game, illegal_reward=-1)
    game = wrappers.AssertOutOfBoundsWrapper(game)
    return wrappers.OrderEnforcingWrapper(game)


class ShogiAECEnv(AECEnv):
    """One game; ``player_0`` is black and moves first.

    An observation has ``observation``, float32 [121, 9, 9], the planes of the agent's own view
    (see ``keisei.ops.planes``), and ``action_mask``, int8 [2187], all zero unless it is the agent's
    turn. Rewards come with the end: 1 and -1, or 0 and 0. The move limit truncates. An action that
    is not legal raises ValueError, whatever comes before ``reset`` RuntimeError.

    ``reset(options={"sfen": ...})`` begins from another position. There is no chance in shogi:
    ``seed`` is taken and changes nothing.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "shogi_v0",
        "render_modes": ["ansi"],
        "is_parallelizable": False,
    }

    def __init__(self, max_plies: int = 512, render_mode: str | None = None) -> None:
        if max_plies < 1:
            raise ValueError(f"max_plies: expected at least 1, got {max_plies}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode: expected 'ansi' or None, got {render_mode!r}")
        super().__init__()
        self.max_plies = max_plies
        self.render_mode = render_mode
        self.possible_agents = [BLACK, WHITE]
        self.observation_spaces = {
            agent: spaces.Dict(
                {
                    "observation": spaces.Box(0.0, 1.0, (ops.FEATURE_PLANES, 9, 9), np.float32),
                    "action_mask": spaces.Box(0, 1, (ops.LABELS,), np.int8),
                }
            )
            for agent in self.possible_agents
        }
        self.action_spaces = {agent: spaces.Discrete(ops.LABELS) for agent in self.possible_agents}

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The same object each time."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The same object each time."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begins a game; ValueError if ``options["sfen"]`` is none that goes on."""
        sfen = (options or {}).get("sfen")
        position = Position() if sfen is None else Position.from_sfen(sfen)
        if (outcome := position.outcome()) is not None:
            raise ValueError(f"sfen: expected a game that goes on, got one that is over: {outcome}")
        self._position = position
        self._outcome: Outcome | None = None
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self.agent_selection = self.possible_agents[position.turn]

    def step(self, action: int | None) -> None:
        """Plays a label of the agent whose turn it is; None once its game is over."""
        self._check_begun("step")
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        if action is None:
            raise ValueError(f"action: expected a label for {agent}, whose turn it is, got None")
        self._cumulative_rewards[agent] = 0.0
        self._clear_rewards()
        self._position.push_label(int(action))
        self._outcome = self._position.outcome(self.max_plies)
        if self._outcome is not None:
            self._end(self._outcome)
        self.agent_selection = self.possible_agents[self._position.turn]
        self._accumulate_rewards()

    def last(self, observe: bool = True) -> Any:
        """Observation, reward, termination, truncation and info of the agent whose turn it is."""
        self._check_begun("last")
        return super().last(observe)

    def _check_begun(self, what: str) -> None:
        if not hasattr(self, "_position"):
            raise RuntimeError(f"{what}: expected reset() first, got none")

    def _end(self, outcome: Outcome) -> None:
        limit = outcome.ending == "move_limit"
        for colour, agent in enumerate(self.possible_agents):
            if outcome.winner is not None:
                self.rewards[agent] = 1.0 if outcome.winner == colour else -1.0
            self.terminations[agent] = not limit
            self.truncations[agent] = limit
            self.infos[agent] = {"ending": outcome.ending}

    def observe(self, agent: str) -> Observation:
        """What an agent sees, in its own view, whoever's turn it is."""
        self._check_begun("observe")
        position = self._position
        mask = np.zeros(ops.LABELS, dtype=np.int8)
        if agent == self.possible_agents[position.turn]:
            if self._outcome is None:
                mask[position.legal_labels()] = 1
            return {"observation": position.planes(), "action_mask": mask}
        return {"observation": position.planes(opponent=True), "action_mask": mask}

    def render(self) -> str | None:
        """The board as text, with render mode ``ansi``."""
        self._check_begun("render")
        return str(self._position) if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Nothing is held."""
