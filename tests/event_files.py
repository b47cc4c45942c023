"""Reads a run's curves back as TensorBoard does."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keisei.training.final_figures import evaluation_figures

KINDS = ("scalars", "images", "histograms", "tensors")


def read_events(folder: Path) -> EventAccumulator:
    """Everything in a folder of event files, nothing thinned out."""
    read = EventAccumulator(str(folder), size_guidance=dict.fromkeys(KINDS, 0))
    read.Reload()
    return read


def curves(read: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    """The points of every curve, as (step, value)."""
    return {
        tag: [(point.step, point.value) for point in read.Scalars(tag)]
        for tag in read.Tags()["scalars"]
    }


def records(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def stored(run: Path) -> dict[str, list[tuple[int, np.float32]]]:
    """The curves that the run's JSON lines make."""
    found: dict[str, list[tuple[int, np.float32]]] = defaultdict(list)
    for record in records(run / "metrics.jsonl"):
        for name, value in record.items():
            if name not in ("iteration", "step"):
                found[name.replace(".", "/")].append((int(record["step"]), np.float32(value)))
    log = run / "evaluation.log"
    for result in records(log) if log.exists() else []:
        for name, value in evaluation_figures(result).items():
            found[name.replace(".", "/")].append((int(result["step"]), np.float32(value)))
    return dict(found)


def assert_each_point_once(run: Path) -> EventAccumulator:
    """TensorBoard has what the JSON lines have, and both have every iteration once."""
    lines = records(run / "metrics.jsonl")
    assert [line["iteration"] for line in lines] == list(range(1, len(lines) + 1))
    read = read_events(run / "tensorboard")
    shown, expected = curves(read), stored(run)
    own = {tag for tag in shown if tag.startswith(("alerts/", "final/"))}
    assert shown.keys() - own == expected.keys()
    for tag, points in expected.items():
        assert shown[tag] == points, f"{tag}: expected the figures of the JSON lines"
    for tag in own:
        steps = [step for step, _ in shown[tag]]
        assert len(set(steps)) == len(steps), f"{tag}: expected one point at a step"
    return read


def details(read: EventAccumulator) -> dict[str, list[tuple[int, object]]]:
    found: dict[str, list[tuple[int, object]]] = {
        tag: [(event.step, event.histogram_value) for event in read.Histograms(tag)]
        for tag in ("rollout/values", "rollout/move_probabilities")
    }
    found["game"] = [(event.step, event.encoded_image_string) for event in read.Images("game")]
    return found
