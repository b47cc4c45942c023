"""The figures of a run: TensorBoard events and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from keisei.utils.event_file import EventFile
from keisei.utils.files import replacing

METRICS_FILE = "metrics.jsonl"
TENSORBOARD_FOLDER = "tensorboard"


def _forget_after(path: Path, iteration: int) -> None:
    """Drops the records past ``iteration``: those a crash left behind its last checkpoint."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = []
    for line in lines:
        try:
            if not line.endswith("\n") or json.loads(line)["iteration"] > iteration:
                break
        except (ValueError, KeyError, TypeError):
            break
        kept.append(line)
    if len(kept) != len(lines):
        with replacing(path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")


def read_metrics(run_dir: Path) -> Iterator[dict[str, float]]:
    """The records of a run, in order, up to one that is torn; none where there is no file.

    Each holds ``iteration``, ``step`` and the figures by name.
    """
    path = run_dir / METRICS_FILE
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                return


class MetricsWriter:
    """Writes one record an iteration to every place. Use as a context manager, or call ``close``.

    ``iteration`` and ``step`` say where the run stands: records past them, from a run that died
    after its last checkpoint, are dropped. Raises OSError where something cannot be written.
    """

    def __init__(self, run_dir: Path, *, iteration: int, step: int) -> None:
        path = run_dir / METRICS_FILE
        if path.exists():
            _forget_after(path, iteration)
        self._file = path.open("a", encoding="utf-8")
        self.events = EventFile(run_dir / TENSORBOARD_FOLDER, step + 1)
        """for what only TensorBoard gets"""

    def write(self, iteration: int, step: int, metrics: Mapping[str, float]) -> None:
        """Writes the figures of one iteration, which ended after ``step`` plies in all."""
        record = {"iteration": iteration, "step": step, **metrics}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        self.events.scalars(metrics, step)

    def close(self) -> None:
        """Flushes and closes everything."""
        try:
            self._file.close()
        finally:
            self.events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
