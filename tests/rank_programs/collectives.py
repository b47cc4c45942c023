"""Every method of Ranks, on each rank; what came is written to FOLDER/RANK.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from keisei.core.ranks import join_ranks

ranks = join_ranks("auto", torch.device("cpu"), timeout_seconds=60)
mine = torch.tensor([float(ranks.rank), 1.0])
seen = {
    "is_main": ranks.is_main,
    "numbers": [ranks.rank, ranks.world_size, ranks.local_rank],
    "sum": ranks.sum_(mine.clone()).tolist(),
    "max": ranks.max_(mine.clone()).tolist(),
    "broadcast": ranks.broadcast_(mine.clone(), source=1).tolist(),
    "shared": ranks.share(f"of rank {ranks.rank}"),
    "objects": ranks.gather_objects({"rank": ranks.rank}),
}
ranks.barrier()
(Path(sys.argv[1]) / f"{ranks.rank}.json").write_text(json.dumps(seen))
torch.distributed.destroy_process_group()
