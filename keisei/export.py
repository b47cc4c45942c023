"""keisei-export: a checkpoint becomes one file that other programs load.

By default that is TorchScript for plain libtorch: ``forward(planes [N, 121, 9, 9]) -> (logits
[N, 2187], value [N])``, traced in float32 and not frozen, so that the program that loads it may
cast and move it, and the manifest as the extra file ``manifest.json``. ``keisei.export_formats``
describes the others.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from keisei.core.features import LABELS
from keisei.core.model_file import INDEX_FILE, CheckpointError, load_model
from keisei.export_formats import FORMATS, MissingPackageError, example_planes
from keisei.utils.files import replacing

POLICY_FORMAT = "keisei-policy"
POLICY_FORMAT_VERSION = 1
TORCHSCRIPT = "torchscript"
_ENDINGS = {".pt": TORCHSCRIPT, ".pt2": "pt2", ".onnx": "dlshogi-onnx"}
"""what programs take a file for by its name; other endings may be anything"""

_log = logging.getLogger(__name__)


class ExportError(RuntimeError):
    """The exported file cannot stand there, or would not compute what the network computes."""


def _plain_copy(network: nn.Module) -> nn.Module:
    network = copy.deepcopy(network).cpu().float().eval()
    for parameter in network.parameters():
        parameter.data = parameter.data.contiguous()
    return network


def export_network(
    network: nn.Module,
    manifest: Mapping[str, Any],
    path: str | Path,
    file_format: str = TORCHSCRIPT,
) -> None:
    """Writes a float32 copy of ``network`` with its manifest in one of ``FORMATS``.

    The file appears whole or not at all. ``manifest`` is that of a ``model.ckpt``. What was written
    is loaded again and compared with the network on batches of several sizes before it takes its
    name; ExportError if they differ, MissingPackageError if the format needs what is not installed.
    """
    network = _plain_copy(network)
    path = Path(path)
    if not path.parent.is_dir():
        raise ExportError(f"{path}: expected an existing folder, got {path.parent}")
    form = FORMATS[file_format]
    carried = {key: manifest[key] for key in ("plane_set", "label_set", "step", "config")}
    own = {
        "format": POLICY_FORMAT,
        "format_version": POLICY_FORMAT_VERSION,
        "torch": torch.__version__,
        **carried,
    }
    with replacing(path) as temporary, torch.no_grad():
        temporary.touch()  # a plain OSError if it cannot be written
        form.write(network, json.dumps(own), temporary)
        run, stored = form.read(temporary)
        if json.loads(stored or "null") != own:
            raise ExportError(f"{path}: the manifest did not survive being written")
        for batch in (1, 3, 8):
            planes = example_planes(batch, sees_occurrence=form.sees_occurrence)
            expected, got = network(planes), run(planes)
            for name, one, other, shape in zip(
                ("logits", "value"), expected, got, ((batch, LABELS), (batch,)), strict=True
            ):
                if tuple(other.shape) != shape or other.dtype != torch.float32:
                    raise ExportError(
                        f"{path}: {name}: expected float32 {list(shape)}, "
                        f"got {other.dtype} {list(other.shape)}"
                    )
                difference = float((one - other).abs().max())
                if not difference <= form.tolerance:
                    raise ExportError(
                        f"{path}: {name}: expected a difference of at most {form.tolerance:g} "
                        f"from the network at batch {batch}, got {difference:g}"
                    )


def export_checkpoint(
    source: str | Path, target: str | Path, file_format: str = TORCHSCRIPT
) -> None:
    """Exports a ``model.ckpt``, or that of a checkpoint or run folder, to a file.

    See ``export_network``. ExportError if ``target`` is that very file, lies in a checkpoint's
    folder, or has the ending of another format.
    """
    ending = Path(target).suffix
    if ending in _ENDINGS and _ENDINGS[ending] != file_format:
        raise ExportError(
            f"{target}: expected --format {_ENDINGS[ending]} for a file {ending}, got {file_format}"
        )
    model = load_model(source)
    place = Path(target).resolve()
    if place == model.path.resolve():
        raise ExportError(f"{target}: expected another file than the source, got the source")
    if (place.parent / INDEX_FILE).is_file():
        raise ExportError(
            f"{target}: expected a file outside of checkpoint folders, got one in {place.parent}"
        )
    export_network(model.network(), model.manifest, target, file_format)


def main(argv: list[str] | None = None) -> int:
    """The command ``keisei-export``; returns its exit status."""
    parser = argparse.ArgumentParser(prog="keisei-export", description="checkpoint -> policy file")
    parser.add_argument("checkpoint", type=Path, help="a model.ckpt, a checkpoint or run folder")
    parser.add_argument("policy", type=Path, help="the file to write, for example policy.pt")
    parser.add_argument(
        "--format",
        choices=[*FORMATS],
        default=TORCHSCRIPT,
        help="torchscript: for keisei_play and libtorch (the default); dlshogi-onnx: for dlshogi "
        "and FukauraOu; pt2: a torch.export program",
    )
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        export_checkpoint(args.checkpoint, args.policy, args.format)
    except (CheckpointError, ExportError, MissingPackageError, OSError) as error:
        _log.error("keisei-export: %s", error)
        return 1
    _log.info("%s: written (%d bytes)", args.policy, args.policy.stat().st_size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
