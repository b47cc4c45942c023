"""What all tests share: the oracle helpers on the import path, and settings for hypothesis."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

# The helpers in tests/oracles are imported as `oracles`; import-mode importlib adds no path.
sys.path.insert(0, str(Path(__file__).parent))

# Deterministic, and no deadline: CI machines are slow and shared.
settings.register_profile(
    "keisei",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("keisei")
