"""Typed configuration: YAML file < ``KEISEI_*`` environment < command line.

Every field is read by some part of the program; an unknown key is an error. A field that says
``auto`` is settled by :func:`resolve` once the device is known; a run stores the settled values.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

ENVIRONMENT_PREFIX = "KEISEI_"
# Short names that exist beside the general form KEISEI_<SECTION>__<KEY>.
ENVIRONMENT_ALIASES = {"KEISEI_LOG_LEVEL": ("logging", "log_level")}

Auto = Literal["auto"]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class ConfigError(ValueError):
    """A configuration that cannot be used; the text names source, key, expected and got."""


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        validate_default=True,
        use_attribute_docstrings=True,
    )


class TrainingConfig(_Section):
    """How the network learns (PPO)."""

    total_timesteps: PositiveInt | Auto = "auto"
    """plies to play in all; training stops after the iteration that reaches it"""
    learning_rate: PositiveFloat = 1e-3
    """AdamW step size"""
    lr_schedule: Literal["constant", "linear"] = "constant"
    """linear: falls to zero at total_timesteps"""
    rollout_length: PositiveInt | Auto = "auto"
    """plies per game between two updates"""
    batch_size: PositiveInt | Auto = "auto"
    """positions per gradient step"""
    ppo_epochs: PositiveInt = 2
    """passes over each rollout"""
    gamma: Fraction = 1.0
    """discount per ply"""
    gae_lambda: Fraction = 0.95
    """GAE's lambda"""
    clip_range: PositiveFloat = 0.2
    """PPO's clip of the probability ratio"""
    value_clip: PositiveFloat | None = None
    """clip of the value's change per update; none: unclipped"""
    value_coefficient: NonNegativeFloat = 1.0
    """weight of the value loss"""
    entropy_coefficient: NonNegativeFloat = 0.005
    """weight of the entropy bonus"""
    normalize_advantages: bool = True
    """scale the advantages of a rollout to mean 0 and deviation 1"""
    target_kl: PositiveFloat | None = 0.05
    """stop a rollout's epochs when the approximate KL passes this; none: never"""
    max_grad_norm: PositiveFloat = 1.0
    """gradients are scaled down to this norm"""
    weight_decay: NonNegativeFloat = 1e-4
    """AdamW's decay, on matrices only"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """arithmetic of the network; auto: bfloat16 on CUDA, float32 on a CPU"""
    compile: bool | Auto = "auto"
    """fuse the network's kernels (Triton on CUDA, torch.compile elsewhere); auto: on CUDA where a
    trial of it works"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N; auto: cuda where there is one"""
    seed: Annotated[int, Field(ge=0, lt=2**62)] = 0
    """seed of weights, games and minibatches"""


class EnvConfig(_Section):
    """The games that are played at once."""

    num_games: PositiveInt | Auto = "auto"
    """games side by side"""
    max_plies: PositiveInt = 512
    """move limit; a game that reaches it is undecided (truncated)"""
    start_positions: str | None = None
    """file of SFENs, one a line, that games start from in turn; none: the usual start"""


class ModelConfig(_Section):
    """The network's shape."""

    type: Literal["resnet"] = "resnet"
    """kind of network"""
    tower_depth: PositiveInt | Auto = "auto"
    """residual blocks"""
    tower_width: PositiveInt | Auto = "auto"
    """channels"""
    se_ratio: Annotated[int, Field(ge=0)] = 4
    """squeeze-and-excitation's reduction; 0: without"""


class LoggingConfig(_Section):
    """What a run leaves behind."""

    wandb_enabled: bool = False
    """mirror the metrics to Weights & Biases (needs the extra `wandb`)"""
    wandb_project: str = "keisei"
    """Weights & Biases project"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """least level that is shown and logged"""
    checkpoint_interval: PositiveInt | Auto = "auto"
    """plies between two checkpoints"""
    keep_checkpoints: Annotated[int, Field(ge=0)] = 5
    """newest checkpoints that stay; 0: all"""
    run_root: str = "runs"
    """folder of all runs"""
    run_name: str | None = None
    """folder of this run in run_root; none: the time of its start"""


class AppConfig(_Section):
    """The whole configuration."""

    training: TrainingConfig = TrainingConfig()
    env: EnvConfig = EnvConfig()
    model: ModelConfig = ModelConfig()
    logging: LoggingConfig = LoggingConfig()


class _Loader(yaml.SafeLoader):
    """YAML 1.2's reading of scalars where 1.1 surprises: ``3e-4`` is a number, ``on`` a word.

    A key that stands twice in one mapping is an error.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, f"key: expected a word, got {key!r}", key_node.start_mark
                )
            if key in mapping:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", key_node.start_mark
                )
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":bool", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?"
        r"|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)
_Loader.add_constructor(
    "tag:yaml.org,2002:float",
    lambda loader, node: float(re.sub(r"\.(?=inf|nan)", "", str(node.value).lower())),
)

Layer = dict[str, dict[str, Any]]


def _sections() -> dict[str, type[BaseModel]]:
    sections: dict[str, type[BaseModel]] = {}
    for name, field in AppConfig.model_fields.items():
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            raise TypeError(f"AppConfig.{name}: expected a section, got {field.annotation!r}")
        sections[name] = field.annotation
    return sections


