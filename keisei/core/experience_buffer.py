"""The rollout store: packed positions, never planes and never masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from keisei import ops
from keisei.core.ranks import SINGLE, Ranks

_SIDE_WORD = 15  # of a packed position: its sign bit says that white is to move


@dataclass(frozen=True)
class Minibatch:
    """Rows of a rollout, drawn without regard to game or time. All tensors have length B."""

    positions: Tensor
    """int32 [B, 17]"""
    actions: Tensor
    """int64 [B]"""
    log_probs: Tensor
    """float32 [B], of the actions under the policy that collected them"""
    values: Tensor
    """float32 [B], as estimated while collecting"""
    advantages: Tensor
    """float32 [B]"""
    returns: Tensor
    """float32 [B]"""
    valid: Tensor
    """bool [B]; False: the row of a truncated game, or an opponent's ply; no part of any loss or
    statistic"""


class ExperienceBuffer:
    """One rollout of T plies in each of N games.

    A ply is written in two halves: ``record_decision`` before the games move, since they move in
    place, and ``record_result`` after. Rows are time-major, [T, N]; ``positions`` is [T, N, 17].

    With several ``ranks`` N is this rank's share of the games, and the statistics of the advantages
    are those of all. ``shuffle_blocks``: see ``shuffled_rows``; None is one a rank. Raises
    ValueError if the blocks cannot be equal.

    With ``opponents`` some plies may be theirs: each decision says which are the learner's ``own``,
    and nothing is learned from others.
    """

    def __init__(
        self,
        rollout_length: int,
        num_games: int,
        device: torch.device,
        *,
        ranks: Ranks = SINGLE,
        shuffle_blocks: int | None = None,
        opponents: bool = False,
    ) -> None:
        blocks = ranks.world_size if shuffle_blocks is None else shuffle_blocks
        if blocks % ranks.world_size or num_games * ranks.world_size % blocks:
            raise ValueError(
                f"training.shuffle_blocks: expected a multiple of {ranks.world_size} ranks that "
                f"divides {num_games * ranks.world_size} games, got {blocks}"
            )
        self._ranks = ranks
        self._blocks = blocks
        shape = (rollout_length, num_games)
        self.rollout_length = rollout_length
        self.num_games = num_games
        self.positions = torch.zeros((*shape, ops.POSITION_WORDS), dtype=torch.int32, device=device)
        self.actions = torch.zeros(shape, dtype=torch.int16, device=device)
        self.log_probs = torch.zeros(shape, device=device)
        self.values = torch.zeros((rollout_length + 1, num_games), device=device)
        self.rewards = torch.zeros(shape, device=device)
        self.ending = torch.zeros(shape, dtype=torch.uint8, device=device)
        self.valid = torch.zeros(shape, dtype=torch.bool, device=device)
        self.own: Tensor | None = torch.zeros_like(self.valid) if opponents else None
        """whether the learner moved, bool [T, N]; None: it always does"""
        self._learnt = torch.zeros_like(self.valid) if opponents else None
        self.length = torch.zeros(shape, dtype=torch.int32, device=device)
        self.lost = torch.zeros((), device=device)
        """1 if a value or a move's log-probability is not finite on any rank, else 0"""
        self.advantages = torch.zeros(shape, device=device)
        self.returns = torch.zeros(shape, device=device)
        self._rows = 0
        self._decided = False

    def __len__(self) -> int:
        """Whole plies recorded so far."""
        return self._rows

    @property
    def full(self) -> bool:
        """Whether all T plies are recorded."""
        return self._rows == self.rollout_length

    @property
    def learnt(self) -> Tensor:
        """The moves that are learned from, bool [T, N]: valid and the learner's own."""
        return self.valid if self._learnt is None else self._learnt

    @property
    def white(self) -> Tensor:
        """Whether white was to move, bool [T, N]."""
        return self.positions[:, :, _SIDE_WORD] < 0

    def record_decision(
        self,
        *,
        positions: Tensor,
        actions: Tensor,
        log_probs: Tensor,
        values: Tensor,
        own: Tensor | None = None,
    ) -> None:
        """What was seen and chosen in each game, before the games move.

        positions int32 [N, 17], actions int64 [N], log_probs and values float [N], own bool [N],
        which there is with ``opponents`` and only there: else ValueError. Raises RuntimeError when
        the buffer is full or a result is due.
        """
        if self.full or self._decided:
            raise RuntimeError(
                f"ExperienceBuffer: expected {'a result' if self._decided else 'clear()'}, "
                f"got a decision after {self._rows} of {self.rollout_length} plies"
            )
        row = self._rows
        if self.own is not None and own is not None:
            self.own[row].copy_(own)
        elif self.own is not own:
            expected = "none" if self.own is None else "whose plies these are"
            raise ValueError(f"ExperienceBuffer: own: expected {expected}, got {own!r}")
        self.positions[row].copy_(positions)
        self.actions[row].copy_(actions)
        self.log_probs[row].copy_(log_probs)
        self.values[row].copy_(values)
        self._decided = True

    def record_result(
        self, *, rewards: Tensor, ending: Tensor, valid: Tensor, length: Tensor
    ) -> None:
        """What came of it: rewards float32, ending uint8, valid bool, length int32, each [N]."""
        if not self._decided:
            raise RuntimeError("ExperienceBuffer: expected a decision, got a result")
        row = self._rows
        self.rewards[row].copy_(rewards)
        self.ending[row].copy_(ending)
        self.valid[row].copy_(valid)
        self.length[row].copy_(length)
        if self.own is not None and self._learnt is not None:
            torch.logical_and(valid, self.own[row], out=self._learnt[row])
        self._rows += 1
        self._decided = False

    def compute_advantages(
        self, last_values: Tensor, *, gamma: float, gae_lambda: float, normalize: bool
    ) -> None:
        """Zero-sum GAE over the whole rollout; ``last_values`` [N]: of the games as they stand.

        Where opponents reply it runs over the learner's own plies: see ``keisei.ops.gae``.

        With ``normalize`` the advantages of the rows that are learned from, of all ranks, get mean
        0 and deviation 1. Returns stay as they are. ``lost`` says whether there is a number that is
        not finite, from which there are no advantages. Raises RuntimeError unless the buffer is
        full.
        """
        if not self.full:
            raise RuntimeError(
                f"ExperienceBuffer: expected {self.rollout_length} plies, got {self._rows}"
            )
        self.values[-1].copy_(last_values)
        known = (self.log_probs.isfinite() | ~self.learnt).all() & self.values.isfinite().all()
        self.lost.copy_(self._ranks.max_(1.0 - known.float()))
        # Where every ply of a game is the learner's own, the two forms are the same to the bit.
        form: ops.GaeForm = "zero_sum" if self.own is None else "own_plies"
        advantages, returns = ops.gae(
            self.values, self.rewards, self.ending, self.valid, gamma, gae_lambda, form, self.own
        )
        if normalize:
            weight = self.learnt.float()
            count, total = self._ranks.sum_(
                torch.stack((weight.sum(), (advantages * weight).sum()))
            )
            count = count.clamp(min=1.0)
            mean = total / count
            squares = ((advantages - mean).square() * weight).sum()
            deviation = (self._ranks.sum_(squares) / count).sqrt()
            advantages = torch.where(self.learnt, (advantages - mean) / (deviation + 1e-8), 0.0)
        self.advantages.copy_(advantages)
        self.returns.copy_(returns)

    def shuffled_rows(self, batch_size: int, generator: torch.Generator) -> Sequence[Tensor]:
        """The indices of all rows once, shuffled, in pieces: this rank's share of each minibatch.

        The games of all ranks are ``shuffle_blocks`` blocks of equal size. Each block's rows are
        shuffled, and every minibatch, of nearly ``batch_size`` rows over all ranks, takes the same
        share of each block. So however many ranks share the blocks, the minibatches are the same;
        with one block the whole rollout is shuffled.

        int64, of nearly equal length, the longest first. ``generator`` lives on the buffer's device
        and must stand alike on all ranks.
        """
        ranks, device = self._ranks, self.valid.device
        rows = self.rollout_length * self.num_games * ranks.world_size
        pieces = max(1, round(rows / batch_size))
        own = self._blocks // ranks.world_size
        games = self.num_games // own
        shares: list[Sequence[Tensor]] = []
        for block in range(self._blocks):
            # Drawn for the blocks of the other ranks too: all generators stay alike.
            order = torch.randperm(rows // self._blocks, generator=generator, device=device)
            number = block - ranks.rank * own
            if 0 <= number < own:
                if own > 1:
                    ply, game = order // games, order % games
                    order = ply * self.num_games + number * games + game
                shares.append(order.tensor_split(pieces))
        return shares[0] if own == 1 else [torch.cat(share) for share in zip(*shares, strict=True)]

    def gather(self, rows: Tensor) -> Minibatch:
        """The rows with these indices, int64 [B]; -1 gives a row that is not valid."""
        count = self.rollout_length * self.num_games
        index = rows.clamp(min=0)
        return Minibatch(
            positions=self.positions.view(count, ops.POSITION_WORDS)[index],
            actions=self.actions.view(count)[index].long(),
            log_probs=self.log_probs.view(count)[index],
            values=self.values.view(-1)[index],
            advantages=self.advantages.view(count)[index],
            returns=self.returns.view(count)[index],
            valid=self.learnt.view(count)[index] & (rows >= 0),
        )

    def mark_full(self) -> None:
        """Says that all plies are there: a recorded rollout writes them without telling."""
        self._rows = self.rollout_length
        self._decided = False

    def clear(self) -> None:
        """Makes room for the next rollout."""
        self._rows = 0
        self._decided = False
