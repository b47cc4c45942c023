"""Going on from a checkpoint: which one, and whether the configuration fits it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keisei.config_schema import AppConfig, ConfigError, differences
from keisei.core.model_file import (
    CHECKPOINT_FOLDER,
    INDEX_FILE,
    CheckpointError,
    LoadedModel,
    UnusableHereError,
)
from keisei.core.ranks import SINGLE, Ranks
from keisei.training.checkpoint import TrainingState, load_checkpoint, load_training_states

LATEST = "latest"
MAY_CHANGE: dict[str, tuple[str, ...]] = {
    "training": (
        "total_timesteps",
        "learning_rate",
        "lr_schedule",
        "lr_warmup",
        "entropy_coefficient",
        "entropy_schedule",
        "entropy_final",
        "max_skipped_updates",
        "shuffle_blocks",
        "precision",
        "compile",
        "device",
        "deterministic",
    ),
    "past_selves": (
        "share",
        "opponents",
        "interval",
        "capacity",
        "selection",
        "stay",
        "greedy",
    ),
    "evaluation": (
        "interval",
        "games",
        "opponents",
        "earlier",
        "openings",
        "sample",
        "saved_games",
    ),
    "logging": (
        "wandb_enabled",
        "wandb_project",
        "log_level",
        "checkpoint_interval",
        "detail_interval",
        "keep_checkpoints",
        "keep_best",
        "follow_games",
        "games_interval",
        "run_root",
        "run_name",
    ),
    "display": ("enabled", "refresh_rate", "game", "moves_per_second", "line_interval"),
    "alerts": ("built_in_rules", "rules", "command", "command_timeout"),
    "resources": (
        "threads",
        "memory_limit_gb",
        "gpu_memory_fraction",
        "disk_reserve_gb",
        "monitor_interval",
    ),
    "distributed": ("backend", "timeout_seconds"),
    "plugins": ("modules", "callbacks", "opponents"),
}
"""What may be otherwise than in the checkpoint when a run is resumed; all else must be the same."""
_MEASURED_ANEW = {("training", key) for key in ("device", "precision", "compile")} | {
    ("resources", "threads"),
    ("distributed", "backend"),
}


@dataclass(frozen=True)
class Rejected:
    """A checkpoint that was passed over."""

    directory: Path
    reason: str
    damaged: bool
    """whether it is missing something, torn or altered, and not just unusable here and now"""


@dataclass(frozen=True)
class ResumePoint:
    """Where a run goes on."""

    directory: Path
    model: LoadedModel
    states: tuple[TrainingState, ...]
    """of each rank that saved"""
    rejected: tuple[Rejected, ...] = ()
    """the newer checkpoints of its folder, none of which can be used"""
    is_newest: bool = True
    """whether its folder has no newer one that can be used"""


def _rejected(directory: Path, error: CheckpointError) -> Rejected:
    return Rejected(directory, str(error), damaged=not isinstance(error, UnusableHereError))


def _candidates(folder: Path) -> list[Path]:
    """What was published as checkpoints in ``folder``, oldest first, whole or not."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def _written(directory: Path) -> int:
    index = directory / INDEX_FILE
    return (index if index.exists() else directory).stat().st_mtime_ns


def find_latest(run_root: Path, run_name: str | None = None) -> Path:
    """The checkpoint written last in one run, or in any run; CheckpointError if there is none."""
    runs = run_root.glob(f"{run_name or '*'}/{CHECKPOINT_FOLDER}")
    found = [candidates[-1] for run in runs if (candidates := _candidates(run))]
    if not found:
        raise CheckpointError(f"{run_root / (run_name or '')}: no checkpoint to resume from")
    return max(found, key=_written)


def set_aside(directory: Path) -> Path:
    """Renames a checkpoint so that it is none any more; returns its new place."""
    number, target = 2, directory.with_name(f"rejected-{directory.name}")
    while target.exists():
        target = directory.with_name(f"rejected-{directory.name}-{number}")
        number += 1
    return directory.rename(target)


