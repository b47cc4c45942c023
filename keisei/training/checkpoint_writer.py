"""Checkpoints written behind the back of training, one at a time."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor

from keisei.config_schema import AppConfig
from keisei.core.model_file import CheckpointError
from keisei.core.ranks import SINGLE, Ranks
from keisei.training.checkpoint import (
    FileRecord,
    Snapshot,
    check_finite,
    write_index,
    write_rank_files,
)
from keisei.training.past_self_files import PastSelf, Written
from keisei.training.resource_limits import check_disk
from keisei.utils.files import clear, publish, unpublished

_T = TypeVar("_T")
_PATIENCE = 4.0

_log = logging.getLogger(__name__)


class CheckpointWriteError(RuntimeError):
    """A checkpoint that could not be published; the text says why. Older ones are intact."""


@dataclass(frozen=True)
class _Job:
    directory: Path
    snapshot: Snapshot
    config: AppConfig
    copied: list[torch.cuda.Event]


def _copies(tensors: Mapping[str, Tensor], touched: set[torch.device]) -> dict[str, Tensor]:
    """Copies on the host, in the same memory format; those from CUDA are only on their way."""
    copies = {}
    for name, tensor in tensors.items():
        source = tensor.detach()
        if source.is_cuda:
            touched.add(source.device)
            target = torch.empty_like(source, device="cpu", pin_memory=True)
            copies[name] = target.copy_(source, non_blocking=True)
        else:
            copies[name] = source.clone()
    return copies


class CheckpointWriter:
    """Writes checkpoints in one background thread, one in flight.

    ``save`` copies the state to the host and returns; checking, writing, hashing, syncing and
    publishing happen behind it. Of several ranks each writes its own files, and the first one
    publishes once all are there; every rank must call ``save`` for the same checkpoints in the same
    order, and nobody else may use the ranks' control group while one is in flight.

    A write that fails is logged at once and raised, as CheckpointWriteError, by every later call:
    what is not on the disk is never taken for saved.

    ``on_published`` is called, in that thread and on the first rank only, after each checkpoint
    that is on the disk; what it raises counts as a failure.
    """

    def __init__(
        self, ranks: Ranks = SINGLE, on_published: Callable[[Path, int], None] | None = None
    ) -> None:
        self._ranks = ranks
        self._on_published = on_published
        self._thread: threading.Thread | None = None
        self._failure: CheckpointWriteError | None = None
        self._published: Path | None = None
        self._written: dict[PastSelf, Written] = {}

    @property
    def published(self) -> Path | None:
        """The checkpoint that was published last, None if none was."""
        return self._published

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._thread is not None and self._thread.is_alive()

    def save(self, directory: Path, snapshot: Snapshot, config: AppConfig) -> None:
        """Copies ``snapshot`` to the host and starts to write it as ``directory``.

        On CUDA the copies are enqueued on the current stream and nothing waits for them here. Waits
        for the write before, if it is still in flight, and raises CheckpointWriteError if that or
        an earlier one failed.
        """
        self.wait()
        touched: set[torch.device] = set()
        copy = Snapshot(
            _copies(snapshot.network, touched),
            snapshot.step,
            replace(
                snapshot.state,
                tensors=_copies(snapshot.state.tensors, touched),
                values=dict(snapshot.state.values),
            ),
        )
        copied = []
        for device in touched:
            event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(device))
            copied.append(event)
        job = _Job(directory, copy, config, copied)
        # A rank whose peers died waits for them: that must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._run,
            args=(job,),
            name="checkpoint-writer",
            daemon=self._ranks.world_size > 1,
        )
        self._thread.start()

    def save_apart(self, directory: Path, snapshot: Snapshot, config: AppConfig) -> None:
        """Writes ``snapshot``, which is on the host, in the thread that calls, and waits.

        For a thread beside the one that calls the other methods, while that one does not. What is
        in flight gets a few seconds to end; if it is ``directory``, that is all. Raises
        CheckpointWriteError.
        """
        if self._thread is not None:
            self._thread.join(_PATIENCE)
        self.raise_failure()
        if not directory.is_dir():
            self._run(_Job(directory, snapshot, config, []))
            self.raise_failure()

    def wait(self) -> None:
        """Returns once nothing is in flight; raises CheckpointWriteError if a write failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raises CheckpointWriteError if a write failed; never waits."""
        if self._failure is not None:
            raise self._failure

    def _run(self, job: _Job) -> None:
        try:
            self._write(job)
        except Exception as error:  # whatever it is, it is told to the thread that trains
            self._fail(f"{job.directory}: not saved: {_words(error)}")
            return
        self._published = job.directory
        if self._ranks.is_main and self._on_published is not None:
            try:
                self._on_published(job.directory, job.snapshot.step)
            except Exception as error:  # as above
                self._fail(f"{job.directory}: saved, but then: {_words(error)}")

    def _fail(self, text: str) -> None:
        if self._published is not None:
            text += f"; the checkpoint saved last is {self._published}"
        self._failure = CheckpointWriteError(text)
        _log.error("%s", text)

    def _write(self, job: _Job) -> None:
        for event in job.copied:
            event.synchronize()
        main, temporary = self._ranks.is_main, unpublished(job.directory)
        try:
            self._agree(lambda: clear(temporary) if main else None)
            records = self._agree(lambda: self._write_own(job, temporary))
            self._agree(lambda: self._publish(job, temporary, records) if main else None)
        finally:
            if main:
                shutil.rmtree(temporary, ignore_errors=True)

    def _write_own(self, job: _Job, folder: Path) -> dict[str, FileRecord]:
        check_finite(job.snapshot)
        check_disk(folder, _bytes_of(job.snapshot), job.config.resources.disk_reserve_gb)
        return write_rank_files(folder, job.snapshot, job.config, self._ranks.rank, self._written)

    def _publish(self, job: _Job, folder: Path, records: list[dict[str, FileRecord]]) -> None:
        write_index(folder, job.snapshot.step, records)
        publish(folder, job.directory)
        files = {name: record for one in records for name, record in one.items()}
        self._written = {
            one: Written(job.directory / one.file, files[one.file].bytes, files[one.file].sha256)
            for one in job.snapshot.state.past_selves
        }

    def _agree(self, step: Callable[[], _T]) -> list[_T]:
        """Does ``step`` on every rank; if it fails on one, raises on all.

        Returns what the ranks returned, on the first one; nothing on the others.
        """
        value, error = None, None
        try:
            value = step()
        except Exception as caught:  # the others would wait for ever for this rank's answer
            if self._ranks.world_size == 1:
                raise
            error = f"rank {self._ranks.rank}: {_words(caught)}"
        outcomes: list[tuple[_T, str | None]] | None = self._ranks.gather_objects((value, error))
        errors = [text for _, text in outcomes or [] if text is not None]
        errors = self._ranks.share(errors)
        if errors:
            raise CheckpointError("; ".join(errors))
        return [value for value, _ in outcomes or []]


def _bytes_of(snapshot: Snapshot) -> int:
    tensors = [*snapshot.network.values(), *snapshot.state.tensors.values()]
    own = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return own + sum(one.bytes for one in snapshot.state.past_selves)


def _words(error: Exception) -> str:
    known = isinstance(error, (OSError, SafetensorError, CheckpointError))
    return str(error) if known else f"{type(error).__name__}: {error}"
