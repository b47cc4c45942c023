"""``torch.ops.keisei``: typed calls, documented, and the fake kernels that torch traces with.

Positions are packed into 17 int32 words, legal masks into 81 words of 27 labels each. An op that
changes a tensor changes it in place and returns nothing; the others return new tensors. All
tensors of a call lie on one device, CPU or CUDA. A tensor that does not fit is a ``ValueError``
in the same words on both, such as
``actions: expected int64 [4096] on cuda:0, got float32 [4096] on cpu``.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from keisei._libraries import load_ops

load_ops()

POSITION_WORDS = 17
MASK_WORDS = 81
LABELS = 2187
FEATURE_PLANES = 121
PADDED_PLANES = 128
PROGRESS_ROWS = 4
NO_ERROR = torch.iinfo(torch.int64).max

# What `ending` holds.
NOT_ENDED = 0
NO_LEGAL_MOVE = 1
DECLARATION = 2
REPETITION = 3
PERPETUAL_CHECK = 4
MOVE_LIMIT = 5

GaeForm = Literal["zero_sum", "single", "own_plies"]


def bucket_count(max_plies: int) -> int:
    """How many buckets a game of so many plies wants: about one a position."""
    return 1 << max(1, (min(max_plies, 65536) - 1).bit_length())


def history_shape(games: int, max_plies: int) -> tuple[int, int, int]:
    """The shape of the history of N games: tiles of 32 games, rows, games of a tile."""
    return (games + 31) // 32, max_plies + 1, 32


def reset(
    positions: Tensor,
    progress: Tensor,
    history: Tensor,
    buckets: Tensor,
    starts: Tensor,
    mask: Tensor,
    first_game: int = 0,
) -> None:
    """Begin a new game in each of N slots; their clocks count on.

    Args:
        positions: int32 [17, N], written: packed positions, word-major.
        progress: int32 [4, N], changed: rows ply, clock, runs of checks, pending.
        history: int64 [ceil(N / 32), max_plies + 1, 32], changed: keys of the game's positions,
            chained by bucket.
        buckets: int16 [N, B], changed: for each of B (a power of two, 2 to 65536) parts of all
            keys, which row of ``history`` came last. ``bucket_count`` gives a good B.
        starts: int32 [S, 98]: packed positions, each followed by its legal mask. Game g begins
            from row (first_game + g) % S.
        mask: int32 [N, 81], written: the legal masks.
        first_game: Index of game 0 among the games of all ranks.

    Raises:
        ValueError: A tensor does not fit, or two share memory.
    """
    torch.ops.keisei.reset(positions, progress, history, buckets, starts, mask, first_game)


def step(
    positions: Tensor,
    progress: Tensor,
    history: Tensor,
    buckets: Tensor,
    starts: Tensor,
    mask: Tensor,
    actions: Tensor,
    reward: Tensor,
    ending: Tensor,
    valid: Tensor,
    length: Tensor,
    error: Tensor,
    first_game: int = 0,
    max_plies: int = 512,
    check: bool = True,
) -> None:
    """Play one label in each of N games.

    A ruled end begins the slot's next game at once. At the move limit the last position stays for
    one more step, in which its action is ignored, ``valid`` is False, and the next game begins.

    Args:
        positions: int32 [17, N], changed.
        progress: int32 [4, N], changed.
        history: int64 [ceil(N / 32), max_plies + 1, 32], changed.
        buckets: int16 [N, B], changed.
        starts: int32 [S, 98].
        mask: int32 [N, 81], changed: holds the legal masks of the positions before and after.
        actions: int64 [N], labels.
        reward: float32 [N], written: for the player who moved.
        ending: uint8 [N], written: 0, or how the game ended with this move; 5 is the move limit.
        valid: bool [N], written: whether a move was made.
        length: int32 [N], written: plies of the game that ended with this move, else 0.
        error: int64 [1], changed only if ``check`` is False: the smallest code of an action that
            was not legal, ``(game << 16) | (label & 0xffff)``. Begin with ``NO_ERROR``.
        first_game: Index of game 0 among the games of all ranks.
        max_plies: The move limit, 1 to 65535; one less than the rows of ``history``.
        check: Check all actions first; on CUDA this waits for the device. If False, a game whose
            action is not legal stays as it is, with ``valid`` False.

    Raises:
        ValueError: A tensor does not fit, two share memory, or (``check``) an action is not legal;
            then nothing has changed.
    """
    torch.ops.keisei.step(
        positions,
        progress,
        history,
        buckets,
        starts,
        mask,
        actions,
        reward,
        ending,
        valid,
        length,
        error,
        first_game,
        max_plies,
        check,
    )


def random_play(
    positions: Tensor,
    progress: Tensor,
    history: Tensor,
    buckets: Tensor,
    starts: Tensor,
    mask: Tensor,
    plies: int,
    seed: int,
    first_game: int = 0,
) -> Tensor:
    """Play uniformly random legal labels in each of N games, many plies in one go.

    The games end as after ``plies`` times ``uniform_sample`` with their clocks and ``step``, to the
    bit; on CUDA in one launch.

    Args:
        positions: int32 [17, N], changed.
        progress: int32 [4, N], changed.
        history: int64 [ceil(N / 32), max_plies + 1, 32], changed.
        buckets: int16 [N, B], changed.
        starts: int32 [S, 98].
        mask: int32 [N, 81], changed.
        plies: Steps of each game, 0 to 2**20; one of them is spent on replacing a truncated game.
        seed: Any 64-bit integer.
        first_game: Index of game 0 among the games of all ranks.

    Returns:
        int64 [6]: moves made, then games ended by each ending from 1 (no legal move) to 5.

    Raises:
        ValueError: A tensor or ``plies`` does not fit, or two tensors share memory.
    """
    tally: Tensor = torch.ops.keisei.random_play(
        positions, progress, history, buckets, starts, mask, plies, seed, first_game
    )
    return tally


def legal_mask(positions: Tensor) -> Tensor:
    """Packed legal masks.

    Args:
        positions: int32 [N, 17], in rows or the transposed view of a word-major [17, N].

    Returns:
        int32 [N, 81]: bit b of word w is label 27 * w + b.

    Raises:
        ValueError: The tensor does not fit.
    """
    mask: Tensor = torch.ops.keisei.legal_mask(positions)
    return mask


def unpack_mask(mask: Tensor) -> Tensor:
    """Legal masks as bools.

    Args:
        mask: int32 [N, 81].

    Returns:
        bool [N, 2187].

    Raises:
        ValueError: The tensor does not fit.
    """
    legal: Tensor = torch.ops.keisei.unpack_mask(mask)
    return legal


def planes(
    positions: Tensor,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
    padded: bool = False,
) -> Tensor:
    """Feature planes, what the network sees.

    Args:
        positions: int32 [N, 17], in rows or the transposed view of a word-major [17, N].
        dtype: float32, float64, float16, bfloat16 or uint8.
        channels_last: The memory format; the shape is the same.
        padded: Put seven planes of zeros behind, for convolutions that take channels by eights;
            only with ``channels_last``.

    Returns:
        dtype [N, 121, 9, 9]: plane, file, rank, all values 0 or 1. [N, 128, 9, 9] if ``padded``.

    Raises:
        ValueError: The tensor or the dtype does not fit.
    """
    out: Tensor = torch.ops.keisei.planes(positions, dtype, channels_last, padded)
    return out


def mirror(positions: Tensor, actions: Tensor, flip: Tensor) -> tuple[Tensor, Tensor]:
    """Exchange left and right, of the boards of some rows and of the labels played on them.

    Shogi's rules do not tell a position from its mirror image: legal moves, outcomes and values
    are the same, and a legal label becomes the legal label of the mirrored move. The image of the
    image is the position itself.

    Args:
        positions: int32 [N, 17], in rows or the transposed view of a word-major [17, N].
        actions: int64 [N], labels; a number that is none stays as it is.
        flip: bool [N], which rows; the others are copied.

    Returns:
        positions int32 [N, 17] and actions int64 [N].

    Raises:
        ValueError: A tensor does not fit.
    """
    mirrored_positions, mirrored_actions = torch.ops.keisei.mirror(positions, actions, flip)
    return mirrored_positions, mirrored_actions


def perft(positions: Tensor, depth: int) -> Tensor:
    """Count the legal move sequences of ``depth`` moves from each position.

    Legality alone counts: no repetition, no declaration, no move limit. On CUDA this waits for the
    device, and works in up to 1 GB and 0.2 GB more a ply.

    Args:
        positions: int32 [N, 17], in rows or the transposed view of a word-major [17, N].
        depth: 0 to 32. A sequence that ends before is not counted.

    Returns:
        int64 [N].

    Raises:
        ValueError: The tensor or the depth does not fit.
    """
    nodes: Tensor = torch.ops.keisei.perft(positions, depth)
    return nodes


def uniform_sample(mask: Tensor, clock: Tensor, seed: int, first_game: int = 0) -> Tensor:
    """Draw a uniformly random legal label for each game; the same on every device.

    Args:
        mask: int32 [N, 81].
        clock: int32 [N]; game, clock and seed determine the draw.
        seed: Any 64-bit integer.
        first_game: Index of game 0 among the games of all ranks.

    Returns:
        int64 [N]; -1 where no label is legal.

    Raises:
        ValueError: A tensor does not fit.
    """
    action: Tensor = torch.ops.keisei.uniform_sample(mask, clock, seed, first_game)
    return action


def masked_sample(
    logits: Tensor,
    mask: Tensor,
    clock: Tensor,
    seed: int,
    first_game: int = 0,
    greedy: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a label for each game from the softmax over its legal labels.

    The draw (Gumbel-max over counter-based noise) is the same on every device. Nothing is
    differentiable here: a learner computes its log-probabilities from its own forward pass.

    Args:
        logits: float32, float16 or bfloat16 [N, 2187]. Illegal labels are not read.
        mask: int32 [N, 81].
        clock: int32 [N]; game, clock, label and seed determine the noise.
        seed: Any 64-bit integer.
        first_game: Index of game 0 among the games of all ranks.
        greedy: Take the most probable label instead, the lowest of equals.

    Returns:
        action int64 [N], log_prob float32 [N], entropy float32 [N]. -1, nan and nan where no label
        is legal. The action is legal wherever one is: a nan is never the most probable, and where
        no legal logit is above minus infinity it is the lowest legal label. Both, and an infinite
        logit, show as a nan in the last two.

    Raises:
        ValueError: A tensor does not fit.
    """
    action, log_prob, entropy = torch.ops.keisei.masked_sample(
        logits, mask, clock, seed, first_game, greedy
    )
    return action, log_prob, entropy