def _check_layer(layer: object, source: str) -> Layer:
    """The layer itself if every key in it is known; ConfigError otherwise."""
    sections = _sections()
    if layer is None:
        return {}
    if not isinstance(layer, dict):
        raise ConfigError(f"{source}: expected a mapping of sections, got {type(layer).__name__}")
    for section, values in layer.items():
        if section not in sections:
            raise ConfigError(
                f"{source}: {section}: unknown section; expected one of {', '.join(sections)}"
            )
        if not isinstance(values, dict):
            raise ConfigError(f"{source}: {section}: expected a mapping of keys, got {values!r}")
        known = sections[section].model_fields
        for key, value in values.items():
            if key not in known:
                raise ConfigError(
                    f"{source}: {section}.{key}: unknown key; expected one of "
                    f"{', '.join(known)}, got {value!r}"
                )
    return layer


def _read_yaml(path: Path) -> Layer:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        layer = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date like 2026-99-99
        raise ConfigError(f"{path}: not YAML: {error}") from error
    return _check_layer(layer, str(path))


def _read_environment(environment: Mapping[str, str]) -> list[tuple[str, Layer]]:
    """KEISEI_TRAINING__BATCH_SIZE=256 sets training.batch_size; values are read as YAML scalars.

    One layer a variable, so that an error can name it. KEISEI_ names that begin with no section
    and have no double underscore (KEISEI_CUDA, a build option) belong to others.
    """
    layers: list[tuple[str, Layer]] = []
    sections = _sections()
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        section, separator, key = name[len(ENVIRONMENT_PREFIX) :].lower().partition("__")
        if name in ENVIRONMENT_ALIASES:
            section, key = ENVIRONMENT_ALIASES[name]
        elif not separator:
            if section.startswith(tuple(f"{known}_" for known in sections)):
                raise ConfigError(
                    f"{name}: expected {ENVIRONMENT_PREFIX}<SECTION>__<KEY> (two underscores)"
                )
            continue
        try:
            value = yaml.load(environment[name], Loader=_Loader)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"{name}: not a YAML value: {environment[name]!r}") from error
        layers.append((name, _check_layer({section: {key: value}}, name)))
    return layers


def _validate(layers: list[tuple[str, Layer]]) -> AppConfig:
    merged: Layer = {}
    origin: dict[tuple[str, str], str] = {}
    for source, layer in layers:
        for section, values in layer.items():
            merged.setdefault(section, {}).update(values)
            origin.update({(section, key): source for key in values})
    try:
        return AppConfig.model_validate(merged)
    except ValidationError as error:
        raise ConfigError("\n".join(_describe(error, origin))) from error


def _describe(error: ValidationError, origin: Mapping[tuple[str, str], str]) -> list[str]:
    """One line a field: where it came from, its key, what was expected, what came."""
    expected: dict[tuple[str, str], list[str]] = {}
    got: dict[tuple[str, str], Any] = {}
    for item in error.errors():
        where = (str(item["loc"][0]), str(item["loc"][1]))
        text = re.sub(r"^Input should be ", "", item["msg"])
        expected.setdefault(where, []).append(text)
        got[where] = item["input"]
    return [
        f"{origin.get(where, 'default')}: {where[0]}.{where[1]}: "
        f"expected {' or '.join(dict.fromkeys(texts))}, got {got[where]!r}"
        for where, texts in expected.items()
    ]


def load_config(
    path: str | os.PathLike[str] | None = None,
    *,
    base: AppConfig | None = None,
    environment: Mapping[str, str] | None = None,
) -> AppConfig:
    """``base`` (or the defaults), then a YAML file, then the environment; later ones win.

    ``environment`` is ``os.environ`` where none is given. Raises ConfigError, which names the file
    or variable, the key, what was expected and what came.
    """
    layers: list[tuple[str, Layer]] = []
    if base is not None:
        layers.append(("base", base.model_dump()))
    if path is not None:
        layers.append((str(path), _read_yaml(Path(path))))
    layers += _read_environment(os.environ if environment is None else environment)
    return _validate(layers)


def config_from_dict(values: object, source: str) -> AppConfig:
    """The configuration stored as ``model_dump()``; ConfigError names ``source``."""
    return _validate([(source, _check_layer(values, source))])


# What `auto` stands for. A GPU is filled by thousands of games; two CPU cores by dozens.
_AUTO: dict[str, Layer] = {
    "cuda": {
        "training": {"total_timesteps": 500_000_000, "rollout_length": 32, "batch_size": 8192},
        "env": {"num_games": 4096},
        "model": {"tower_depth": 6, "tower_width": 128},
        "logging": {"checkpoint_interval": 20_000_000},
    },
    "cpu": {
        "training": {"total_timesteps": 2_000_000, "rollout_length": 32, "batch_size": 512},
        "env": {"num_games": 128},
        "model": {"tower_depth": 2, "tower_width": 32},
        "logging": {"checkpoint_interval": 100_000},
    },
}


def resolve(config: AppConfig, *, device: str, compile_network: bool) -> AppConfig:
    """The same configuration with nothing left to settle: no value is ``auto``.

    ``device`` is the device that was found (``cpu``, ``cuda:0``); ``compile_network`` is what
    ``training.compile: auto`` stands for there.
    """
    kind = device.partition(":")[0]
    if kind not in _AUTO:
        raise ConfigError(f"training.device: expected auto, cpu, cuda or cuda:N, got {device!r}")
    values = config.model_dump()
    auto: Layer = {section: dict(keys) for section, keys in _AUTO[kind].items()}
    auto["training"]["compile"] = compile_network
    auto["training"]["precision"] = "bfloat16" if kind == "cuda" else "float32"
    for section, keys in auto.items():
        for key, value in keys.items():
            if values[section][key] == "auto":
                values[section][key] = value
    values["training"]["device"] = device
    return _validate([("resolved", values)])
