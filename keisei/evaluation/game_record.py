"""One game as it was played: what matches return, run folders keep and record files are made of.

Needs no torch. ``keisei.evaluation.records`` writes games as KIF, CSA and SFEN lines and reads
them back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from keisei import Position

START_SFEN = "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1"
"""the first position of an even game"""

Ending = Literal[
    "no_legal_move",
    "declaration",
    "repetition",
    "perpetual_check",
    "move_limit",
    "resignation",
    "time",
    "illegal_move",
    "crash",
    "stall",
    "agreed_draw",
    "unfinished",
]
"""How a game ended: the first five by the rules or the limit, the next five by what the loser did.
``no_legal_move`` is mate, or the rare stalemate; whoever is to move has lost. The last two come
from files of other programs: a draw that was agreed (also by the points of an impasse), and a game
that was broken off or whose file does not say how it ended."""

ENDINGS: tuple[str, ...] = get_args(Ending)
UNDECIDED = frozenset({"repetition", "move_limit", "agreed_draw", "unfinished"})
"""endings without a winner"""

Colour = Literal["black", "white"]


@dataclass(frozen=True)
class GameRecord:
    """A game: players, first position, moves and end. Raises ValueError if these do not fit."""

    black: str
    """name of the player of the first side (sente; in a handicap game the receiver)"""
    white: str
    start: str
    """the SFEN of the first position, all four fields"""
    moves: tuple[str, ...]
    """in USI, the opening's included, all legal: an illegal move that ended a game is not here"""
    ending: str
    """see ``Ending``"""
    winner: Colour | None
    """None if nobody won"""
    opening_plies: int = 0
    """how many of the first moves were given by the opening, chosen by neither player"""
    values: tuple[float | None, ...] = ()
    """the mover's expected result before each move, in [-1, 1], None where unknown; or empty"""
    seconds: tuple[float, ...] = ()
    """what each move took; or empty"""
    date: str | None = None
    """when it began, ISO 8601: ``2026-11-22`` or ``2026-11-22T20:15:00``"""
    event: str = ""
    """what it was part of, one line"""

    def __post_init__(self) -> None:
        for name in ("black", "white", "event"):
            text = getattr(self, name)
            if len(text.splitlines()) > 1 or text != text.strip():
                raise ValueError(f"{name}: expected one line without blanks around, got {text!r}")
        if self.ending not in ENDINGS:
            raise ValueError(f"ending: expected one of {', '.join(ENDINGS)}, got {self.ending!r}")
        if self.winner not in (None, "black", "white"):
            raise ValueError(f"winner: expected 'black', 'white' or None, got {self.winner!r}")
        if (self.winner is None) != (self.ending in UNDECIDED):
            expected = "nobody" if self.ending in UNDECIDED else "'black' or 'white'"
            raise ValueError(f"winner: expected {expected} by {self.ending}, got {self.winner!r}")
        if not 0 <= self.opening_plies <= len(self.moves):
            raise ValueError(
                f"opening_plies: expected 0 to {len(self.moves)}, the number of moves, got "
                f"{self.opening_plies}"
            )
        for name in ("values", "seconds"):
            count = len(getattr(self, name))
            if count not in (0, len(self.moves)):
                raise ValueError(
                    f"{name}: expected none or one for each of {len(self.moves)} moves, got {count}"
                )
        for value in self.values:
            if value is not None and not -1 <= value <= 1:
                raise ValueError(f"values: expected -1 to 1 or None, got {value}")
        for second in self.seconds:
            if not 0 <= second < float("inf"):
                raise ValueError(f"seconds: expected 0 or more, got {second}")

    @property
    def plies(self) -> int:
        """Moves of both sides, the opening's included."""
        return len(self.moves)

    def score(self, colour: Colour) -> float:
        """What the player of this colour got: 1, 0.5 (nobody won) or 0."""
        return 0.5 if self.winner is None else float(self.winner == colour)

    def positions(self) -> Iterator[Position]:
        """The first position, then the one after each move; it is one object that moves on.

        Raises ValueError, with the ply, at a move that is not legal.
        """
        from keisei import Position

        position = Position.from_sfen(self.start)
        yield position
        for ply, move in enumerate(self.moves, 1):
            try:
                position.push(move)
            except ValueError as error:
                raise ValueError(f"ply {ply}: {error}") from error
            yield position

    def to_json(self) -> dict[str, Any]:
        """Plain values for one JSON object; fields that say nothing are left out."""
        out: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING or value != field.default:
                out[field.name] = list(value) if isinstance(value, tuple) else value
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GameRecord:
        """The game that ``to_json`` gave. Raises ValueError that names what is missing or wrong."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(data) - set(fields))
        missing = [
            name
            for name, field in fields.items()
            if field.default is dataclasses.MISSING and name not in data
        ]
        if unknown or missing:
            raise ValueError(f"game: missing {missing}, unknown {unknown}")
        for name, value in data.items():
            _check_kind(name, value)
        values: dict[str, Any] = dict(data)
        for name in {"moves", "values", "seconds"} & set(values):
            values[name] = tuple(values[name])
        return cls(**values)


def _check_kind(name: str, value: Any) -> None:
    """Raises ValueError unless the JSON value has the kind that this field wants."""

    def number(item: Any) -> bool:
        return isinstance(item, int | float) and not isinstance(item, bool)

    if name == "opening_plies":
        kind, good = "a whole number", isinstance(value, int) and not isinstance(value, bool)
    elif name in ("winner", "date"):
        kind, good = "a string or null", value is None or isinstance(value, str)
    elif name == "moves":
        kind = "a list of strings"
        good = isinstance(value, list) and all(isinstance(item, str) for item in value)
    elif name == "values":
        kind = "a list of numbers and nulls"
        good = isinstance(value, list) and all(item is None or number(item) for item in value)
    elif name == "seconds":
        kind, good = "a list of numbers", isinstance(value, list) and all(map(number, value))
    else:
        kind, good = "a string", isinstance(value, str)
    if not good:
        raise ValueError(f"{name}: expected {kind}, got {value!r}")
