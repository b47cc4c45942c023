"""keisei-export: the exported file computes what the network computes."""

from __future__ import annotations

import copy
import json
import sys
import warnings
from pathlib import Path

import cshogi
import numpy as np
import onnxruntime
import pytest
import torch
from cshogi.dlshogi import make_input_features
from safetensors.torch import save_file
from torch import nn

import keisei
from keisei import export
from keisei.config_schema import AppConfig, ModelConfig, resolve
from keisei.core.model_file import load_model, save_model
from keisei.core.network import build_network
from keisei.envs import ShogiVectorEnv
from keisei.training.checkpoint import TrainingState, save_checkpoint

CONFIG = resolve(
    AppConfig(model=ModelConfig(tower_depth=2, tower_width=16)),
    device="cpu",
    compile_network=False,
)
# The same float32 kernels on the same machine; only fusion may change the order of operations.
BOUND = 1e-5


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build_network(CONFIG.model)
    with torch.no_grad():  # away from the careful start, so that every part has an effect
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    path = tmp_path / "model.ckpt"
    save_model(path, network.to(memory_format=torch.channels_last), CONFIG, 7)
    return path


def load(path: Path) -> tuple[torch.jit.ScriptModule, dict[str, object]]:
    extra = {"manifest.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.jit.load(str(path), _extra_files=extra)
    return module, json.loads(extra["manifest.json"])


def positions_from_play(count: int) -> torch.Tensor:
    env = ShogiVectorEnv(100, seed=11)
    planes = []
    while len(planes) * 100 < count:
        for _ in range(23):
            env.step(env.sample_uniform())
        planes.append(env.planes())
    return torch.cat(planes)[:count]


def test_equals_the_network_on_1000_positions(tmp_path: Path, checkpoint: Path) -> None:
    policy = tmp_path / "policy.pt"
    assert export.main([str(checkpoint), str(policy)]) == 0
    network, (module, _) = load_model(checkpoint).network(), load(policy)
    planes = positions_from_play(1000)
    with torch.no_grad():
        start = 0
        for batch in (1, 2, 64, 128, 305, 500):
            part = planes[start : start + batch]
            start += batch
            for got, expected in zip(module(part), network(part), strict=True):
                assert got.dtype == torch.float32 and got.shape == expected.shape
                assert float((got - expected).abs().max()) <= BOUND
        assert start == 1000
        assert float(network(planes)[0].std()) > 0.1, "the comparison must have something to see"


def test_the_manifest_goes_along(tmp_path: Path, checkpoint: Path) -> None:
    export.export_checkpoint(checkpoint.parent, tmp_path / "policy.pt")
    _, manifest = load(tmp_path / "policy.pt")
    assert manifest["format"] == "keisei-policy"
    assert manifest["format_version"] == 1
    assert manifest["plane_set"] == {"name": "keisei-121", "version": 1, "planes": 121}
    assert manifest["label_set"] == {"name": "dlshogi-2187", "version": 1, "labels": 2187}
    assert manifest["step"] == 7
    assert manifest["config"] == CONFIG.model_dump(mode="json")


def test_the_file_may_be_cast_and_frozen(tmp_path: Path, checkpoint: Path) -> None:
    export.export_checkpoint(checkpoint, tmp_path / "policy.pt")
    planes = positions_from_play(20)
    expected, _ = load(tmp_path / "policy.pt")[0](planes)
    module, _ = load(tmp_path / "policy.pt")
    assert len(list(module.parameters())) > 0, "a frozen file would have none left to cast"
    module = module.to(torch.bfloat16)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        frozen = torch.jit.freeze(module.eval())
        logits, value = frozen(planes.bfloat16())
    assert logits.dtype == torch.bfloat16 and value.shape == (20,)
    error = (logits.float() - expected).abs().max() / expected.abs().max()
    assert float(error.detach()) < 0.1


def test_convolutions_of_the_file_keep_float32_on_a_gpu(tmp_path: Path, checkpoint: Path) -> None:
    """Whether TF32 is allowed is a constant of the traced graph, whatever the loader allows."""
    before = torch.backends.cudnn.allow_tf32
    export.export_checkpoint(checkpoint, tmp_path / "policy.pt")
    assert torch.backends.cudnn.allow_tf32 == before
    module, _ = load(tmp_path / "policy.pt")
    graph = module.inlined_graph  # its nodes live as long as it does
    nodes = graph.findAllNodes("aten::_convolution")
    assert len(nodes) > 5
    assert [list(node.inputs())[-1].toIValue() for node in nodes] == [False] * len(nodes)


def test_exporting_leaves_the_network_alone(tmp_path: Path, checkpoint: Path) -> None:
    model = load_model(checkpoint)
    network = model.network().to(memory_format=torch.channels_last).bfloat16().train()
    export.export_network(network, model.manifest, tmp_path / "policy.pt")
    assert network.training
    assert {p.dtype for p in network.parameters()} == {torch.bfloat16}


def test_no_warning_of_torchscript_gets_out(tmp_path: Path, checkpoint: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export.export_checkpoint(checkpoint, tmp_path / "policy.pt")


class BatchDependent(nn.Module):
    """What a trace cannot hold: its result depends on the batch's size in Python."""

    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batch = int(planes.shape[0])
        return torch.full((batch, 2187), float(batch)), planes.flatten(1).sum(1) * 0


@pytest.mark.filterwarnings("ignore")
def test_what_a_trace_gets_wrong_is_not_written(tmp_path: Path, checkpoint: Path) -> None:
    manifest = load_model(checkpoint).manifest
    target = tmp_path / "out" / "policy.pt"
    target.parent.mkdir()
    with pytest.raises(export.ExportError, match=r"policy\.pt: logits: expected"):
        export.export_network(BatchDependent(), manifest, target)
    assert list(target.parent.iterdir()) == []


def test_a_bad_source_is_one_line_and_keeps_the_old_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policy = tmp_path / "policy.pt"
    policy.write_text("old")
    assert export.main([str(tmp_path / "nowhere.ckpt"), str(policy)]) == 1
    assert "nowhere.ckpt: expected a checkpoint, got no such file" in caplog.text
    assert policy.read_text() == "old"


def test_the_source_is_not_overwritten(
    tmp_path: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = checkpoint.read_bytes()
    link = tmp_path / "link.pt"
    link.symlink_to(checkpoint)
    for source, target in ((checkpoint, checkpoint), (tmp_path, checkpoint), (checkpoint, link)):
        caplog.clear()
        assert export.main([str(source), str(target)]) == 1
        assert caplog.messages == [
            f"keisei-export: {target}: expected another file than the source, got the source"
        ]
    assert checkpoint.read_bytes() == before


def test_nothing_in_a_checkpoint_folder_is_overwritten(
    tmp_path: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "checkpoints" / "step-0000000000007"
    state = TrainingState(tensors={}, values={})
    network = load_model(checkpoint).network()
    save_checkpoint(folder, network=network, config=CONFIG, step=7, state=state)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in [*before, "policy.pt"]:
        caplog.clear()
        assert export.main([str(checkpoint), str(folder / name)]) == 1
        assert len(caplog.messages) == 1
        assert "expected a file outside of checkpoint folders, got one in" in caplog.text
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("p.onnx", [], "expected --format dlshogi-onnx for a file .onnx, got torchscript"),
        ("p.pt2", [], "expected --format pt2 for a file .pt2, got torchscript"),
        ("p.pt", ["--format", "pt2"], "expected --format torchscript for a file .pt, got pt2"),
    ],
)
def test_a_name_that_says_another_format_is_refused(
    tmp_path: Path,
    checkpoint: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    arguments: list[str],
    expected: str,
) -> None:
    assert export.main([str(checkpoint), str(tmp_path / name), *arguments]) == 1
    assert expected in caplog.text and not (tmp_path / name).exists()


def test_a_folder_that_is_not_there_is_one_line(
    tmp_path: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "nonexist" / "x.pt"
    assert export.main([str(checkpoint), str(target)]) == 1
    assert caplog.messages == [
        f"keisei-export: {target}: expected an existing folder, got {target.parent}"
    ]
    (tmp_path / "folder.pt").mkdir()
    assert export.main([str(checkpoint), str(tmp_path / "folder.pt")]) == 1
    assert "Is a directory" in caplog.messages[-1] and "\n" not in caplog.messages[-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.pt", "model.ckpt"]


@pytest.mark.parametrize(
    ("name", "change"),
    [("policy_out.bias", 1e-3), ("value_out.bias", 1e-3), ("value_out.bias", float("nan"))],
)
def test_a_trace_that_differs_is_refused(
    tmp_path: Path, checkpoint: Path, name: str, change: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = torch.jit.trace

    def changed(network: nn.Module, *args: object, **options: object) -> object:
        network = copy.deepcopy(network)
        network.get_parameter(name).data.add_(change)
        return trace(network, *args, **options)

    monkeypatch.setattr(torch.jit, "trace", changed)
    output = {"policy_out.bias": "logits", "value_out.bias": "value"}[name]
    text = rf"policy\.pt: {output}: expected a difference of at most 1e-05 .*, got (0\.0|nan)"
    with pytest.raises(export.ExportError, match=text):
        export.export_checkpoint(checkpoint, tmp_path / "policy.pt")
    assert [p.name for p in tmp_path.iterdir()] == ["model.ckpt"]


def played(plies: int) -> list[keisei.Position]:
    """Every seventh position of a long game of first and last legal moves, of both sides."""
    position, found = keisei.Position(), []
    for ply in range(plies):
        if ply % 7 == 0:
            found.append(position.copy())
        moves = position.legal_moves()
        position.push(moves[ply * 5 % len(moves)])
    return found


def test_dlshogi_s_form_computes_the_same_from_cshogi_s_features(
    tmp_path: Path, checkpoint: Path
) -> None:
    target = tmp_path / "policy.onnx"
    assert export.main([str(checkpoint), str(target), "--format", "dlshogi-onnx"]) == 0
    positions = played(150)
    assert {p.turn for p in positions} == {0, 1}
    first = np.zeros((len(positions), 62, 9, 9), dtype=np.float32)
    second = np.zeros((len(positions), 57, 9, 9), dtype=np.float32)
    for row, position in enumerate(positions):
        make_input_features(cshogi.Board(position.sfen()), first[row], second[row])
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    policy, rate = session.run(
        ["output_policy", "output_value"], {"input1": first, "input2": second}
    )
    planes = torch.from_numpy(np.stack([position.planes() for position in positions]))
    planes[:, 119:] = 0.0
    with torch.no_grad():
        logits, value = load_model(checkpoint).network()(planes)
    assert policy.shape == (len(positions), 2187) and rate.shape == (len(positions), 1)
    assert float((torch.from_numpy(policy) - logits).abs().max()) <= 1e-4
    assert float((torch.from_numpy(rate)[:, 0] - (value + 1) / 2).abs().max()) <= 1e-5
    assert float(rate.min()) >= 0.0 and float(rate.max()) <= 1.0 and float(rate.std()) > 0.01
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["keisei"])["step"] == 7


def test_a_torch_export_program_computes_the_same(tmp_path: Path, checkpoint: Path) -> None:
    target = tmp_path / "policy.pt2"
    assert export.main([str(checkpoint), str(target), "--format", "pt2"]) == 0
    extra = {"manifest.json": ""}
    program = torch.export.load(target, extra_files=extra)
    planes = positions_from_play(37)
    with torch.no_grad():
        got = program.module()(planes)
        expected = load_model(checkpoint).network()(planes)
    for one, other in zip(got, expected, strict=True):
        assert float((one - other).abs().max()) <= BOUND
    assert json.loads(extra["manifest.json"])["format"] == "keisei-policy"


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_format_whose_package_is_missing(
    tmp_path: Path,
    checkpoint: Path,
    package: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    target = tmp_path / "policy.onnx"
    assert export.main([str(checkpoint), str(target), "--format", "dlshogi-onnx"]) == 1
    assert f"expected the package {package}" in caplog.messages[-1]
    assert not target.exists()


@pytest.mark.parametrize("step", ["7", None])
def test_a_damaged_manifest_is_one_line(
    tmp_path: Path, step: object, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_model(checkpoint)
    text = json.dumps(model.manifest | {"step": step})
    save_file(model.weights, checkpoint, metadata={"keisei": text})
    assert export.main([str(checkpoint), str(tmp_path / "policy.pt")]) == 1
    assert caplog.messages == [
        f"keisei-export: {checkpoint}: step: expected a valid integer, got {step!r}"
    ]
