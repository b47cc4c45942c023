"""Many games of shogi as a TorchRL environment: ``pip install 'keisei[torchrl]'``."""

from __future__ import annotations

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Categorical, Composite
from torchrl.envs import EnvBase

from keisei import ops
from keisei.envs.ended_positions import RestartedGames


class ShogiTorchRLEnv(EnvBase):
    """N games of self-play, batch size [N]: each step is one ply of the side to move.

    Keys: ``observation`` float32 [N, 121, 9, 9] (see ``keisei.ops.planes``), ``action_mask`` bool
    [N, 2187], ``turn`` int32 [N, 1] (0 black, 1 white), ``action`` int64 [N], and ``reward``,
    ``done``, ``terminated``, ``truncated`` [N, 1]. All are those of the side that moves, as if it
    were black; the next observation is its opponent's, so a value changes sign from step to step.

    ``rand_action`` draws legal labels; a policy must heed ``action_mask``: a label that is not
    legal raises ValueError and moves no game. After ``done`` the next observation is the last one
    of the game, with an empty mask, and a reset, of that slot or of all, begins the next game. A
    slot whose game goes on cannot be reset by itself.

    Arguments are those of ``keisei.envs.ShogiVectorEnv``.
    """

    batch_locked = True

    def __init__(
        self,
        num_envs: int = 1,
        device: torch.device | str = "cpu",
        max_plies: int = 512,
        seed: int = 0,
    ) -> None:
        games = RestartedGames(num_envs, device, max_plies, seed)
        super().__init__(device=games.env.device, batch_size=[num_envs])
        self._games = games
        self._waiting = torch.zeros(num_envs, dtype=torch.bool, device=games.env.device)
        shape = (num_envs,)
        one = (num_envs, 1)
        where = games.env.device
        self.observation_spec = Composite(
            observation=Bounded(
                0.0, 1.0, (*shape, ops.FEATURE_PLANES, 9, 9), dtype=torch.float32, device=where
            ),
            action_mask=Binary(ops.LABELS, (*shape, ops.LABELS), dtype=torch.bool, device=where),
            turn=Categorical(2, one, dtype=torch.int32, device=where),
            shape=shape,
            device=where,
        )
        self.action_spec = Categorical(ops.LABELS, shape, dtype=torch.int64, device=where)
        flag = Categorical(2, one, dtype=torch.bool, device=where)
        self.full_done_spec = Composite(
            done=flag,
            terminated=flag.clone(),
            truncated=flag.clone(),
            shape=shape,
            device=where,
        )
        self.reward_spec = Bounded(-1.0, 1.0, one, dtype=torch.float32, device=where)

    def rand_action(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        """Adds a uniformly random legal ``action``, drawn from torch's generator."""
        if tensordict is None:
            tensordict = TensorDict(batch_size=self.batch_size, device=self.device)
        weights = self._games.env.legal.float()
        tensordict.set("action", torch.multinomial(weights, 1).squeeze(1))
        return tensordict

    def _reset(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        which = None if tensordict is None else tensordict.get("_reset", default=None)
        if which is None or bool(which.all()):
            self._games.reset()
        else:
            going_on = which.reshape(-1) & ~self._waiting
            if bool(going_on.any()):
                slots = going_on.nonzero().flatten().tolist()
                raise ValueError(
                    f"_reset: expected slots whose games are over, or all; got {slots}"
                )
        self._waiting.zero_() if which is None else self._waiting.logical_and_(~which.reshape(-1))
        return self._observe()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        played = self._games.step(tensordict["action"])
        after = self._observe()
        after["observation"][played.ended] = played.last_planes
        after["action_mask"][played.ended] = False
        self._waiting |= played.ending != ops.NOT_ENDED
        after["reward"] = played.reward[:, None]
        after["terminated"] = played.terminated[:, None]
        after["truncated"] = played.truncated[:, None]
        after["done"] = after["terminated"] | after["truncated"]
        return after

    def _observe(self) -> TensorDict:
        env = self._games.env
        tensors: dict[str, Tensor] = {
            "observation": env.planes(),
            "action_mask": env.legal,
            "turn": env.turn[:, None].clone(),
        }
        return TensorDict(tensors, batch_size=self.batch_size, device=self.device)

    def _set_seed(self, seed: int | None) -> None:
        """There is no chance in shogi."""
