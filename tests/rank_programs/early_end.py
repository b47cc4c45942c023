"""Rank 1 ends with status 3 while the others wait for it."""

from __future__ import annotations

import os

import torch

from keisei.core.ranks import join_ranks

ranks = join_ranks("auto", torch.device("cpu"), timeout_seconds=600)
ranks.barrier()
if ranks.rank == 1:
    os._exit(3)
ranks.sum_(torch.ones(1))
