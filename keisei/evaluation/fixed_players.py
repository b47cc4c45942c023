"""Players that never learn: fixed points of a rating ladder, as tensor code for all games at once.

All draws are counter-based, so a game is the same on every device and whatever it is played with.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from keisei import ops
from keisei.evaluation.players import Choice, MatchStart, Player, Turn

# Pawns' worth of a piece on the board by its kind, as csrc/shogi/piece.h numbers them: nothing,
# pawn, lance, knight, silver, bishop, rook, gold, king, then the promoted ones. No king is taken.
PIECE_VALUES = (0, 1, 3, 4, 5, 8, 10, 6, 0, 6, 6, 6, 6, 11, 13, 0)
_BOARD_PLANES = 20  # of labels, the rest are drops
_PROMOTIONS = slice(10, 20)
_SQUARES = 81
_WORD_BITS = 27
_MATES, _LOSES = 1000.0, -1000.0  # more than any material
_CHILDREN_AT_ONCE = 32768
_COIN = 0x5EED_C011  # sets the coin's draws apart from those of the moves


class UniformPlayer(Player):
    """Draws each move uniformly from the legal ones, as ``ShogiVectorEnv.sample_uniform`` does."""

    def start(self, match: MatchStart) -> None:
        """See ``Player``."""
        self._match = match

    def choose(self, turn: Turn) -> Choice:
        """See ``Player``."""
        match = self._match
        return Choice(ops.uniform_sample(turn.mask, turn.clock, match.seed, match.first_game))


class GreedyCapturePlayer(Player):
    """Takes the most valuable piece that it can, by ``PIECE_VALUES``, and looks no further.

    Of equals, and where nothing can be taken, it promotes if it can; what is equal still is drawn
    uniformly.
    """

    def start(self, match: MatchStart) -> None:
        """See ``Player``."""
        self._match = match

    def choose(self, turn: Turn) -> Choice:
        """See ``Player``."""
        board = Board.of(turn.positions)
        scores = torch.zeros(len(turn.mask), 27, _SQUARES, device=turn.mask.device)
        scores[:, :_BOARD_PLANES] = 2 * board.capture_values()[:, None]
        scores[:, _PROMOTIONS] += 1
        return Choice(draw_best(scores.flatten(1), turn, self._match))


class MateAwarePlayer(Player):
    """Looks one ply ahead: makes each legal move and judges the position behind it at once.

    It mates where it can. Else it takes what leaves the best balance by ``PIECE_VALUES``: the
    piece taken, plus what promotion adds, less the most valuable of its pieces that the opponent
    could then take, protected or not. It lets nobody declare a win if it can help it. Equals are
    drawn uniformly. Mates of the opponent it does not see.
    """

    def start(self, match: MatchStart) -> None:
        """See ``Player``."""
        self._match = match

    def choose(self, turn: Turn) -> Choice:
        """See ``Player``."""
        scores = torch.full((len(turn.mask), ops.LABELS), -math.inf, device=turn.mask.device)
        legal = ops.unpack_mask(turn.mask) & turn.asked[:, None]
        rows, labels = legal.nonzero(as_tuple=True)
        for begin in range(0, len(rows), _CHILDREN_AT_ONCE):
            row = rows[begin : begin + _CHILDREN_AT_ONCE]
            label = labels[begin : begin + _CHILDREN_AT_ONCE]
            scores[row, label] = self._judge(turn.positions[row], turn.mask[row], label)
        return Choice(draw_best(scores, turn, self._match))

    @staticmethod
    def _judge(positions: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        """The worth of a label of each row to its mover, float32 [M]."""
        after = play_copies(positions, mask, labels)
        plane, square = labels // _SQUARES, labels % _SQUARES
        captured = Board.of(positions).capture_values().gather(1, square[:, None]).squeeze(1)
        gained = torch.where(plane < _BOARD_PLANES, captured, 0.0)
        board = Board.of(after.positions)  # seen by the opponent
        moved = board.kinds.gather(1, (_SQUARES - 1 - square)[:, None]).squeeze(1)
        value = board.values
        promotes = (plane >= _PROMOTIONS.start) & (plane < _PROMOTIONS.stop)
        gained += torch.where(promotes, value[moved] - value[moved & 7], 0.0)
        reached = torch.zeros(len(labels), 3, dtype=torch.int32, device=labels.device)
        for words in after.mask.view(-1, 27, 3)[:, :_BOARD_PLANES].unbind(1):
            reached |= words
        lost = (board.capture_values() * unpack_words(reached)).amax(dim=1)
        score = gained - lost
        score = torch.where(after.reward < 0, _LOSES, score)
        return torch.where(after.reward > 0, _MATES, score)


class MixturePlayer(Player):
    """Leaves a share of its moves to one player and the others to another, by a coin for each."""

    def __init__(self, first: Player, second: Player, share: float) -> None:
        """``second`` plays ``share``, 0 to 1, of the moves; ValueError for another number."""
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share: expected 0 to 1, got {share}")
        self._players = first, second
        self._share = share

    def start(self, match: MatchStart) -> None:
        """See ``Player``."""
        for player in self._players:
            player.start(match)
        self._seed = match.seed ^ _COIN
        self._first_game = match.first_game
        self._odds = torch.full((match.games, ops.LABELS), -math.inf, device=match.device)
        self._odds[:, 0] = math.log(1 - self._share) if self._share < 1 else -math.inf
        self._odds[:, 1] = math.log(self._share) if self._share > 0 else -math.inf
        self._sides = torch.zeros(
            match.games, ops.MASK_WORDS, dtype=torch.int32, device=match.device
        )
        self._sides[:, 0] = 3

    def choose(self, turn: Turn) -> Choice:
        """See ``Player``."""
        side, _, _ = ops.masked_sample(
            self._odds, self._sides, turn.clock, self._seed, self._first_game
        )
        first, second = (
            player.choose(Turn(turn.positions, turn.mask, turn.asked & (side == which), turn.clock))
            for which, player in enumerate(self._players)
        )
        return Choice(torch.where(side == 0, first.labels, second.labels))


class Board(NamedTuple):
    """Boards by square, unpacked, each seen by its mover."""

    own: Tensor
    """bool [N, 81], the mover's pieces"""
    kinds: Tensor
    """int64 [N, 81]"""
    values: Tensor
    """float32 [16], ``PIECE_VALUES``"""

    @classmethod
    def of(cls, positions: Tensor) -> Board:
        """Of packed positions, int32 [N, 17]."""
        planes = unpack_words(positions[:, :15]).view(-1, 5, _SQUARES)
        weights = torch.tensor([0, 1, 2, 4, 8], device=positions.device)
        kinds = (planes * weights[:, None]).sum(dim=1)
        values = torch.tensor(PIECE_VALUES, dtype=torch.float32, device=positions.device)
        return cls(planes[:, 0], kinds, values)

    def capture_values(self) -> Tensor:
        """The worth of the opponent's piece on each square, 0 elsewhere, float32 [N, 81]."""
        return torch.where(self.own, 0.0, self.values[self.kinds])


