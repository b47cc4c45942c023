"""Reads a run's curves back as TensorBoard does."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

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
