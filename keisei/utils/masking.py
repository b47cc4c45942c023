"""Secrets never reach a log or a file."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

_SECRET = re.compile(
    r"(^|_)(KEY|TOKEN|SECRET|CREDENTIALS?)(_|$)|PASSWORD|PASSWD|APIKEY|(^|_)PAT$", re.IGNORECASE
)
# An address with a password in it, as DATABASE_URL or a proxy may have.
_ADDRESS = re.compile(r"\w://[^/\s@]*:([^/\s@]+)@")
# Shorter values are words that stand in a text for other reasons.
_LEAST_LENGTH = 8
MASK = "***"


def named_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """What is secret in the environment, longest first, each with the variable that holds it.

    That are the values of variables whose names say so and, of any variable, an address that holds
    a password, and that password.
    """
    found: dict[str, str] = {}
    for name, value in environment.items():
        if _SECRET.search(name):
            found[value] = name
        for address in _ADDRESS.finditer(value):
            found[value] = found[address[1]] = name
    long = [value for value in found if len(value) >= _LEAST_LENGTH]
    return {value: found[value] for value in sorted(long, key=len, reverse=True)}


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """The values of ``named_secrets``."""
    return list(named_secrets(environment))


def mask_secrets(text: str) -> str:
    """``text`` without the values of the environment's secret variables."""
    return _masked(text, secrets_of(os.environ))


def mask_texts(value: Any) -> Any:
    """A copy of plain data in which no text, key of a mapping or other, holds such a secret."""
    secrets = secrets_of(os.environ)

    def mask(part: Any) -> Any:
        if isinstance(part, str):
            return _masked(part, secrets)
        if isinstance(part, Mapping):
            return {mask(name): mask(item) for name, item in part.items()}
        if isinstance(part, list | tuple):
            return [mask(item) for item in part]
        return part

    return mask(value)


def _masked(text: str, secrets: Sequence[str]) -> str:
    for value in secrets:
        text = text.replace(value, MASK)
    return text


class MaskingFormatter(logging.Formatter):
    """A formatter whose lines, tracebacks included, hold no secret of the environment."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, masked."""
        return mask_secrets(super().format(record))
