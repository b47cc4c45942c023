"""The log of a run."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

from rich.console import Console

from keisei.utils import TrainingLogger


def test_lines_reach_screen_and_file_and_then_no_more(tmp_path: Path) -> None:
    screen = io.StringIO()
    path = tmp_path / "train.log"
    with TrainingLogger(path, Console(file=screen), "info") as logger:
        logger.debug("hidden")
        logger.info("%d games", 7)
        logging.getLogger("keisei.training.trainer").warning("from below")
    logging.getLogger("keisei").warning("too late")
    lines = path.read_text().splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO keisei: 7 games", lines[0])
    assert lines[1].endswith("WARNING keisei.training.trainer: from below")
    assert re.fullmatch(r"(\d\d:\d\d:\d\d (7 games|from below)\n){2}", screen.getvalue())


def test_the_level_is_kept_to(tmp_path: Path) -> None:
    screen = io.StringIO()
    before = logging.getLogger("keisei").level
    with TrainingLogger(None, Console(file=screen), "error") as logger:
        logger.warning("hidden")
        logger.error("seen")
    assert "seen" in screen.getvalue() and "hidden" not in screen.getvalue()
    assert logging.getLogger("keisei").level == before