def gae(
    values: Tensor,
    rewards: Tensor,
    ending: Tensor,
    valid: Tensor,
    gamma: float = 1.0,
    lam: float = 0.95,
    form: GaeForm = "zero_sum",
    own: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation over a rollout of T steps of N games.

    Values V and rewards r are the mover's. In the form ``zero_sum`` sides alternate, so what comes
    from the next ply counts against the mover::

        delta[t] = r[t] - gamma V[t + 1] - V[t]
        A[t] = delta[t] - gamma lam A[t + 1]

    ``single`` is the textbook form, both signs plus. In ``own_plies`` the learner made the moves
    where ``own`` is True, and where a reply of its opponent follows::

        delta[t] = r[t] - gamma r[t + 1] + gamma^2 V[t + 2] - V[t]
        A[t] = delta[t] + gamma^2 lam A[t + 2]

    A ruled end has no later terms; the move limit ends the chain but not the value of what would
    have come. Rows that are not valid (or not own) get 0.

    Args:
        values: float32 [T + 1, N]; the last row is of the position after the rollout.
        rewards: float32 [T, N].
        ending: uint8 [T, N], as ``step`` writes it.
        valid: bool [T, N].
        gamma: Discount a ply.
        lam: Lambda, how far errors reach back.
        form: Which of the three.
        own: bool [T, N], for ``own_plies`` and only there.

    Returns:
        advantages float32 [T, N] and returns float32 [T, N] (advantages + values).

    Raises:
        ValueError: A tensor or the form does not fit.
    """
    advantages, returns = torch.ops.keisei.gae(
        values, rewards, ending, valid, gamma, lam, form, own
    )
    return advantages, returns


class PPOLoss(NamedTuple):
    """The loss of a minibatch and its parts, scalars over the valid rows.

    float32, or float64 for float64 logits.
    """

    total: Tensor
    """policy + value_coefficient * value - entropy_coefficient * entropy; has the gradient"""
    policy: Tensor
    value: Tensor
    entropy: Tensor
    approx_kl: Tensor
    clip_fraction: Tensor


def ppo_loss(
    logits: Tensor,
    values: Tensor,
    mask: Tensor,
    actions: Tensor,
    log_probs: Tensor,
    old_values: Tensor,
    advantages: Tensor,
    returns: Tensor,
    valid: Tensor,
    *,
    clip_range: float = 0.2,
    value_clip: float | None = None,
    value_coefficient: float = 0.5,
    entropy_coefficient: float | Tensor = 0.01,
) -> PPOLoss:
    """The loss of proximal policy optimisation over legal moves, for B rows of a rollout.

    Schulman et al., "Proximal policy optimization algorithms", 2017. Of each row, with the softmax
    over its legal labels p, the action a and its ratio r = p[a] / exp(log_prob)::

        policy        -min(r A, clip(r, 1 - clip_range, 1 + clip_range) A)
        value         (V - R)^2; with value_clip the larger of that and of the same for V no
                      further than value_clip from the old value
        entropy       -sum p log p
        approx_kl     r - 1 - log r
        clip_fraction |r - 1| > clip_range

    The results are means over the valid rows, and 0 if there are none. Rows that are not valid and
    illegal labels are not read. Differentiable in ``logits`` and ``values``, through ``total``; the
    gradient is computed in float32 (or float64) and rounded once. The same result on every run.

    Args:
        logits: float32, float16, bfloat16 or float64 [B, 2187].
        values: float32 [B], and so are the next four; with float64 logits all are float64.
        mask: int32 [B, 81], packed legal masks.
        actions: int64 [B], legal labels; where a valid row's is not legal, the loss is nan.
        log_probs: Of the actions under the policy that chose them.
        old_values: As estimated when the actions were chosen.
        advantages: A.
        returns: R.
        valid: bool [B].
        clip_range: How far the ratio may go from 1 and still gain.
        value_clip: See above; None does not clip.
        value_coefficient: Weight of the value loss.
        entropy_coefficient: Weight of the entropy, which is rewarded. A tensor of no dimensions,
            as float32 (or float64) as the rest, is read when the loss is computed: a recorded CUDA
            graph then follows its changes. It gets no gradient.

    Raises:
        ValueError: A tensor does not fit.
    """
    if not isinstance(entropy_coefficient, Tensor):
        # Filled, not copied from the host, which would wait.
        entropy_coefficient = torch.full(
            (),
            entropy_coefficient,
            dtype=torch.float64 if logits.dtype == torch.float64 else torch.float32,
            device=logits.device,
        )
    total, metrics, _ = torch.ops.keisei.ppo_loss(
        logits,
        values,
        mask,
        actions,
        log_probs,
        old_values,
        advantages,
        returns,
        valid,
        clip_range,
        value_clip,
        value_coefficient,
        entropy_coefficient,
    )
    return PPOLoss(total, *metrics[:5].unbind())


def _reset_fake(
    positions: Tensor,
    progress: Tensor,
    history: Tensor,
    buckets: Tensor,
    starts: Tensor,
    mask: Tensor,
    first_game: int,
) -> None:
    return None


def _step_fake(
    positions: Tensor,
    progress: Tensor,
    history: Tensor,
    buckets: Tensor,
    starts: Tensor,
    mask: Tensor,
    actions: Tensor,
    reward: Tensor,
    ending: Tensor,
    valid: Tensor,
    length: Tensor,
    error: Tensor,
    first_game: int,
    max_plies: int,
    check: bool,
) -> None:
    return None


def _random_play_fake(
    positions: Tensor,
    progress: Tensor,
    history: Tensor,
    buckets: Tensor,
    starts: Tensor,
    mask: Tensor,
    plies: int,
    seed: int,
    first_game: int,
) -> Tensor:
    return positions.new_empty((6,), dtype=torch.int64)


def _legal_mask_fake(positions: Tensor) -> Tensor:
    return positions.new_empty((positions.shape[0], MASK_WORDS))


def _unpack_mask_fake(mask: Tensor) -> Tensor:
    return mask.new_empty((mask.shape[0], LABELS), dtype=torch.bool)


def _planes_fake(
    positions: Tensor, dtype: torch.dtype, channels_last: bool, padded: bool = False
) -> Tensor:
    return torch.empty(
        (positions.shape[0], PADDED_PLANES if padded else FEATURE_PLANES, 9, 9),
        dtype=dtype,
        device=positions.device,
        memory_format=torch.channels_last if channels_last else torch.contiguous_format,
    )


def _mirror_fake(positions: Tensor, actions: Tensor, flip: Tensor) -> tuple[Tensor, Tensor]:
    return positions.new_empty(positions.shape), torch.empty_like(actions)


def _perft_fake(positions: Tensor, depth: int) -> Tensor:
    return positions.new_empty((positions.shape[0],), dtype=torch.int64)


def _uniform_sample_fake(mask: Tensor, clock: Tensor, seed: int, first_game: int) -> Tensor:
    return mask.new_empty((mask.shape[0],), dtype=torch.int64)


def _masked_sample_fake(
    logits: Tensor, mask: Tensor, clock: Tensor, seed: int, first_game: int, greedy: bool
) -> tuple[Tensor, Tensor, Tensor]:
    games = (logits.shape[0],)
    return (
        logits.new_empty(games, dtype=torch.int64),
        logits.new_empty(games, dtype=torch.float32),
        logits.new_empty(games, dtype=torch.float32),
    )


def _gae_fake(
    values: Tensor,
    rewards: Tensor,
    ending: Tensor,
    valid: Tensor,
    gamma: float,
    lam: float,
    form: str,
    own: Tensor | None,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(rewards), torch.empty_like(rewards)


def _ppo_loss_fake(logits: Tensor, values: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    return (
        values.new_empty(()),
        values.new_empty((6,)),
        values.new_empty((5, logits.shape[0])),
    )


def _ppo_loss_backward_fake(gradient: Tensor, logits: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return torch.empty_like(logits), gradient.new_empty((logits.shape[0],))


def _ppo_loss_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    logits, _, mask, actions = inputs[:4]
    valid, entropy_coefficient = inputs[8], inputs[12]
    _, metrics, stats = output
    ctx.mark_non_differentiable(metrics, stats)
    ctx.save_for_backward(logits, mask, actions, valid, metrics, stats, entropy_coefficient)


def _ppo_loss_gradient(ctx: Any, total: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    by_logits, by_values = torch.ops.keisei.ppo_loss_backward(total, *ctx.saved_tensors)
    return by_logits, by_values, *(None,) * 11


def _no_second_derivative(_: object, *gradients: object) -> None:
    raise RuntimeError("ppo_loss: expected a first derivative, got one of a derivative")


_FAKES: dict[str, Callable[..., object]] = {
    "reset": _reset_fake,
    "step": _step_fake,
    "random_play": _random_play_fake,
    "legal_mask": _legal_mask_fake,
    "unpack_mask": _unpack_mask_fake,
    "planes": _planes_fake,
    "mirror": _mirror_fake,
    "perft": _perft_fake,
    "uniform_sample": _uniform_sample_fake,
    "masked_sample": _masked_sample_fake,
    "gae": _gae_fake,
    "ppo_loss": _ppo_loss_fake,
    "ppo_loss_backward": _ppo_loss_backward_fake,
}
for _name, _fake in _FAKES.items():
    torch.library.register_fake(f"keisei::{_name}", _fake)
torch.library.register_autograd(
    "keisei::ppo_loss", _ppo_loss_gradient, setup_context=_ppo_loss_setup
)
torch.library.register_autograd("keisei::ppo_loss_backward", _no_second_derivative)
