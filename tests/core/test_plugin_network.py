"""Networks by plugin: a trial tells what does not fit; what fits is stored, rebuilt, exported."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from plugin_samples import TinyNetwork
from torch import Tensor, nn

from keisei.config_schema import AppConfig, ModelConfig, resolve
from keisei.core.model_file import CheckpointError, load_model, save_model
from keisei.core.network import ResNet, build_network
from keisei.core.plugin_network import check_network
from keisei.export import export_checkpoint
from keisei.utils.plugins import PluginError

NAME = "plugin_samples:TinyNetwork"


class Unfit(TinyNetwork):
    """Fits but for what ``why`` says."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why
        self.norm = nn.BatchNorm2d(4) if why == "batch norm" else nn.Identity()
        self.dropout = nn.Dropout(0.5) if why == "dropout" else nn.Identity()
        if why == "half":
            self.policy.half()
        if why == "frozen":
            self.stem.weight.requires_grad = False
        if why == "unused":
            self.unused = nn.Linear(2, 2)
        if why == "counting":
            self.register_buffer("calls", torch.zeros(()))

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        if self.why == "memory format":
            planes = planes.view(-1, 121 * 81).view(-1, 121, 9, 9)
        x = self.dropout(self.norm(torch.relu(self.stem(planes))))
        if self.why == "batch mean":
            x = x - x.mean(dim=0, keepdim=True)
        if self.why == "counting":
            self.calls += 1
        logits = self.policy(x).flatten(1)
        value = torch.tanh(self.value(x.mean(dim=(2, 3)))).squeeze(1)
        if self.why == "value shape":
            value = value[:, None]
        if self.why == "logits shape":
            logits = logits[:, 1:]
        if self.why == "value range":
            value = value + 3
        if self.why == "nan":
            logits = logits / 0 * 0
        if self.why == "bfloat16":
            logits = logits.bfloat16()
        if self.why == "loop" and float(x.sum()) > -1:
            return [logits, value]  # type: ignore[return-value]
        return logits, value


@pytest.mark.parametrize(
    ("why", "message"),
    [
        ("batch norm", r"outputs .* in train\(\): expected the same, got a difference"),
        ("dropout", r"outputs when called again in train\(\): expected the same, got"),
        ("batch mean", r"outputs without batch mates in train\(\): expected the same, got"),
        ("half", r"policy\.weight: expected float32, got torch\.float16"),
        ("frozen", r"stem\.weight: expected a parameter that is learned, got a frozen one"),
        ("unused", r"unused\.weight: expected a part in logits or value, got none"),
        ("counting", r"calls: expected a call to change nothing, got a change"),
        ("memory format", r"a trial on planes float32 \[6, 121, 9, 9\] failed: RuntimeError: view"),
        ("value shape", r"value: expected float32 \[6\], got float32 \[6, 1\]"),
        ("logits shape", r"logits: expected float32 \[6, 2187\], got float32 \[6, 2186\]"),
        ("value range", r"value: expected numbers in \[-1, 1\], got [23]"),
        ("nan", r"logits: expected finite numbers, got others"),
        ("bfloat16", r"logits: expected float32 \[6, 2187\], got bfloat16 \[6, 2187\]"),
        ("loop", r"forward: expected a tuple \(logits, value\), got list"),
    ],
)
def test_what_does_not_fit_is_said(why: str, message: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(PluginError, match=rf"network 'odd': {message}"):
        check_network(Unfit(why), "odd")


def test_what_torchscript_cannot_trace_is_said() -> None:
    class OneSize(TinyNetwork):
        def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
            logits, value = super().forward(planes)
            return logits, torch.stack([value[i] for i in range(len(planes))])

    with (
        pytest.warns(torch.jit.TracerWarning),
        pytest.raises(PluginError, match=r"outputs from TorchScript at another .*\[3\]"),
    ):
        check_network(OneSize(), "odd")


def test_a_trial_leaves_no_trace() -> None:
    torch.manual_seed(3)
    network = TinyNetwork()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    states = torch.get_rng_state(), random.getstate()
    check_network(network, "tiny")
    assert network.training
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]


def test_the_type_and_the_options_build_it() -> None:
    network = build_network(ModelConfig(type=NAME, options={"width": 6, "scale": 0.5}))
    assert isinstance(network, TinyNetwork)
    assert network.stem.out_channels == 6 and network.scale == 0.5
    assert isinstance(build_network(ModelConfig(tower_depth=1, tower_width=4)), ResNet)
    with pytest.raises(PluginError, match=r"TinyNetwork\(depth=3\) failed: TypeError: .*'depth'"):
        build_network(ModelConfig(type=NAME, options={"depth": 3}))
    with pytest.raises(
        PluginError, match=r"expected a subclass of torch\.nn\..*Module, got <class"
    ):
        build_network(ModelConfig(type="plugin_samples:FirstLegal"))


def resolved(**model: object) -> AppConfig:
    config = AppConfig(model=ModelConfig(type=NAME, **model))
    return resolve(config, device="cpu", compile_network=False)


def test_a_checkpoints_manifest_rebuilds_it(tmp_path: Path) -> None:
    config = resolved(options={"width": 3})
    torch.manual_seed(4)
    network = build_network(config.model)
    save_model(tmp_path / "model.ckpt", network, config, 7)
    loaded = load_model(tmp_path).network()
    assert isinstance(loaded, TinyNetwork) and not loaded.training
    planes = torch.rand(2, 121, 9, 9)
    for a, b in zip(network(planes), loaded(planes), strict=True):
        assert torch.equal(a, b)


def test_it_exports_to_torchscript(tmp_path: Path) -> None:
    config = resolved(options={"width": 3})
    torch.manual_seed(4)
    network = build_network(config.model)
    save_model(tmp_path / "model.ckpt", network, config, 7)
    export_checkpoint(tmp_path / "model.ckpt", tmp_path / "policy.pt")
    extra = {"manifest.json": ""}
    policy = torch.jit.load(str(tmp_path / "policy.pt"), _extra_files=extra)
    assert json.loads(extra["manifest.json"])["config"]["model"]["type"] == NAME
    planes = torch.rand(5, 121, 9, 9)
    for a, b in zip(network(planes), policy(planes), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_a_checkpoint_whose_plugin_is_gone_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = resolved()
    save_model(tmp_path / "model.ckpt", build_network(config.model), config, 7)
    model = load_model(tmp_path)
    monkeypatch.setattr("plugin_samples.TinyNetwork", None)
    with pytest.raises(CheckpointError, match=r"model\.ckpt: plugin 'plugin_samples:TinyNetwork'"):
        model.network()
