"""Many games of shogi as a Gymnasium vector environment: ``pip install 'keisei[gymnasium]'``."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from keisei import ops
from keisei.envs.ended_positions import RestartedGames

Observation = dict[str, NDArray[Any]]


class ShogiGymnasiumEnv(VectorEnv):
    """N games of self-play: each step is one ply of the side to move.

    Observations, actions and rewards are those of the side that moves, as if it were black; the
    next observation is its opponent's, so a value changes sign from step to step. An observation
    has ``observation``, float32 [N, 121, 9, 9] (see ``keisei.ops.planes``), and ``action_mask``,
    int8 [N, 2187]. An action that is not legal raises ValueError and moves no game.

    A game that ends is replaced in the same step (``AutoresetMode.SAME_STEP``): its last
    observation, with an empty mask, is in ``infos["final_obs"]``, how it ended in
    ``infos["ending"]``, as named in ``keisei.ops``, its plies in ``infos["length"]``.
    ``infos["turn"]`` says who moves next: 0 black, 1 white.

    ``reset(options={"sfens": [...]})`` sets the start positions of this and all later games. There
    is no chance in shogi: ``seed`` is taken and changes nothing.

    Arguments are those of ``keisei.envs.ShogiVectorEnv``, which steps the games; with it tensors
    need not leave the device.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self, num_envs: int = 1, device: torch.device | str = "cpu", max_plies: int = 512
    ) -> None:
        self._games = RestartedGames(num_envs, device, max_plies)
        self.num_envs = num_envs
        self.single_observation_space = spaces.Dict(
            {
                "observation": spaces.Box(0.0, 1.0, (ops.FEATURE_PLANES, 9, 9), np.float32),
                "action_mask": spaces.Box(0, 1, (ops.LABELS,), np.int8),
            }
        )
        self.single_action_space = spaces.Discrete(ops.LABELS)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begins a new game in every slot."""
        super().reset(seed=seed)
        self._games.reset((options or {}).get("sfens"))
        return self._observe(), self._info()

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[
        Observation, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
    ]:
        """Plays one label in every game, int64 [N]."""
        labels = torch.as_tensor(np.asarray(actions, dtype=np.int64), device=self._games.env.device)
        played = self._games.step(labels)
        info = self._info()
        slots = played.ended.cpu().numpy()
        if len(slots):
            here = np.zeros(self.num_envs, dtype=np.bool_)
            here[slots] = True
            final = np.full(self.num_envs, None, dtype=object)
            nothing = np.zeros(ops.LABELS, dtype=np.int8)
            for slot, planes in zip(slots, played.last_planes.cpu().numpy(), strict=True):
                final[slot] = {"observation": planes, "action_mask": nothing.copy()}
            info |= {"final_obs": final, "_final_obs": here}
            for name, tensor in (("ending", played.ending), ("length", played.length)):
                info |= {name: tensor.cpu().numpy(), f"_{name}": here}
        return (
            self._observe(),
            played.reward.cpu().numpy(),
            played.terminated.cpu().numpy(),
            played.truncated.cpu().numpy(),
            info,
        )

    def _observe(self) -> Observation:
        env = self._games.env
        return {
            "observation": env.planes().cpu().numpy(),
            "action_mask": env.legal.cpu().numpy().astype(np.int8),
        }

    def _info(self) -> dict[str, Any]:
        here = np.ones(self.num_envs, dtype=np.bool_)
        return {"turn": self._games.env.turn.cpu().numpy(), "_turn": here}
