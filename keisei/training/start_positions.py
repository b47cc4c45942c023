"""The file of positions that games start from."""

from __future__ import annotations

from pathlib import Path

from keisei import Position
from keisei.config_schema import ConfigError


def read_start_positions(path: str) -> list[str]:
    """SFENs, one a line; blank lines and lines that begin with ``#`` do not count."""
    setting = f"env.start_positions: {path}"
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: cannot be read: {error}") from error
    sfens = []
    for number, line in enumerate(lines, start=1):
        sfen = line.strip()
        if not sfen or sfen.startswith("#"):
            continue
        try:
            outcome = Position.from_sfen(sfen).outcome()
        except ValueError as error:
            raise ConfigError(f"{setting}: line {number}: {error}") from error
        if outcome is not None:
            raise ConfigError(
                f"{setting}: line {number}: expected a game that goes on, got one that is over "
                f"({outcome.ending}): {sfen}"
            )
        sfens.append(sfen)
    if not sfens:
        raise ConfigError(f"{setting}: expected SFENs, one a line, got none")
    return sfens
