"""The last rank ends as the argument says; the others wait, or leave too if it says `well`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time

from keisei.config_schema import config_from_dict
from keisei.training import distributed

how = sys.argv[1]
logging.basicConfig(format="%(message)s")
ranks = distributed.join(config_from_dict({"training": {"device": "cpu"}}, "test"))
if how == "well":
    distributed.leave(failed=False)
    sys.exit(0)
ranks.barrier()
if ranks.rank == ranks.world_size - 1:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "failed":
        distributed.leave(failed=True)
        sys.exit(1)
    raise RuntimeError("nobody catches this")
time.sleep(1000)
