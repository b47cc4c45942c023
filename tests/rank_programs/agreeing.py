"""What two ranks agree on."""

from __future__ import annotations

import logging

import pytest

from keisei.config_schema import AppConfig, ConfigError, config_from_dict, resolve
from keisei.training import distributed

logging.basicConfig(format="%(message)s")
settings = {"distributed": {"backend": "gloo"}, "training": {"device": "cpu"}}
ranks = distributed.join(config_from_dict(settings, "test"))
assert distributed.join(config_from_dict(settings, "test")) is ranks
with pytest.raises(RuntimeError, match=f"is rank {ranks.rank} of 2 already"):
    distributed.join(config_from_dict(settings, "test"), world_size=3, rank=0)
for first in (False, True):
    for second in (False, True):
        assert distributed.any_rank(ranks, (first, second)[ranks.rank]) is (first or second)
assert distributed.slowest(ranks, 1.0 + ranks.rank, 3.0 - ranks.rank) == (2.0, 3.0)


def config(max_plies: int) -> AppConfig:
    values = settings | {"env": {"max_plies": max_plies}}
    return resolve(config_from_dict(values, "test"), device="cpu", compile_network=False, ranks=2)


distributed.check_alike(config(100), ranks)
try:
    distributed.check_alike(config(100 + ranks.rank), ranks)
except ConfigError as error:
    logging.error("%s", error)
else:
    raise AssertionError("different configurations passed")
distributed.leave(failed=False)
distributed.leave(failed=True)
