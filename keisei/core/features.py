"""Names and sizes of what goes into a network and what comes out, as stored with every network."""

from __future__ import annotations

from typing import Any, Final

PLANE_SET: Final[dict[str, Any]] = {"name": "keisei-121", "version": 1, "planes": 121}
LABEL_SET: Final[dict[str, Any]] = {"name": "dlshogi-2187", "version": 1, "labels": 2187}

FEATURE_PLANES: Final = 121
LABEL_PLANES: Final = 27
SQUARES: Final = 81
LABELS: Final = LABEL_PLANES * SQUARES
