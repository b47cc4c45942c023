"""Many games of shogi at once, as torch tensors on one device."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from keisei import Position, ops
from keisei._libraries import device_of


class Step(NamedTuple):
    """What one step did to each of N games. The four tensors are new in each step."""

    reward: Tensor
    """float32 [N]: -1, 0 or 1 for the player who moved; 0 while the game goes on."""
    ending: Tensor
    """uint8 [N]: 0, or how the game ended with this move, as named in ``keisei.ops``."""
    valid: Tensor
    """bool [N]: False where no move was made: the row only replaced a truncated game."""
    length: Tensor
    """int32 [N]: plies of the game that ended with this move, else 0."""

    @property
    def terminated(self) -> Tensor:
        """Games that ended by a rule, bool [N]; their slots already hold the next ones."""
        return (self.ending != ops.NOT_ENDED) & (self.ending != ops.MOVE_LIMIT)

    @property
    def truncated(self) -> Tensor:
        """Games at the move limit, bool [N]; their slots still hold the last positions."""
        return self.ending == ops.MOVE_LIMIT


class ShogiVectorEnv:
    """N games of shogi on one device, each begun anew when it ends.

    Positions, labels and planes are those of the side to move, as if it were black. With the same
    seed, uniform and sampled play is the same on every device, and a game's play does not depend
    on which other games are in the batch: an environment of 2 N games and two of N with
    ``first_game`` 0 and N play the same.

    Args:
        num_envs: N, at least 1.
        device: ``cpu``, ``cuda`` or ``cuda:I``.
        max_plies: A game is truncated after so many moves; 1 to 65535.
        seed: Of all randomness; any 64-bit integer.
        first_game: Index of game 0 among the games of all ranks.
        check_actions: Check each step's actions before any game moves; on CUDA that waits for the
            device. If False, a game with an illegal action does not move (``valid`` is False), and
            ``raise_errors`` tells of it.

    Raises:
        ValueError: An argument does not fit.
        RuntimeError: A CUDA device is asked for that torch or this build of keisei does not have.
    """

    def __init__(
        self,
        num_envs: int,
        device: torch.device | str = "cpu",
        max_plies: int = 512,
        seed: int = 0,
        first_game: int = 0,
        check_actions: bool = True,
    ) -> None:
        for name, value, least, most in (
            ("num_envs", num_envs, 1, 2**47),
            ("max_plies", max_plies, 1, 65535),
            ("seed", seed, -(2**63), 2**63 - 1),
            ("first_game", first_game, 0, 2**55),
        ):
            if not least <= value <= most:
                raise ValueError(f"{name}: expected {least} to {most}, got {value}")
        self.num_envs = num_envs
        self.device = device_of(device)
        self.max_plies = max_plies
        self.check_actions = check_actions
        self._seed = seed
        self._first_game = first_game
        self._positions = self._zeros(ops.POSITION_WORDS, num_envs)
        self._progress = self._zeros(ops.PROGRESS_ROWS, num_envs)
        self._history = self._zeros(*ops.history_shape(num_envs, max_plies), dtype=torch.int64)
        self._buckets = self._zeros(num_envs, ops.bucket_count(max_plies), dtype=torch.int16)
        self._mask = self._zeros(num_envs, ops.MASK_WORDS)
        self._error = torch.full((1,), ops.NO_ERROR, dtype=torch.int64, device=self.device)
        self._starts = _starts([Position()], self.device)
        self.reset()

    def reset(self, sfens: Sequence[str] | None = None) -> None:
        """Begin a new game in every slot; the clocks count on.

        Args:
            sfens: S start positions, for this and all later games: game g begins from
                ``sfens[(first_game + g) % S]``. None: the even game's start position.

        Raises:
            ValueError: A position is malformed or its game is already over there; nothing has
                changed then.
        """
        self._starts = _starts([Position()] if sfens is None else _parse(sfens), self.device)
        ops.reset(
            self._positions,
            self._progress,
            self._history,
            self._buckets,
            self._starts,
            self._mask,
            self._first_game,
        )

    def step(self, actions: Tensor) -> Step:
        """Play one label in every game.

        Args:
            actions: int64 [N]. In the step after a truncation a game's action is ignored.

        Returns:
            What happened, one row per game.

        Raises:
            ValueError: The tensor does not fit or, with ``check_actions``, an action is not legal;
                no game has moved then.
        """
        games, device = self.num_envs, self.device
        out = Step(
            reward=torch.empty(games, dtype=torch.float32, device=device),
            ending=torch.empty(games, dtype=torch.uint8, device=device),
            valid=torch.empty(games, dtype=torch.bool, device=device),
            length=torch.empty(games, dtype=torch.int32, device=device),
        )
        ops.step(
            self._positions,
            self._progress,
            self._history,
            self._buckets,
            self._starts,
            self._mask,
            actions,
            *out,
            self._error,
            self._first_game,
            self.max_plies,
            self.check_actions,
        )
        return out

    def random_play(self, plies: int) -> Tensor:
        """Play ``sample_uniform`` and ``step`` so many times, in one launch on CUDA.

        Returns:
            int64 [6]: moves made, then games ended by each ending from 1 to 5 as named in
            ``keisei.ops``.

        Raises:
            ValueError: ``plies`` is not 0 to 2**20.
        """
        return ops.random_play(
            self._positions,
            self._progress,
            self._history,
            self._buckets,
            self._starts,
            self._mask,
            plies,
            self._seed,
            self._first_game,
        )

    @property
    def first_game(self) -> int:
        """Index of game 0 among the games of all ranks."""
        return self._first_game

    @property
    def positions(self) -> Tensor:
        """The packed positions, int32 [N, 17]; a view that steps change."""
        return self._positions.t()

    @property
    def mask(self) -> Tensor:
        """The packed legal masks, int32 [N, 81]; the tensor that steps change."""
        return self._mask

    @property
    def legal(self) -> Tensor:
        """The legal labels, unpacked, bool [N, 2187]."""
        return ops.unpack_mask(self._mask)

    @property
    def turn(self) -> Tensor:
        """Who is to move, int32 [N]: 0 black, 1 white."""
        return (self._positions[15] >> 31) & 1

    @property
    def ply(self) -> Tensor:
        """Moves since the game's start, int32 [N]; a view that steps change."""
        return self._progress[0]

    @property
    def clock(self) -> Tensor:
        """Steps that the slot has ever made, int32 [N]; a view that steps change."""
        return self._progress[1]

    def planes(self, dtype: torch.dtype = torch.float32, channels_last: bool = False) -> Tensor:
        """The feature planes of the positions, dtype [N, 121, 9, 9]: see ``keisei.ops.planes``."""
        return ops.planes(self.positions, dtype, channels_last)

    def sample_uniform(self) -> Tensor:
        """A uniformly random legal label for every game, int64 [N]."""
        return ops.uniform_sample(self._mask, self.clock, self._seed, self._first_game)

    def sample(
        self, logits: Tensor, greedy: bool = False, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A label for every game from the softmax over its legal labels.

        Args:
            logits: float32, float16 or bfloat16 [N, 2187].
            greedy: Take the most probable label instead.
            mask: int32 [N, 81], packed legal masks of the positions that the logits are of, where
                these are not the games' own (their mirror images, say).

        Returns:
            action int64 [N], log_prob float32 [N], entropy float32 [N].

        Raises:
            ValueError: The tensor does not fit.
        """
        return ops.masked_sample(
            logits,
            self._mask if mask is None else mask,
            self.clock,
            self._seed,
            self._first_game,
            greedy,
        )

    def raise_errors(self) -> None:
        """Raise for an illegal action since the last call; on CUDA this waits for the device.

        Only without ``check_actions`` can there be one. Of several, the lowest game's is named.

        Raises:
            ValueError: A step was given an illegal action; that game did not move.
        """
        code = int(self._error.item())
        if code == ops.NO_ERROR:
            return
        self._error.fill_(ops.NO_ERROR)
        game, low = code >> 16, code & 0xFFFF
        label = "a label out of range" if low == 0xFFFF else f"label {low - (low >> 15 << 16)}"
        raise ValueError(
            f"actions: game {game}: {label} is not legal "
            "(expected a label of its legal mask; that game has not moved)"
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of everything that the games' future depends on, as tensors."""
        return {name: tensor.clone() for name, tensor in self._state().items()} | {
            "seed": torch.tensor(self._seed),
            "first_game": torch.tensor(self._first_game),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from where ``state_dict`` was called, on whatever device that was.

        Raises:
            ValueError: A tensor is missing, unknown or of another shape or dtype than this
                environment's (num_envs and max_plies must be the same); nothing has changed then.
        """
        own = self._state()
        expected = {*own, "seed", "first_game"}
        if set(state) != expected:
            raise ValueError(f"state: expected {sorted(expected)}, got {sorted(state)}")
        for name, tensor in own.items():
            shape = [*tensor.shape]
            if name == "starts":  # there may be more or fewer of them
                shape[0] = max([1, *state[name].shape[:1]])
            if [*state[name].shape] != shape or state[name].dtype != tensor.dtype:
                raise ValueError(
                    f"{name}: expected {tensor.dtype} {shape}, "
                    f"got {state[name].dtype} {[*state[name].shape]}"
                )
        for name in ("seed", "first_game"):
            if state[name].dtype != torch.int64 or state[name].ndim != 0:
                raise ValueError(
                    f"{name}: expected torch.int64 [], "
                    f"got {state[name].dtype} {[*state[name].shape]}"
                )
        progress = state["progress"]
        rows = self.max_plies + 1
        last_clock = (2**31 - 1) // rows * rows - 1
        if (
            bool((progress[:2] < 0).any())
            or bool((progress[0] > self.max_plies).any())
            or bool((progress[1] > last_clock).any())
        ):
            raise ValueError(
                f"progress: expected plies of 0 to {self.max_plies} and clocks of 0 to "
                f"{last_clock}, got rows {progress[0].min()} to {progress[0].max()} and "
                f"{progress[1].min()} to {progress[1].max()}"
            )
        for name, tensor in own.items():
            if name != "starts":
                tensor.copy_(state[name])
        self._starts = state["starts"].to(self.device, copy=True)
        self._seed = int(state["seed"])
        self._first_game = int(state["first_game"])

    def recording_key(self) -> tuple[int, ...]:
        """What a recorded CUDA graph of this environment's steps holds: addresses and numbers.

        A graph that was recorded under another key must not be started.
        """
        addresses = (tensor.data_ptr() for tensor in self._state().values())
        return (*addresses, self._starts.shape[0], self._seed, self._first_game)

    def _state(self) -> dict[str, Tensor]:
        return {
            "positions": self._positions,
            "progress": self._progress,
            "history": self._history,
            "buckets": self._buckets,
            "starts": self._starts,
            "mask": self._mask,
            "error": self._error,
        }

    def _zeros(self, *shape: int, dtype: torch.dtype = torch.int32) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=self.device)


def _parse(sfens: Sequence[str]) -> list[Position]:
    if isinstance(sfens, str) or not sfens:
        raise ValueError(f"sfens: expected a list of at least one SFEN, got {sfens!r}")
    positions = []
    for index, sfen in enumerate(sfens):
        try:
            position = Position.from_sfen(sfen)
        except ValueError as error:
            raise ValueError(f"sfens[{index}]: {error}") from None
        outcome = position.outcome()
        if outcome is not None:
            raise ValueError(
                f"sfens[{index}]: expected a game that goes on, got one that is over "
                f"({outcome.ending}): {sfen}"
            )
        positions.append(position)
    return positions


def _starts(positions: Sequence[Position], device: torch.device) -> Tensor:
    """Pack start positions and their legal masks, int32 [S, 98]."""
    words = torch.stack([torch.from_numpy(position.words()) for position in positions])
    words = words.to(device, torch.int32)
    return torch.cat([words, ops.legal_mask(words)], dim=1)
