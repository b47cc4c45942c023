"""The residual policy and value network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from keisei.config_schema import ModelConfig
from keisei.core.features import FEATURE_PLANES, LABEL_PLANES, LABELS, SQUARES
from keisei.core.plugin_network import build_plugin_network

VALUE_CHANNELS = 16
VALUE_WIDTH = 128


class ChannelNorm(nn.Module):
    """Root-mean-square over the channels of each square, with a learned scale and shift.

    It knows no batch and keeps no running statistics: a position's output is the same while
    collecting, learning and playing.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps x [N, C, 9, 9] -> [N, C, 9, 9] in x's dtype; the mean is taken in float32.

        Every cast is a ``type_as`` of something small: a trace keeps those, so that an exported
        network still works after it was cast.
        """
        mean = x.square().mean(dim=1, keepdim=True, dtype=torch.float32)
        scale = torch.rsqrt(mean + 1e-5).type_as(x)
        weight = self.weight.type_as(x).view(1, -1, 1, 1)
        bias = self.bias.type_as(x).view(1, -1, 1, 1)
        return torch.addcmul(bias, x * scale, weight)


class SqueezeExcitation(nn.Module):
    """Scales and shifts the channels by what the whole board holds."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        hidden = max(channels // ratio, 8)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps x [N, C, 9, 9] -> [N, C, 9, 9]."""
        pooled = x.mean(dim=(2, 3))
        gate, shift = self.excite(functional.relu(self.squeeze(pooled))).chunk(2, dim=1)
        return torch.addcmul(shift[:, :, None, None], x, torch.sigmoid(gate)[:, :, None, None])


class ResidualBlock(nn.Module):
    """x + f(x): norm, relu, convolution, twice, then squeeze-and-excitation."""

    def __init__(self, channels: int, se_ratio: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = ChannelNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.se = SqueezeExcitation(channels, se_ratio) if se_ratio else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps x [N, C, 9, 9] -> [N, C, 9, 9]."""
        y = self.conv1(functional.relu(self.norm1(x)))
        y = self.conv2(functional.relu(self.norm2(y)))
        out: Tensor = x + self.se(y)
        return out


class ResNet(nn.Module):
    """Pre-activation residual tower with a policy and a value head.

    The policy head's 27 planes are flattened in label order (plane * 81 + square); the value head
    ends in tanh and speaks for the side to move.
    """

    def __init__(self, *, depth: int, width: int, se_ratio: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(FEATURE_PLANES, width, 3, padding=1)
        self.tower = nn.ModuleList(ResidualBlock(width, se_ratio) for _ in range(depth))
        self.norm = ChannelNorm(width)
        self.policy_conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.policy_norm = ChannelNorm(width)
        self.policy_out = nn.Conv2d(width, LABEL_PLANES, 1)
        self.value_conv = nn.Conv2d(width, VALUE_CHANNELS, 1, bias=False)
        self.value_norm = ChannelNorm(VALUE_CHANNELS)
        self.value_hidden = nn.Linear(VALUE_CHANNELS * SQUARES, VALUE_WIDTH)
        self.value_out = nn.Linear(VALUE_WIDTH, 1)
        self._initialise(depth)

    def _initialise(self, depth: int) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # Each block starts as a small change of its input, so that depth does not add variance;
        # both outputs start near nothing: a uniform policy and an undecided value.
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                with torch.no_grad():
                    module.conv2.weight.mul_((2 * depth) ** -0.5)
            if isinstance(module, SqueezeExcitation):
                nn.init.zeros_(module.excite.weight)
        nn.init.normal_(self.policy_out.weight, std=0.01)
        nn.init.normal_(self.value_out.weight, std=0.01)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Maps planes [N, 121, 9, 9] -> (logits [N, 2187], value [N])."""
        x = self.stem(planes)
        for block in self.tower:
            x = block(x)
        x = functional.relu(self.norm(x))
        policy = self.policy_out(functional.relu(self.policy_norm(self.policy_conv(x))))
        value = functional.relu(self.value_norm(self.value_conv(x)))
        value = functional.relu(self.value_hidden(value.flatten(1)))
        value = torch.tanh(self.value_out(value).float())
        return policy.reshape(-1, LABELS), value.reshape(-1)


def build_network(config: ModelConfig) -> nn.Module:
    """A network in the shape of ``config``, fresh weights drawn from torch's global generator.

    Raises ValueError while the shape is still ``auto``, and PluginError (see
    ``keisei.core.plugin_network``) if the type is a plugin that cannot be used.
    """
    if config.type != "resnet":
        return build_plugin_network(config)
    if config.tower_depth == "auto" or config.tower_width == "auto":
        raise ValueError("model: tower_depth and tower_width: expected numbers, got 'auto'")
    return ResNet(depth=config.tower_depth, width=config.tower_width, se_ratio=config.se_ratio)