def load_newest_good(folder: Path) -> ResumePoint:
    """The newest checkpoint in ``folder`` (of a run, or its checkpoints) that is whole.

    Every sum in it was checked. Raises CheckpointError, with the reason for each, if there is none.
    """
    if (folder / CHECKPOINT_FOLDER).is_dir():
        folder = folder / CHECKPOINT_FOLDER
    rejected: list[Rejected] = []
    for directory in reversed(_candidates(folder)):
        try:
            return _load(directory, rejected)
        except CheckpointError as error:
            rejected.append(_rejected(directory, error))
    if not rejected:
        raise CheckpointError(f"{folder}: no checkpoint to resume from")
    reasons = "".join(f"\n  {one.reason}" for one in rejected)
    raise CheckpointError(
        f"{folder}: expected a whole checkpoint to resume from, got {len(rejected)} of which none "
        f"can be used:{reasons}"
    )


def find_resume(resume: str, run_root: Path, run_name: str | None = None) -> ResumePoint:
    """What ``--resume`` names, loaded and checked.

    ``latest``: the newest good checkpoint of the run that saved last, or of ``run_name``; a run's
    folder: its newest good one; a checkpoint's folder or a file in it: that one and no other.
    Raises CheckpointError if there is none that can be used: nothing ever starts afresh instead.
    """
    if resume == LATEST:
        return load_newest_good(find_latest(run_root, run_name).parent)
    path = Path(resume)
    if (path / CHECKPOINT_FOLDER).is_dir() or _candidates(path):
        return load_newest_good(path)
    directory = path.parent if path.is_file() else path
    if path.is_file() and not (directory / INDEX_FILE).is_file():
        raise CheckpointError(
            f"{path}: expected a checkpoint's folder or a file in it, got a file without "
            f"{INDEX_FILE} beside it: a model alone has no training state to go on from"
        )
    point = _load(directory)
    rejected: list[Rejected] = []
    for newer in reversed(_candidates(directory.parent)):
        if newer.name <= directory.name or not directory.name.startswith("step-"):
            break
        try:
            load_checkpoint(newer)
        except CheckpointError as error:
            rejected.append(_rejected(newer, error))
        else:
            return replace(point, rejected=tuple(rejected), is_newest=False)
    return replace(point, rejected=tuple(rejected))


def load_resume_point(
    resume: str | None, config: AppConfig, ranks: Ranks = SINGLE
) -> ResumePoint | None:
    """``find_resume`` with the runs of ``config.logging``, the same on every rank.

    None if ``resume`` is None. The first rank chooses. Raises CheckpointError on every rank.
    """
    if resume is None:
        return None
    root, point, error = Path(config.logging.run_root), None, None
    if ranks.is_main:
        try:
            point = find_resume(resume, root, config.logging.run_name)
        except CheckpointError as caught:
            error = str(caught)
    directory, error = ranks.share((point and point.directory, error))
    if error is not None:
        raise CheckpointError(error)
    return point or find_resume(str(directory), root)


def _load(directory: Path, rejected: Sequence[Rejected] = ()) -> ResumePoint:
    model, _ = load_checkpoint(directory)
    states = tuple(load_training_states(directory))
    return ResumePoint(directory, model, states, tuple(rejected))


def as_in_checkpoint(config: AppConfig, saved: AppConfig) -> AppConfig:
    """``config`` with what it leaves open (``auto``, ``fit``) taken from the checkpoint.

    But for what depends on the machine that the run goes on on.
    """
    values, theirs = config.model_dump(), saved.model_dump()
    for section, keys in values.items():
        for key, value in keys.items():
            if value in ("auto", "fit") and (section, key) not in _MEASURED_ANEW:
                keys[key] = theirs[section][key]
    return AppConfig.model_validate(values)


def config_changes(config: AppConfig, saved: AppConfig, checkpoint: Path) -> list[str]:
    """What ``config`` has otherwise than the checkpoint, one line each: ``key: before -> now``.

    Both must be resolved. Raises ConfigError, which names every one of them, if there are changes
    that a resumed run may not have.
    """
    changes, refused = [], []
    for name, now, before in differences(config, saved):
        section, _, key = name.partition(".")
        if key in MAY_CHANGE.get(section, ()):
            changes.append(f"{name}: {before!r} -> {now!r}")
        else:
            refused.append(
                f"{name}: expected {before!r} as in the checkpoint {checkpoint}, got {now!r}"
            )
    if refused:
        raise ConfigError("\n".join(refused))
    return changes
