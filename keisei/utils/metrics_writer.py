"""The figures of a run: TensorBoard events and JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Self

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


class MetricsWriter:
    """Writes one record an iteration to every place. Use as a context manager, or call ``close``.

    ``iteration`` and ``step`` say where the run stands: records past them, from a run that died
    after its last checkpoint, are dropped.
    """

    def __init__(self, run_dir: Path, *, iteration: int, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes long to load

        path = run_dir / METRICS_FILE
        if path.exists():
            _forget_after(path, iteration)
        self._file = path.open("a", encoding="utf-8")
        self._tensorboard = SummaryWriter(str(run_dir / TENSORBOARD_FOLDER), purge_step=step + 1)

    def write(self, iteration: int, step: int, metrics: dict[str, float]) -> None:
        """Writes the figures of one iteration, which ended after ``step`` plies in all."""
        record = {"iteration": iteration, "step": step, **metrics}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        for name, value in metrics.items():
            self._tensorboard.add_scalar(name.replace(".", "/"), value, step)

    def close(self) -> None:
        """Flushes and closes everything."""
        self._file.close()
        self._tensorboard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
