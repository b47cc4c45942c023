"""Secrets never reach a log or a file."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping

_SECRET = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_|$)", re.IGNORECASE)
# Shorter values are words that stand in a text for other reasons.
_LEAST_LENGTH = 8
MASK = "***"


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """The values of variables whose names say that they are secret, longest first."""
    found = {value for name, value in environment.items() if _SECRET.search(name)}
    return sorted((value for value in found if len(value) >= _LEAST_LENGTH), key=len, reverse=True)


def mask_secrets(text: str) -> str:
    """``text`` without the values of the environment's secret variables."""
    for value in secrets_of(os.environ):
        text = text.replace(value, MASK)
    return text


class MaskingFormatter(logging.Formatter):
    """A formatter whose lines, tracebacks included, hold no secret of the environment."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, masked."""
        return mask_secrets(super().format(record))
