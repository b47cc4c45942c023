"""``python -m keisei.train``: trains on whatever is there.

Exit status: 0 when the run is done, and when it was stopped by Ctrl-C or SIGTERM and saved; 1 when
training failed; 2 when the command line, the configuration or the checkpoint cannot be used; 130
after a second Ctrl-C, or one before the training begins, which saves nothing; 143 after a SIGTERM
before the training begins.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # Loading takes seconds, and not every library lets KeyboardInterrupt through.
    _LINE = b"keisei.train: interrupted before anything was saved\n"
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, lambda number, _: (os.write(2, _LINE), os._exit(128 + number)))

from keisei.config_schema import AppConfig, ConfigError, load_config, located, sections
from keisei.config_sources import Parser, add_options, read_options
from keisei.utils.masking import MaskingFormatter

if TYPE_CHECKING:
    from keisei.training.trainer import Trainer

_log = logging.getLogger("keisei.train")

_ABOUT = """Train a shogi player by self-play.

Settings come from the defaults (or from the checkpoint that is resumed), then the YAML file, then
KEISEI_<SECTION>__<KEY> in the environment, then the command line; later ones win. Values are
written as in YAML: 3e-4, true, none, [a, b].
"""


@dataclass(frozen=True)
class Arguments:
    """What the command line, with everything beneath it, asks for."""

    app: AppConfig
    config: Path | None = None
    resume: str | None = None
    profile: int | None = None
    places: Mapping[str, str] = field(default_factory=dict)
    """where each setting that was given stands, by ``section.key``"""


def make_parser() -> Parser:
    """The parser of the command line; one option for each key of the configuration."""
    parser = Parser(
        prog="python -m keisei.train",
        usage="%(prog)s [--config FILE] [--resume CHECKPOINT] [--SECTION.KEY VALUE ...]",
        description=_ABOUT,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file of settings")
    parser.add_argument(
        "--resume",
        metavar="CHECKPOINT",
        help="checkpoint or run folder to go on from, or `latest`",
    )
    parser.add_argument(
        "--profile",
        metavar="N",
        help="trace N iterations and print where their time went",
    )
    add_options(parser, sections())
    return parser


def parse_arguments(argv: Sequence[str], base: AppConfig | None = None) -> Arguments:
    """The command line over environment, YAML file and ``base``, the checkpoint's configuration.

    Raises ConfigError; prints and raises SystemExit for ``--help``.
    """
    given = make_parser().parse(argv)
    profile = None
    if given.profile is not None:
        if not (given.profile.isascii() and given.profile.isdecimal() and int(given.profile) > 0):
            raise ConfigError(f"--profile: expected a positive integer, got {given.profile!r}")
        profile = int(given.profile)
    places: dict[str, str] = {}
    app = load_config(
        given.config,
        base=base,
        options=read_options(given, sections()),
        base_to_come=base is None and given.resume is not None,
        places=places,
    )
    return Arguments(app, given.config, given.resume, profile, places)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    handler = logging.StreamHandler()
    handler.setFormatter(MaskingFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    try:
        args = parse_arguments(argv)
    except ConfigError as error:
        _log.error("keisei.train: %s", error)
        return 2
    # Loading torch takes seconds: not before the command line is known to be good.
    from keisei.training import distributed

    status = 1
    try:
        status = _train(argv, args)
    finally:
        distributed.leave(failed=status != 0)
    return status


def _prepare(argv: list[str], args: Arguments) -> Trainer:
    """The trainer of what is asked for, or of what torchrun starts again; ConfigError."""
    from keisei.core.model_file import CheckpointError
    from keisei.training import distributed
    from keisei.training.relaunch import what_to_resume
    from keisei.training.resume import load_resume_point
    from keisei.training.trainer import Trainer

    try:
        app = args.app
        try:
            ranks = distributed.join(app)
        except RuntimeError as error:
            raise ConfigError(f"distributed: {error}") from error
        if not ranks.is_main:
            for handler in logging.getLogger().handlers:
                handler.setFormatter(MaskingFormatter(f"rank {ranks.rank}: %(message)s"))
        resume, run_name = what_to_resume(args.resume, app, ranks)
        # Found once, by the user's own run_root and run_name.
        point = load_resume_point(resume, app, ranks)
        if point is not None:
            saved = distributed.fit_shuffle_blocks(point.model.config, ranks)
            app = parse_arguments(argv, saved).app
        if run_name is not None:
            named = app.logging.model_copy(update={"run_name": run_name})
            app = app.model_copy(update={"logging": named})
        args = replace(args, app=app, resume=resume)
        return Trainer(app, args, ranks=ranks, resume_point=point, exit_at_once=True)
    except (CheckpointError, OSError, ValueError) as error:
        raise ConfigError(str(error)) from error


def _train(argv: list[str], args: Arguments) -> int:
    try:
        trainer = _prepare(argv, args)
    except ConfigError as error:
        _log.error("keisei.train: %s", located(error, args.places))
        return 2
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if __name__ == "__main__":
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        done = trainer.run_training_loop()
    except KeyboardInterrupt:
        _log.error("keisei.train: interrupted; nothing was saved since the last checkpoint")
        return 130
    except (RuntimeError, ValueError, OSError) as error:
        _log.error("keisei.train: training failed: %s", error)
        return 1
    if trainer.ranks.is_main:
        hint = "" if done else f"; go on with --resume {trainer.run_artifact_dir}"
        _log.info("%s: %s plies%s", trainer.run_artifact_dir, f"{trainer.state.step:,}", hint)
    return 0


if __name__ == "__main__":
    sys.exit(main())
