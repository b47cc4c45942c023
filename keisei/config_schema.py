"""Typed configuration: YAML file < ``KEISEI_*`` environment < command line.

Every field is read by some part of the program; an unknown key is an error. A field that says
``auto`` is settled by :func:`resolve` once the device is known; a run stores the settled values.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

ENVIRONMENT_PREFIX = "KEISEI_"
# Short names that exist beside the general form KEISEI_<SECTION>__<KEY>.
ENVIRONMENT_ALIASES = {"KEISEI_LOG_LEVEL": ("logging", "log_level")}

# The entry-point group of plugin networks.
NETWORKS = "keisei.networks"

Auto = Literal["auto"]
AutoOrFit = Literal["auto", "fit"]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
# What a plugin is named by: an entry point's name, or module:attribute.
PluginName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.-]*(:[A-Za-z_][\w.]*)?$")]
ModuleName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
PlainValue = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str | None


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
    """AdamW step size; where it is scheduled, the highest"""
    lr_schedule: Literal["constant", "linear", "cosine"] = "constant"
    """linear and cosine: falls to zero at total_timesteps, in a line or in half a cosine"""
    lr_warmup: NonNegativeInt = 0
    """plies over which the learning rate first rises in a line to what the schedule says"""
    rollout_length: PositiveInt | Auto = "auto"
    """plies per game between two updates"""
    batch_size: PositiveInt | AutoOrFit = "auto"
    """positions per gradient step, over all ranks; fit: what the device's memory and speed suit,
    measured at the start"""
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
    """weight of the entropy bonus; where it is scheduled, the first"""
    entropy_schedule: Literal["constant", "linear"] = "constant"
    """linear: goes to entropy_final at total_timesteps in a line"""
    entropy_final: NonNegativeFloat = 0.0
    """weight of the entropy bonus at total_timesteps, with entropy_schedule linear"""
    normalize_advantages: bool = True
    """scale the advantages of a rollout to mean 0 and deviation 1"""
    target_kl: PositiveFloat | None = 0.05
    """stop a rollout's epochs when the approximate KL passes this; none: never"""
    max_grad_norm: PositiveFloat = 1.0
    """gradients are scaled down to this norm"""
    weight_decay: NonNegativeFloat = 1e-4
    """AdamW's decay, on matrices only"""
    ema_decay: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """keep an exponential moving average of the weights, of which each gradient step leaves this
    much in place; none: no average"""
    use_ema: bool = False
    """evaluate and export the averaged weights (they are a checkpoint's model.ckpt)"""
    mirror: bool = False
    """mirror each row of a minibatch left-right with probability 1/2"""
    max_skipped_updates: PositiveInt = 10
    """gradient steps skipped in a row, for a number that is not finite, that end the run"""
    shuffle_blocks: PositiveInt | Auto = "auto"
    """equal blocks of games that minibatches are shuffled within; a multiple of the ranks; auto:
    one for each rank"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """arithmetic of the network; auto: bfloat16 on CUDA, float32 on a CPU"""
    compile: bool | Auto = "auto"
    """fuse the network's kernels (Triton on CUDA, torch.compile elsewhere); auto: on CUDA where a
    trial of it works"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N; auto: cuda where there is one"""
    seed: Annotated[int, Field(ge=0, lt=2**62)] = 0
    """seed of weights, games and minibatches"""
    deterministic: bool = False
    """take only algorithms that give the same bits each time; slower on CUDA"""


class EnvConfig(_Section):
    """The games that are played at once."""

    num_games: PositiveInt | AutoOrFit = "auto"
    """games side by side, over all ranks; fit: what the device's memory and speed suit, measured
    at the start"""
    max_plies: PositiveInt = 512
    """move limit; a game that reaches it is undecided (truncated)"""
    start_positions: str | None = None
    """file of SFENs, one a line, that games start from in turn; none: the usual start"""


class ModelConfig(_Section):
    """The network's shape."""

    type: PluginName = "resnet"
    """kind of network: resnet, an entry point of the group keisei.networks, or module:Class"""
    tower_depth: PositiveInt | Auto = "auto"
    """residual blocks"""
    tower_width: PositiveInt | Auto = "auto"
    """channels"""
    se_ratio: Annotated[int, Field(ge=0)] = 4
    """squeeze-and-excitation's reduction; 0: without"""
    options: dict[str, PlainValue] = {}
    """what a plugin's network is built with; resnet takes none"""

    @field_validator("type")
    @classmethod
    def _is_there(cls, name: str) -> str:
        if name != "resnet" and ":" not in name:
            names = sorted(entry_points(group=NETWORKS).names)
            if name not in names:
                known = ", ".join(map(repr, ["resnet", *names]))
                raise PydanticCustomError("network", f"{known} or 'module:Class'")
        return name


class EvaluationConfig(_Section):
    """Matches that are played while training goes on."""

    interval: PositiveInt | None = None
    """plies between two evaluations; none: none"""
    games: PositiveInt = 100
    """games of an evaluation"""


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
    keep_best: NonNegativeInt = 1
    """checkpoints that stay for being the best by evaluation"""
    run_root: str = "runs"
    """folder of all runs"""
    run_name: str | None = None
    """folder of this run in run_root; none: the time of its start"""


