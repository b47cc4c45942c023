"""``python -m keisei.report RUN``: writes the page of a run."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from keisei.report.page import report
from keisei.report.run_files import NotARunError
from keisei.utils.files import replacing

REPORT_FILE = "report.html"

_log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="keisei-report",
        description="Makes one HTML page of a run: it needs nothing else and fetches nothing.",
    )
    parser.add_argument("run", type=Path, help="the run's folder, such as runs/NAME")
    parser.add_argument(
        "-o", "--output", type=Path, help=f"the file to write; {REPORT_FILE} in the run's folder"
    )
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    output = args.output or args.run / REPORT_FILE
    try:
        text = report(args.run)
        with replacing(output) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except (NotARunError, OSError) as error:
        _log.error("keisei.report: %s", error)
        return 1
    _log.info("%s: written (%d bytes)", output, output.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
