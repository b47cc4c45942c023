"""The scaling benchmark: what it runs, and what it makes of a run's metrics."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from benchmarks import scaling

LOAD = scaling.Load("cpu", depth=1, width=8, games=16, plies=4, batch=32, epochs=1, iterations=3)


def write_metrics(path: Path, paces: list[float]) -> None:
    path.write_text(
        "".join(
            json.dumps(
                {
                    "speed.positions_per_second": pace,
                    "speed.collect_seconds": 2.0,
                    "speed.learn_seconds": 3.0,
                }
            )
            + "\n"
            for pace in paces
        )
    )


def test_the_first_iterations_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write_metrics(path, [1.0] * scaling.WARM_UP + [90.0, 100.0, 200.0])
    pace = scaling.read_pace(path, 2)
    assert pace == scaling.Pace(2, 100.0, 2.0, 3.0, slowest=90.0)
    write_metrics(path, [1.0] * scaling.WARM_UP)
    with pytest.raises(RuntimeError, match="expected more than 5 iterations, got 5"):
        scaling.read_pace(path, 2)


def test_the_figure_is_the_pace_a_rank_beside_that_of_one_alone() -> None:
    one = scaling.Pace(1, 100.0, 1.0, 1.0, 100.0)
    two = scaling.Pace(2, 180.0, 1.0, 1.0, 180.0)
    assert two.scaling(one) == pytest.approx(0.9)
    assert one.scaling(one) == 1.0


def test_a_rank_has_the_same_work_however_many_there_are(tmp_path: Path) -> None:
    words = scaling.command(LOAD, 4, tmp_path)
    given = dict(itertools.pairwise(words))
    assert "--nproc-per-node=4" in words
    assert given["--env.num-games"] == "64"
    assert given["--training.batch-size"] == "128"


@pytest.mark.slow
def test_two_ranks_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = tmp_path / "figures.json"
    options = "--device cpu --depth 1 --width 8 --games 16 --plies 4 --batch 32 --iterations 2"
    assert scaling.main(["--ranks", "1", "2", *options.split(), "--json", str(figures)]) == 0
    assert [pace["ranks"] for pace in json.loads(figures.read_text())["paces"]] == [1, 2]
    assert "| 2 |" in capsys.readouterr().out
