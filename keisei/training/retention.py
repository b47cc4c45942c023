"""Which checkpoints stay: the newest ones, and those that proved the strongest."""

from __future__ import annotations

import logging
from pathlib import Path

from keisei.core.model_file import CheckpointError, list_checkpoints
from keisei.training.checkpoint import read_evaluation
from keisei.utils.files import remove_published

_log = logging.getLogger(__name__)


def best_checkpoints(folder: Path, count: int) -> list[Path]:
    """The ``count`` checkpoints with the highest score, best first; of equals the newer one.

    A checkpoint that was not evaluated has no score. One whose evaluation cannot be read is passed
    over with a warning.
    """
    scored = []
    for directory in list_checkpoints(folder):
        try:
            evaluation = read_evaluation(directory)
        except CheckpointError as error:
            _log.warning("%s", error)
            continue
        if evaluation is not None:
            scored.append((evaluation.score, directory.name, directory))
    return [directory for *_, directory in sorted(scored, reverse=True)[:count]]


def prune(folder: Path, *, newest: int, best: int) -> list[Path]:
    """Removes all checkpoints but the ``newest`` and the ``best`` ones; returns those that went.

    ``newest`` 0 leaves all. Raises OSError if one cannot be removed.
    """
    if newest == 0:
        return []
    checkpoints = list_checkpoints(folder)
    stay = {*checkpoints[-newest:], *best_checkpoints(folder, best)}
    gone = [directory for directory in checkpoints if directory not in stay]
    for directory in gone:
        remove_published(directory)
    return gone
