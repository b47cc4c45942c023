"""Players by what they are called."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from plugin_samples import FirstLegal

from keisei.core.model_file import CheckpointError, load_model
from keisei.evaluation.evaluate import execute_full_evaluation_run
from keisei.evaluation.fixed_players import (
    GreedyCapturePlayer,
    MateAwarePlayer,
    MixturePlayer,
    UniformPlayer,
)
from keisei.evaluation.network_player import ExportedPolicy, NetworkPlayer
from keisei.evaluation.opponents import make_opponents, make_player, split_name
from keisei.evaluation.players import PluginPlayer
from keisei.evaluation.usi_player import UsiPlayer
from keisei.export import export_checkpoint
from keisei.export_formats import MANIFEST_FILE
from keisei.utils.plugins import PluginError
from keisei.utils.torchscript import torchscript_is_meant

CHECKPOINT = Path(__file__).parent.parent / "data/trained_policy.ckpt"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "policy.pt"
    export_checkpoint(CHECKPOINT, path)
    return path


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("random", UniformPlayer),
        ("greedy", GreedyCapturePlayer),
        ("greedy_capture", GreedyCapturePlayer),
        ("one-ply", MateAwarePlayer),
        ("mate_aware", MateAwarePlayer),
        ("mixture:random:greedy:0.25", MixturePlayer),
        (str(CHECKPOINT), NetworkPlayer),
        ("usi:env true;go=nodes 5", UsiPlayer),
        ("plugin_samples:FirstLegal", PluginPlayer),
    ],
)
def test_each_name_is_a_player(text: str, kind: type) -> None:
    assert type(make_player(text)) is kind


def test_names() -> None:
    made = make_opponents(["random", "greedy", "plugin_samples:FirstLegal", "my one=one-ply"])
    assert list(made) == ["random", "greedy_capture", "plugin_samples:FirstLegal", "my one"]
    plugin = made["plugin_samples:FirstLegal"]
    assert isinstance(plugin, PluginPlayer) and isinstance(plugin.opponent, FirstLegal)
    with pytest.raises(PluginError, match="expected each name once, got 'random' twice"):
        make_opponents(["random", "random=greedy"])


@pytest.mark.parametrize(
    ("text", "name", "player"),
    [
        ("a=random", "a", "random"),
        ("step 10=runs/x", "step 10", "runs/x"),
        ("usi:engine;A=b", "usi:engine;A=b", "usi:engine;A=b"),
        ("fs-10=usi:engine;A=b", "fs-10", "usi:engine;A=b"),
        ("runs/a=b", "runs/a=b", "runs/a=b"),
        ("greedy", "greedy_capture", "greedy"),
        ("=x", "=x", "=x"),
    ],
)
def test_a_name_before_a_player(text: str, name: str, player: str) -> None:
    assert split_name(text) == (name, player)


def test_a_path_that_is_there_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b").mkdir()
    assert split_name("a=b") == ("a=b", "a=b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "weak",
            r"^opponent 'odd': expected random, greedy_capture, mate_aware, greedy, one-ply, "
            r"mixture:A:B:SHARE, .* or an entry point of keisei\.opponents \(.*\), got 'weak'$",
        ),
        ("gredy", r"^opponent 'odd': did you mean greedy\? expected random, .*, got 'gredy'$"),
        ("Random", r"did you mean random\? expected "),
        ("one_ply", r"did you mean one-ply\? expected "),
        ("mixture:random:greedy", "opponent 'odd': expected mixture:A:B:SHARE with A and B of "),
        ("mixture:random:other:0.5", "expected mixture:A:B:SHARE"),
        ("mixture:random:greedy:2", "SHARE 0 to 1: share: expected 0 to 1, got 2"),
        ("mixture:random:greedy:x", "SHARE 0 to 1: could not convert"),
        ("usi:", "opponent 'odd': expected a command"),
    ],
)
def test_what_is_no_player(text: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        make_player(text, name="odd")


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: expected a checkpoint, got no such file"):
        make_player(str(tmp_path / "nowhere"))
    with pytest.raises(CheckpointError, match=r"none\.ckpt"):
        make_player("none.ckpt")
    (tmp_path / "odd.pt").write_text("nothing")
    for name in ("odd.pt", "missing.pt"):
        with pytest.raises(CheckpointError, match=rf"{name}: cannot be read as TorchScript"):
            make_player(str(tmp_path / name))


NETWORK = (
    r"expected a run, a checkpoint, its model\.ckpt, or policy\.pt as keisei-export writes it, got "
)


@pytest.mark.parametrize(
    ("name", "content", "got"),
    [
        (
            "policy.onnx",
            b"\x08\x08\x12\x07pytorch" * 9,
            "an ONNX file, which is for other programs",
        ),
        ("policy.pt2", b"PK\x03\x04" + bytes(60), "a torch.export program, which is for other "),
        ("policy.bin", b"PK\x03\x04" + bytes(60), "a file that is no safetensors"),
        ("model.ckpt", b"PK\x03\x04" + bytes(60), "a file that is no safetensors"),
        ("empty.ckpt", b"", "an empty file"),
    ],
)
def test_a_file_that_is_no_network(tmp_path: Path, name: str, content: bytes, got: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name}: {NETWORK}{got}"):
        make_player(str(path))


def test_a_damaged_checkpoint_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "short.ckpt").write_bytes(CHECKPOINT.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match=r"short\.ckpt: cannot be read as safetensors"):
        make_player(str(tmp_path / "short.ckpt"))


FOLDER = r"expected a run or a checkpoint, got a folder without model\.ckpt and without checkpoints"


@pytest.mark.parametrize("inside", ["", "checkpoints", "runs/mine"])
def test_a_folder_without_checkpoints(tmp_path: Path, inside: str) -> None:
    (tmp_path / inside).mkdir(parents=True, exist_ok=True)
    with pytest.raises(CheckpointError, match=rf"{tmp_path.name}: {FOLDER}"):
        make_player(str(tmp_path))


def test_a_folder_with_checkpoints(tmp_path: Path) -> None:
    run = tmp_path / "run"
    checkpoint = run / "checkpoints" / "step-0000000000100"
    checkpoint.mkdir(parents=True)
    shutil.copy(CHECKPOINT, checkpoint / "model.ckpt")
    assert isinstance(make_player(str(checkpoint)), NetworkPlayer)
    with pytest.raises(CheckpointError, match=FOLDER):
        make_player(str(run))  # a checkpoint that was not published
    (checkpoint / "checkpoint.json").write_text("{}")
    assert isinstance(make_player(str(run)), NetworkPlayer)


class Doubled(torch.nn.Module):
    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return planes * 2


def test_an_exported_file_is_checked_before_it_plays(tmp_path: Path, exported: Path) -> None:
    extra = {MANIFEST_FILE: ""}
    with torchscript_is_meant():
        module = torch.jit.load(str(exported), _extra_files=extra)
        torch.jit.save(torch.jit.script(Doubled()), str(tmp_path / "other.pt"))
    with pytest.raises(CheckpointError, match=r"other\.pt: expected a file of keisei-export"):
        ExportedPolicy(tmp_path / "other.pt")
    manifest = json.loads(extra[MANIFEST_FILE])
    for key, value in [
        ("format", "keisei-model"),
        ("format_version", 2),
        ("plane_set", {"name": "keisei-121", "version": 2, "planes": 121}),
        ("label_set", {"name": "other", "version": 1, "labels": 2187}),
    ]:
        path = tmp_path / "changed.pt"
        text = json.dumps({**manifest, key: value})
        torch.jit.save(module, str(path), _extra_files={MANIFEST_FILE: text})
        with pytest.raises(CheckpointError, match=rf"changed\.pt: {key}: expected .*, got "):
            ExportedPolicy(path)


def test_an_exported_policy_plays_as_its_checkpoint(exported: Path) -> None:
    def play(player: str) -> list[tuple[str, ...]]:
        result = execute_full_evaluation_run(player, games=6, max_plies=60, records=None)
        assert result.step == load_model(CHECKPOINT).manifest["step"]
        return [record.moves for record in result.results[0].result.records]

    assert play(str(exported)) == play(str(CHECKPOINT))
