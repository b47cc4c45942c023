"""TensorBoard's event file, written at once: what a call gave is with the system when it returns.

Format: records (length, CRC, data, CRC) of ``tensorboard.compat.proto.event_pb2.Event``, version 2.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HPARAMS_FILE = "events.out.tfevents.0000000000.hparams"
_NAME = re.compile(r"events\.out\.tfevents\.(\d+)\.")


@dataclass(frozen=True)
class Histogram:
    """How values are spread over B buckets: counted where they are, only the counts travel."""

    limits: NDArray[np.float64]
    """[B], each bucket's upper limit, rising; its lower one is the limit before"""
    counts: NDArray[np.float64]
    """[B]"""
    least: float
    most: float
    total: float
    """the sum of all values"""
    squares: float
    """the sum of their squares"""


def _next_number(folder: Path) -> int:
    """Of the next file's name: the time, but past every file's that is there.

    Readers take the files in the order of their names, whatever a machine's clock says.
    """
    found = [_NAME.match(path.name) for path in folder.iterdir()]
    return max(int(time.time()), *(int(match[1]) + 1 for match in found if match), 0)


class EventFile:
    """A new event file in ``folder``, which goes on after what is there.

    ``purge_step``: what older files have from this step on, of a run that died after its last
    checkpoint, is void; readers drop it. Every method raises OSError where it cannot write, and may
    be called from any thread.
    """

    def __init__(self, folder: Path, purge_step: int) -> None:
        # These take long to load.
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        self._lock = threading.Lock()
        self._folder = folder
        self._path = folder / "events"
        with self._said():
            folder.mkdir(exist_ok=True)
            number = _next_number(folder)
            name = f"events.out.tfevents.{number:010d}.{socket.gethostname()}.{os.getpid()}.0"
            self._path = folder / name
            self._records = RecordWriter(self._path.open("xb"))
        start = SessionLog(status=SessionLog.START)
        self._write(file_version="brain.Event:2", step=purge_step)
        self._write(session_log=start, step=purge_step)

    def scalars(self, figures: Mapping[str, float], step: int) -> None:
        """Figures by name, as single-precision numbers."""
        value = self._summary.Value
        self._add([value(tag=_tag(name), simple_value=x) for name, x in figures.items()], step)

    def text(self, name: str, text: str, step: int) -> None:
        """Some lines, read as Markdown."""
        from tensorboard.compat.proto.summary_pb2 import SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

        plugin = SummaryMetadata.PluginData(plugin_name="text")
        tensor = TensorProto(
            dtype="DT_STRING",
            string_val=[text.encode()],
            tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
        )
        value = self._summary.Value(
            tag=f"{_tag(name)}/text_summary",
            metadata=SummaryMetadata(plugin_data=plugin),
            tensor=tensor,
        )
        self._add([value], step)

    def image(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        """A picture, uint8 [H, W, 3]."""
        from PIL import Image

        data = io.BytesIO()
        Image.fromarray(pixels).save(data, format="PNG")
        height, width, channels = pixels.shape
        image = self._summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=data.getvalue()
        )
        self._add([self._summary.Value(tag=_tag(name), image=image)], step)

    def histograms(self, histograms: Mapping[str, Histogram], step: int) -> None:
        """Histograms by name."""
        from tensorboard.compat.proto.summary_pb2 import HistogramProto

        values = []
        for name, one in histograms.items():
            spread = HistogramProto(
                min=one.least,
                max=one.most,
                num=float(one.counts.sum()),
                sum=one.total,
                sum_squares=one.squares,
                bucket_limit=one.limits.tolist(),
                bucket=one.counts.tolist(),
            )
            values.append(self._summary.Value(tag=_tag(name), histo=spread))
        self._add(values, step)

    def session_end(self, figures: Mapping[str, float], step: int) -> None:
        """Tells the hyperparameters' page that the session is over, and its ``final`` figures."""
        self.scalars({f"final.{name}": value for name, value in figures.items()}, step)
        from tensorboard.plugins.hparams import metadata
        from tensorboard.plugins.hparams.api_pb2 import Status
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

        info = SessionEndInfo(status=Status.Value("STATUS_SUCCESS"), end_time_secs=time.time())
        content = HParamsPluginData(session_end_info=info, version=metadata.PLUGIN_DATA_VERSION)
        self._add([_hparams_value(metadata.SESSION_END_INFO_TAG, content)], step)

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        with self._said(), self._lock:
            self._records.close()

    def _add(self, values: Sequence[Any], step: int) -> None:
        if values:
            self._write(summary=self._summary(value=values), step=step)

    def _write(self, **fields: Any) -> None:
        event = self._event(wall_time=time.time(), **fields)
        with self._said(), self._lock:
            self._records.write(event.SerializeToString())
            self._records.flush()

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """Makes what goes wrong inside an OSError that names the file."""
        try:
            yield
        except (OSError, ValueError) as error:  # a closed file's is a ValueError
            raise OSError(f"{self._path}: events cannot be written: {error}") from error


def _tag(name: str) -> str:
    """The name that curves go by: TensorBoard groups them by what stands before the first slash."""
    return name.replace(".", "/")


def _hparams_value(tag: str, content: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams.metadata import PLUGIN_NAME

    plugin = SummaryMetadata.PluginData(
        plugin_name=PLUGIN_NAME, content=content.SerializeToString()
    )
    return Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))


def write_hparams(
    folder: Path, settings: Mapping[str, bool | float | str], figures: Sequence[str]
) -> None:
    """Says what a run is made with, and which ``figures`` it is judged by in the end.

    In a file of its own, which is the same however often it is written: a run that is resumed has
    one set of hyperparameters. ``EventFile.session_end`` gives the figures. Raises OSError.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo
    from tensorboard.summary.writer.record_writer import RecordWriter

    start, infos = SessionStartInfo(), []
    for name, value in settings.items():
        if isinstance(value, bool):
            start.hparams[name].bool_value, kind = value, "DATA_TYPE_BOOL"
        elif isinstance(value, str):
            start.hparams[name].string_value, kind = value, "DATA_TYPE_STRING"
        else:
            start.hparams[name].number_value, kind = value, "DATA_TYPE_FLOAT64"
        infos.append(api_pb2.HParamInfo(name=name, type=api_pb2.DataType.Value(kind)))
    experiment = api_pb2.Experiment(
        hparam_infos=infos,
        metric_infos=[
            api_pb2.MetricInfo(
                name=api_pb2.MetricName(tag=_tag(f"final.{name}")), display_name=name
            )
            for name in figures
        ],
    )
    version = metadata.PLUGIN_DATA_VERSION
    values = [
        _hparams_value(
            metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment, version=version)
        ),
        _hparams_value(
            metadata.SESSION_START_INFO_TAG,
            HParamsPluginData(session_start_info=start, version=version),
        ),
    ]
    data = io.BytesIO()
    records = RecordWriter(data)
    for event in (Event(file_version="brain.Event:2"), Event(summary=Summary(value=values))):
        records.write(event.SerializeToString(deterministic=True))
    folder.mkdir(exist_ok=True)
    path = folder / HPARAMS_FILE
    if path.exists() and path.read_bytes() == data.getvalue():
        return
    # Under a name that no reader takes for an event file.
    temporary = folder / ".hparams.tmp"
    temporary.write_bytes(data.getvalue())
    temporary.replace(path)