class ResourcesConfig(_Section):
    """What a run may take of the machine."""

    threads: PositiveInt | Auto = "auto"
    """processor threads of a rank; auto: OMP_NUM_THREADS, else its share of the machine's"""
    memory_limit_gb: PositiveFloat | None = None
    """main memory a rank may hold, in 10^9 bytes; the run is saved and ends when it passes that;
    none: no limit"""
    gpu_memory_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """share of a GPU's memory that a rank may take"""
    disk_reserve_gb: NonNegativeFloat = 1.0
    """disk space, in 10^9 bytes, that a checkpoint must leave free"""
    monitor_interval: PositiveFloat = 10.0
    """seconds between two looks at memory and utilisation"""


class DistributedConfig(_Section):
    """Several ranks, started by torchrun."""

    backend: Literal["auto", "nccl", "gloo"] = "auto"
    """how ranks talk; auto: nccl on CUDA, gloo on a CPU"""
    timeout_seconds: PositiveFloat = 600.0
    """how long a rank waits for the others before it gives up"""


class PluginsConfig(_Section):
    """Code of others that a run takes in: entry points by name, or module:Class."""

    modules: list[ModuleName] = []
    """modules to import at the start"""
    callbacks: list[PluginName] = []
    """callbacks, of the group keisei.callbacks"""
    opponents: list[PluginName] = []
    """opponents that evaluations play, of the group keisei.opponents"""


class AppConfig(_Section):
    """The whole configuration."""

    training: TrainingConfig = TrainingConfig()
    env: EnvConfig = EnvConfig()
    model: ModelConfig = ModelConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    logging: LoggingConfig = LoggingConfig()
    resources: ResourcesConfig = ResourcesConfig()
    distributed: DistributedConfig = DistributedConfig()
    plugins: PluginsConfig = PluginsConfig()


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
        where = (str(item["loc"][0]), str(item["loc"][1]))  # deeper: a list's item, a union's arm
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


# What `auto` stands for, with one rank. A GPU is filled by thousands of games; two cores by dozens.
_AUTO: dict[str, Layer] = {
    "cuda": {
        "training": {
            "total_timesteps": 500_000_000,
            "rollout_length": 32,
            "batch_size": 8192,
            "precision": "bfloat16",
        },
        "env": {"num_games": 4096},
        "model": {"tower_depth": 6, "tower_width": 128},
        "logging": {"checkpoint_interval": 20_000_000},
        "distributed": {"backend": "nccl"},
    },
    "cpu": {
        "training": {
            "total_timesteps": 2_000_000,
            "rollout_length": 32,
            "batch_size": 512,
            "precision": "float32",
        },
        "env": {"num_games": 128},
        "model": {"tower_depth": 2, "tower_width": 32},
        "logging": {"checkpoint_interval": 100_000},
        "distributed": {"backend": "gloo"},
    },
}
# Keys that may be `fit`.
FITTED = (("env", "num_games"), ("training", "batch_size"))


def usable_threads(environment: Mapping[str, str], local_ranks: int = 1) -> int:
    """Threads for one of ``local_ranks`` processes: OMP_NUM_THREADS, else this process's CPUs."""
    asked = environment.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    count = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(1, count // local_ranks)


def resolve(
    config: AppConfig,
    *,
    device: str,
    compile_network: bool,
    ranks: int = 1,
    local_ranks: int = 1,
    fitted: Mapping[str, int] | None = None,
) -> AppConfig:
    """The same configuration with nothing left to settle: no value is ``auto`` or ``fit``.

    ``device`` is the device that was found (``cpu``, ``cuda:0``); ``compile_network`` is what
    ``training.compile: auto`` stands for there. ``ranks`` processes share the work, ``local_ranks``
    of them on this machine. ``fitted`` holds what was measured for the keys that say ``fit``
    (``env.num_games``, ``training.batch_size``; over all ranks); ConfigError where it lacks one.
    """
    kind = device.partition(":")[0]
    if kind not in _AUTO:
        raise ConfigError(f"training.device: expected auto, cpu, cuda or cuda:N, got {device!r}")
    values = config.model_dump()
    auto: Layer = {section: dict(keys) for section, keys in _AUTO[kind].items()}
    auto["env"]["num_games"] *= ranks
    auto["training"]["batch_size"] *= ranks
    auto["training"]["compile"] = compile_network
    auto["training"]["shuffle_blocks"] = ranks
    auto["resources"] = {"threads": usable_threads(os.environ, local_ranks)}
    for section, keys in auto.items():
        for key, value in keys.items():
            if values[section][key] == "auto":
                values[section][key] = value
    for section, key in FITTED:
        if values[section][key] == "fit":
            name = f"{section}.{key}"
            if fitted is None or name not in fitted:
                raise ConfigError(f"{name}: expected a number, got 'fit', which was not measured")
            values[section][key] = fitted[name]
    values["training"]["device"] = device
    return _validate([("resolved", values)])