def unpack_words(words: Tensor) -> Tensor:
    """Bitboards in words of 27 squares, int32 [N, 3 K], as bool [N, 81 K]."""
    shifts = torch.arange(_WORD_BITS, dtype=torch.int32, device=words.device)
    return ((words[:, :, None] >> shifts) & 1).bool().flatten(1)


class Played(NamedTuple):
    """Positions after a label was played on each, seen by the opponent."""

    positions: Tensor
    """int32 [N, 17]; where the game ended, the position from before"""
    mask: Tensor
    """int32 [N, 81]"""
    reward: Tensor
    """float32 [N], for the player of the label: 1 for mate, -1 where the opponent may declare"""


def play_copies(positions: Tensor, mask: Tensor, labels: Tensor) -> Played:
    """Plays a legal label on a copy of each position; what led to the position is not known.

    Args:
        positions: int32 [N, 17].
        mask: int32 [N, 81], their packed legal labels.
        labels: int64 [N].
    """
    games, device = len(labels), labels.device
    plies = 2  # any limit that one move does not reach
    shape = ops.history_shape(games, plies)
    state = (
        torch.empty(ops.POSITION_WORDS, games, dtype=torch.int32, device=device),
        torch.zeros(ops.PROGRESS_ROWS, games, dtype=torch.int32, device=device),
        torch.zeros(shape, dtype=torch.int64, device=device),
        torch.zeros(games, ops.bucket_count(plies), dtype=torch.int16, device=device),
        torch.cat([positions, mask], dim=1),
        torch.empty(games, ops.MASK_WORDS, dtype=torch.int32, device=device),
    )
    ops.reset(*state)
    reward = torch.empty(games, dtype=torch.float32, device=device)
    ending = torch.empty(games, dtype=torch.uint8, device=device)
    valid = torch.empty(games, dtype=torch.bool, device=device)
    length = torch.empty(games, dtype=torch.int32, device=device)
    error = torch.full((1,), ops.NO_ERROR, dtype=torch.int64, device=device)
    ops.step(*state, labels, reward, ending, valid, length, error, 0, plies, check=False)
    return Played(state[0].t(), state[5], reward)


def draw_best(scores: Tensor, turn: Turn, match: MatchStart) -> Tensor:
    """A label of the highest score among the legal ones, equals drawn uniformly, int64 [N].

    ``scores``: float32 [N, 2187], all finite where legal in a row that is asked.
    """
    scores = scores.masked_fill(~ops.unpack_mask(turn.mask), -math.inf)
    best = scores == scores.amax(dim=1, keepdim=True)
    logits = torch.where(best, 0.0, -math.inf)
    labels, _, _ = ops.masked_sample(logits, turn.mask, turn.clock, match.seed, match.first_game)
    return labels
