"""What a run is compared with others by: its settings and its last figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keisei.config_schema import AppConfig
from keisei.utils.masking import mask_secrets

FINAL_FIGURES = (
    "learn.loss",
    "learn.policy_loss",
    "learn.value_loss",
    "learn.entropy",
    "learn.approx_kl",
    "learn.explained_variance",
    "games.mean_plies",
    "speed.positions_per_second",
    "evaluation.win_rate",
)


def hyperparameters(config: AppConfig) -> dict[str, bool | float | str]:
    """The settings as ``section.key``: numbers, switches and text, with no secret in it."""
    found: dict[str, bool | float | str] = {}
    for section, keys in config.model_dump(mode="json").items():
        for key, value in keys.items():
            if isinstance(value, bool | int | float):
                found[f"{section}.{key}"] = value
            else:
                text = value if isinstance(value, str) else json.dumps(value)
                found[f"{section}.{key}"] = mask_secrets(text)
    return found


def evaluation_figures(result: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an evaluation, as its log has it: ``evaluation.OPPONENT.win_rate`` and so on.

    Those of all opponents together lack a name in the middle.
    """
    found = {f"evaluation.{name}": value for name, value in result.items() if name != "step"}
    for opponent, figures in result.get("opponents", {}).items():
        found |= {f"evaluation.{opponent}.{name}": value for name, value in figures.items()}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def read_evaluations(path: Path) -> Iterator[dict[str, float]]:
    """The figures of each evaluation in a log, in order; a torn line is passed over."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield evaluation_figures(json.loads(line))
            except (ValueError, AttributeError):
                continue
