"""The figures of a run: TensorBoard events and JSON lines."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

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


class _Events:
    """TensorBoard's events, written by a thread of its own; what fails there is raised here.

    That thread would print a traceback of its own and leave the next call to guess.
    """

    def __init__(self, folder: Path, purge_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes long to load

        self._folder = folder
        self._failure: BaseException | None = None
        self._before = threading.excepthook
        threading.excepthook = self._hook
        self._writer = SummaryWriter(str(folder), purge_step=purge_step)

    def _hook(self, args: Any) -> None:
        if type(args.thread).__module__.startswith("tensorboard."):
            self._failure = args.exc_value
        else:
            self._before(args)

    def add(self, name: str, value: float, step: int) -> None:
        """One figure; OSError if this or an earlier one could not be written."""
        try:
            self._writer.add_scalar(name, value, step)
        except Exception as error:
            raise self._error(error) from error
        if self._failure is not None:
            raise self._error(self._failure)

    def close(self) -> None:
        """Flushes and closes; raises OSError if something could not be written."""
        try:
            self._writer.close()
        except Exception as error:
            raise self._error(error) from error
        finally:
            threading.excepthook = self._before

    def _error(self, error: BaseException) -> OSError:
        return OSError(f"{self._folder}: events cannot be written: {self._failure or error}")


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
        self._events = _Events(run_dir / TENSORBOARD_FOLDER, step + 1)

    def write(self, iteration: int, step: int, metrics: dict[str, float]) -> None:
        """Writes the figures of one iteration, which ended after ``step`` plies in all."""
        record = {"iteration": iteration, "step": step, **metrics}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        for name, value in metrics.items():
            self._events.add(name.replace(".", "/"), value, step)

    def close(self) -> None:
        """Flushes and closes everything."""
        try:
            self._file.close()
        finally:
            self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
