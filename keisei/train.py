"""``python -m keisei.train``: trains on whatever is there.

Exit status: 0 when the run is done, and when it was stopped by Ctrl-C or SIGTERM and saved; 1 when
training failed; 2 when the command line, the configuration or the checkpoint cannot be used; 130
after a second Ctrl-C, or one before the training begins, which saves nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

if __name__ == "__main__":
    # Loading takes seconds, and not every library lets KeyboardInterrupt through.
    _LINE = b"keisei.train: interrupted before anything was saved\n"
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, _LINE), os._exit(130)))

# Messages should end with what was wrong, not with an address.
os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")

import tyro

from keisei.config_schema import AppConfig, ConfigError, load_config

_log = logging.getLogger("keisei.train")


@dataclass(frozen=True)
class Arguments:
    """Train a shogi player by self-play.

    Settings come from the defaults (or from the checkpoint that is resumed), then the YAML file,
    then KEISEI_<SECTION>__<KEY> in the environment, then the command line; later ones win.
    """

    app: Annotated[AppConfig, tyro.conf.arg(name="")]
    config: Path | None = None
    """YAML file of settings"""
    resume: str | None = None
    """checkpoint or run folder to go on from, or `latest`"""


def parse_arguments(argv: list[str], base: AppConfig | None = None) -> Arguments:
    """The command line over environment, YAML file and ``base``.

    Raises ConfigError; prints and raises SystemExit for ``--help`` and for a bad option.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--config", type=Path)
    early.add_argument("--resume")
    known, _ = early.parse_known_args(argv)
    lower = load_config(known.config, base=base)
    default = Arguments(app=lower, config=known.config, resume=known.resume)
    return tyro.cli(Arguments, prog="python -m keisei.train", args=argv, default=default)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        args = parse_arguments(argv)
        # Loading torch takes seconds: not before the command line is known to be good.
        from keisei.core.model_file import CheckpointError, load_model
        from keisei.training.trainer import Trainer, find_checkpoint

        try:
            if args.resume is not None:
                # Found once, by the user's own run_root and run_name.
                checkpoint = find_checkpoint(args.resume, args.app)
                args = parse_arguments(argv, load_model(checkpoint).config)
                args = replace(args, resume=str(checkpoint))
            trainer = Trainer(args.app, args)
        except (CheckpointError, ValueError) as error:
            raise ConfigError(str(error)) from error
    except ConfigError as error:
        _log.error("keisei.train: %s", error)
        return 2
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        done = trainer.run_training_loop()
    except KeyboardInterrupt:
        _log.error("keisei.train: interrupted; nothing was saved since the last checkpoint")
        return 130
    except (RuntimeError, ValueError, OSError) as error:
        _log.error("keisei.train: training failed: %s", error)
        return 1
    hint = "" if done else f"; go on with --resume {trainer.model_dir.parent}"
    _log.info("%s: %s plies%s", trainer.run_artifact_dir, f"{trainer.state.step:,}", hint)
    return 0


if __name__ == "__main__":
    sys.exit(main())
