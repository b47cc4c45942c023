"""model.ckpt: it comes back whole, and nothing damaged or foreign gets in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from keisei.config_schema import AppConfig, ModelConfig, resolve
from keisei.core.model_file import CheckpointError, load_model, save_model
from keisei.core.network import ResNet, build_network

CONFIG = resolve(
    AppConfig(model=ModelConfig(tower_depth=1, tower_width=8)), device="cpu", compile_network=False
)


def make(path: Path) -> ResNet:
    torch.manual_seed(0)
    network = build_network(CONFIG.model).to(memory_format=torch.channels_last)
    save_model(path, network, CONFIG, 123)
    return network


def change(path: Path, **manifest: object) -> None:
    """Writes the file again with another manifest."""
    with safe_open(path, framework="pt") as file:
        before = json.loads(file.metadata()["keisei"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata={"keisei": json.dumps(before | manifest)})


def test_comes_back_whole(tmp_path: Path) -> None:
    network = make(tmp_path / "model.ckpt")
    for path in (tmp_path, tmp_path / "model.ckpt"):
        loaded = load_model(path)
        assert loaded.config == CONFIG
        assert loaded.manifest["step"] == 123
        assert loaded.manifest["torch"] == torch.__version__
        assert loaded.manifest["plane_set"] == {"name": "keisei-121", "version": 1, "planes": 121}
        assert loaded.manifest["label_set"] == {
            "name": "dlshogi-2187",
            "version": 1,
            "labels": 2187,
        }
        for name, tensor in loaded.network().state_dict().items():
            assert torch.equal(tensor, network.state_dict()[name]), name
    assert [p.name for p in tmp_path.iterdir()] == ["model.ckpt"], "nothing temporary stays"


def test_the_same_weights_make_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    make(path)
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="wrong SHA-256; the file is damaged"):
        load_model(path)


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"format": "other"}, "format: expected 'keisei-model', got 'other'"),
        ({"format_version": 2}, "format_version: expected 1, got 2"),
        ({"plane_set": {"name": "x"}}, "plane_set: expected .*'keisei-121'.* got {'name': 'x'}"),
        ({"label_set": None}, "label_set: expected .*'dlshogi-2187'.* got None"),
        ({"tensors": {}}, "tensors in the manifest and in the file differ"),
        ({"config": {"model": {"depth": 3}}}, "model.depth: unknown key"),
    ],
)
def test_what_is_foreign_is_named(
    tmp_path: Path, manifest: dict[str, object], expected: str
) -> None:
    path = tmp_path / "model.ckpt"
    make(path)
    change(path, **manifest)
    with pytest.raises(CheckpointError, match=expected):
        load_model(path)


def test_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    make(path)
    other = resolve(
        AppConfig(model=ModelConfig(tower_depth=2, tower_width=8)),
        device="cpu",
        compile_network=False,
    )
    change(path, config=other.model_dump(mode="json"))
    with pytest.raises(CheckpointError, match="the weights do not fit"):
        load_model(path).network()


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_model(tmp_path / "nowhere")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_model(tmp_path / "text")
    save_file({"x": torch.zeros(1)}, tmp_path / "bare")
    with pytest.raises(CheckpointError, match="no keisei manifest"):
        load_model(tmp_path / "bare")
    torch.save({"x": 1}, tmp_path / "pickle")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_model(tmp_path / "pickle")
