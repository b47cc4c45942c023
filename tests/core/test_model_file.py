"""model.ckpt: it comes back whole, and nothing damaged or foreign gets in."""

from __future__ import annotations

import json
import random
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
    del before["sha256"]  # as files of before
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
    with pytest.raises(CheckpointError, match=r"sha256: expected \w{64}, got \w{64}; the file is"):
        load_model(path)


def test_a_file_without_a_sum_of_its_manifest_still_loads(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    make(path)
    change(path)
    assert "sha256" not in load_model(path).manifest
    assert load_model(path).config == CONFIG


def test_every_flipped_bit_of_the_stored_configuration_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    make(path)
    whole = path.read_bytes()
    start = whole.index(b"learning_rate")
    end = whole.index(b"value_clip", start)
    for bit in range(8 * start, 8 * end):
        raw = bytearray(whole)
        raw[bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        try:
            load_model(path)
        except CheckpointError:
            continue
        pytest.fail(f"bit {bit - 8 * start} of {raw[start:end]!r}: not found")


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"format": "other"}, "format: expected 'keisei-model', got 'other'"),
        ({"format_version": 2}, "format_version: expected 1, got 2"),
        ({"plane_set": {"name": "x"}}, "plane_set: expected .*'keisei-121'.* got {'name': 'x'}"),
        ({"label_set": None}, "label_set: expected .*'dlshogi-2187'.* got None"),
        ({"tensors": []}, r"model\.ckpt: tensors: expected a valid dictionary, got \[\]"),
        ({"step": "7"}, r"model\.ckpt: step: expected a valid integer, got '7'"),
        ({"step": -1}, r"model\.ckpt: step: expected greater than or equal to 0, got -1"),
        ({"torch": None}, r"model\.ckpt: torch: expected a valid string, got None"),
        ({"extra": 1}, r"model\.ckpt: extra: expected"),
        ({"config": {"model": {"tower_depth": "auto"}}}, r"model\.ckpt: model: tower_depth"),
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
        load_model(path).network()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("dtype", "float16", "stem.bias: dtype: expected float16, got float32"),
        ("shape", [4, 2], r"stem.bias: shape: expected \[4, 2\], got \[8\]"),
        ("shape", "8", r"model\.ckpt: tensors\.stem\.bias\.shape: expected a valid list, got '8'"),
        ("sha256", None, r"model\.ckpt: tensors\.stem\.bias\.sha256: expected a valid string"),
    ],
)
def test_a_tensor_that_is_not_as_the_manifest_says(
    tmp_path: Path, key: str, value: object, expected: str
) -> None:
    path = tmp_path / "model.ckpt"
    make(path)
    tensors = load_model(path).manifest["tensors"]
    tensors["stem.bias"][key] = value
    change(path, tensors=tensors)
    with pytest.raises(CheckpointError, match=expected):
        load_model(path)


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ("{", r"model\.ckpt: expected JSON, got"),
        ("[1]", r"model\.ckpt: expected a JSON object, got list"),
        ('{"format": "keisei-model", "format_version": 1}', r"plane_set: expected .*, got None"),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, manifest: str, expected: str) -> None:
    path = tmp_path / "model.ckpt"
    save_file({"x": torch.zeros(1)}, path, metadata={"keisei": manifest})
    with pytest.raises(CheckpointError, match=expected):
        load_model(path)


def test_a_flipped_bit_in_the_header_is_told_or_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    make(path)
    whole, expected = path.read_bytes(), load_model(path).weights
    length = 8 + int.from_bytes(whole[:8], "little")
    bits = random.Random(0).sample(range(8 * length), 300)
    bits += range(64)  # the header's length
    told: list[str] = []
    for bit in bits:
        raw = bytearray(whole)
        raw[bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        try:
            model = load_model(path)
            model.network()
        except CheckpointError as error:
            told.append(str(error))
            continue
        assert model.weights.keys() == expected.keys(), bit
        for name, tensor in model.weights.items():
            assert torch.equal(tensor, expected[name]), (bit, name)
    assert len(told) > 250
    assert all(text.startswith(f"{path}: ") for text in told)


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
    with pytest.raises(CheckpointError, match="nowhere: expected a checkpoint, got no such file"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"expected a run or a checkpoint, got a folder wit"):
        load_model(tmp_path)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_model(tmp_path / "text")
    save_file({"x": torch.zeros(1)}, tmp_path / "bare")
    with pytest.raises(CheckpointError, match="no keisei manifest"):
        load_model(tmp_path / "bare")
    torch.save({"x": 1}, tmp_path / "pickle")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_model(tmp_path / "pickle")


def test_weights_that_are_used_twice_are_stored_twice(tmp_path: Path) -> None:
    shared = torch.arange(6.0).view(2, 3)
    tensors = {"a": shared, "b": shared, "c": shared[1:]}
    save_model(tmp_path / "model.ckpt", tensors, CONFIG, 0)
    weights = load_model(tmp_path / "model.ckpt").weights
    for name, tensor in tensors.items():
        assert torch.equal(weights[name], tensor)
