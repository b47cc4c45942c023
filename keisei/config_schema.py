"""Typed configuration: YAML file < ``KEISEI_*`` environment < command line.

Every field is read by some part of the program; an unknown key is an error, and so is a key that
nothing reads under the other settings. A field that says ``auto`` or ``fit`` is settled by
:func:`resolve` once the device is known; a run stores the settled values.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from keisei.config_sources import (
    ConfigError,
    Layer,
    make_layer,
    read_environment,
    read_yaml,
    show,
)
from keisei.utils.alert_rules import parse_rule
from keisei.utils.masking import named_secrets

__all__ = [
    "AlertsConfig",
    "AppConfig",
    "ConfigError",
    "DisplayConfig",
    "DistributedConfig",
    "EnvConfig",
    "EvaluationConfig",
    "LoggingConfig",
    "ModelConfig",
    "PastSelvesConfig",
    "PluginsConfig",
    "ResourcesConfig",
    "TrainingConfig",
    "config_from_dict",
    "differences",
    "load_config",
    "located",
    "resolve",
    "sections",
]

# The entry-point group of plugin networks.
NETWORKS = "keisei.networks"

Auto = Literal["auto"]
AutoOrFit = Literal["auto", "fit"]
# Upper bounds are far above what any run has, and below what the program's counters hold.
Plies = Annotated[int, Field(gt=0, le=10**18)]
Games = Annotated[int, Field(gt=0, le=10**7)]
Rows = Annotated[int, Field(gt=0, le=10**9)]
Count = Annotated[int, Field(gt=0, le=10**6)]
Seconds = Annotated[float, Field(gt=0.0, le=1e9, allow_inf_nan=False)]
Gigabytes = Annotated[float, Field(gt=0.0, le=1e9, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
CountOrZero = Annotated[int, Field(ge=0, le=10**6)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PlainValue = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str | None


def _like(pattern: str, expected: str) -> AfterValidator:
    """Text of this form; an error says what was expected in words."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise PydanticCustomError("form", expected)
        return value

    return AfterValidator(check)


_PLUGIN = r"[A-Za-z_][\w.-]*(:[A-Za-z_][\w.]*)?"
PluginName = Annotated[str, _like(_PLUGIN, "an entry point's name or 'module:Class'")]
PlayerText = Annotated[str, _like(r"\S(.*\S)?", "the name of a player")]
ModuleName = Annotated[str, _like(r"[^\W\d]\w*(\.[^\W\d]\w*)*", "the name of a module")]
DeviceName = Annotated[str, _like(r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or cuda:N")]
FolderName = Annotated[
    str,  # so no path, no option of a command, no pattern of a shell
    _like(
        r"(?!.*\.\.)\w[\w.+=@,~ -]{0,199}",
        "the name of one folder (letters, digits and _.+=@,~ -, no '..')",
    ),
]
FilePath = Annotated[str, _like(r"[^\x00]+", "a path")]


def _is_rule(text: str) -> str:
    try:
        parse_rule("", text)
    except ValueError as error:
        raise PydanticCustomError("rule", str(error).removeprefix("expected ")) from error
    return text


AlertName = Annotated[
    str,
    _like(r"[A-Za-z0-9][\w.-]{0,59}", "a name of letters, digits and _.- (60 at most) before ':'"),
]
AlertRule = Annotated[str, AfterValidator(_is_rule)]
CommandWord = Annotated[str, _like(r"[^\x00]*", "text")]


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

    total_timesteps: Plies | Auto = "auto"
    """plies to play in all; training stops after the iteration that reaches it"""
    learning_rate: PositiveFloat = 1e-3
    """AdamW step size; where it is scheduled, the highest"""
    lr_schedule: Literal["constant", "linear", "cosine"] = "constant"
    """linear and cosine: falls to zero at total_timesteps, in a line or in half a cosine"""
    lr_warmup: Annotated[int, Field(ge=0, le=10**18)] = 0
    """plies over which the learning rate first rises, from zero in a line"""
    rollout_length: Count | Auto = "auto"
    """plies per game between two updates"""
    batch_size: Rows | AutoOrFit = "auto"
    """positions per gradient step, over all ranks; fit: what the device's memory and speed suit,
    measured at the start"""
    ppo_epochs: Count = 2
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
    """let the network see each position mirrored left-right with probability 1/2, while playing
    and so while learning"""
    max_skipped_updates: Count = 10
    """gradient steps skipped in a row, for a number that is not finite, that end the run"""
    shuffle_blocks: Games | Auto = "auto"
    """equal blocks of games that minibatches are shuffled within; a multiple of the ranks; auto:
    one for each rank"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """arithmetic of the network; auto: bfloat16 on CUDA, float32 on a CPU"""
    compile: bool | Auto = "auto"
    """fuse the network's kernels (Triton on CUDA, torch.compile elsewhere); auto: on CUDA where a
    trial of it works"""
    device: DeviceName = "auto"
    """auto, cpu, cuda or cuda:N; auto: cuda where there is one"""
    seed: Annotated[int, Field(ge=0, lt=2**62)] = 0
    """seed of weights, games and minibatches"""
    deterministic: bool = False
    """take only algorithms that give the same bits each time; slower on CUDA"""


class EnvConfig(_Section):
    """The games that are played at once."""

    num_games: Games | AutoOrFit = "auto"
    """games side by side, over all ranks; fit: what the device's memory and speed suit, measured
    at the start"""
    max_plies: Annotated[int, Field(gt=0, le=65535)] = 512
    """move limit; a game that reaches it is undecided (truncated)"""
    start_positions: FilePath | None = None
    """file of SFENs, one a line, that games start from in turn; none: the usual start"""


class ModelConfig(_Section):
    """The network's shape."""

    type: PluginName = "resnet"
    """kind of network: resnet, an entry point of the group keisei.networks, or module:Class"""
    tower_depth: Annotated[int, Field(gt=0, le=1000)] | Auto = "auto"
    """residual blocks"""
    tower_width: Annotated[int, Field(gt=0, le=10_000)] | Auto = "auto"
    """channels"""
    se_ratio: Annotated[int, Field(ge=0, le=10_000)] = 4
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


class PastSelvesConfig(_Section):
    """Games of the learner against what it was before, in place of games against itself."""

    share: Fraction = 0.0
    """share of the games that are played against past selves; 0: none"""
    opponents: Annotated[int, Field(gt=0, le=1000)] = 4
    """past selves that play at once, each in an equal part of these games"""
    interval: Plies | Auto = "auto"
    """plies between two times that the present weights join the past selves"""
    capacity: Annotated[int, Field(gt=0, le=10_000)] = 20
    """past selves that are kept; the oldest leaves first"""
    selection: Literal["uniform", "hardest"] = "hardest"
    """who plays: each as often, or those more often that the learner scores less against"""
    stay: Count = 32
    """iterations that a past self plays on before its place is drawn anew"""
    greedy: bool = False
    """past selves make their most probable move; else it is drawn as the learner's is"""


class EvaluationConfig(_Section):
    """Matches that are played while training goes on."""

    interval: Plies | None = None
    """plies between two evaluations; none: none"""
    games: Count = 100
    """games of an evaluation, against each opponent"""
    opponents: Annotated[list[PlayerText], Field(min_length=1)] = ["random"]
    """whom evaluations play, as [NAME=]PLAYER: random, greedy, one-ply, mixture:A:B:SHARE, a
    checkpoint, an exported .pt, 'usi:COMMAND;NAME=VALUE;...' (see docs/evaluation.md)"""
    earlier: Annotated[int, Field(ge=0, le=100)] = 1
    """earlier checkpoints of the run that evaluations play too, which holds its ladder together"""
    openings: FilePath | None = None
    """file of openings, one a line (startpos moves ...), played with both colours; none: those
    that keisei brings"""
    sample: bool = False
    """networks draw their moves from the policy; else they play the most probable one"""
    saved_games: CountOrZero = 4
    """games against each opponent that are kept with the run, of each evaluation"""


class LoggingConfig(_Section):
    """What a run leaves behind."""

    wandb_enabled: bool = False
    """mirror the metrics to Weights & Biases (needs the extra `wandb`)"""
    wandb_project: str = "keisei"
    """Weights & Biases project"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """least level that is shown and logged"""
    checkpoint_interval: Plies | Auto = "auto"
    """plies between two checkpoints"""
    detail_interval: Plies | Auto | None = "auto"
    """plies between two board images and histograms in TensorBoard; none: none"""
    keep_checkpoints: CountOrZero = 5
    """newest checkpoints that stay; 0: all"""
    keep_best: CountOrZero = 1
    """checkpoints that stay for being the best by evaluation"""
    follow_games: Annotated[int, Field(ge=0, le=1024)] = 16
    """games, of those side by side, of which every move is followed, to store some whole games and
    how all of them began; 0: none"""
    games_interval: Plies | Auto = "auto"
    """plies between two records of whole games, at first: twice as many whenever there are 128"""
    run_root: FilePath = "runs"
    """folder of all runs"""
    run_name: FolderName | None = None
    """folder of this run in run_root; none: the time of its start"""


class DisplayConfig(_Section):
    """What is shown of a run while it goes on."""

    enabled: bool | Literal["terminal"] = "terminal"
    """draw a screen of board, curves and messages; terminal: where there is one. false: a line at
    an interval; true: draw also where no terminal is recognised"""
    refresh_rate: Annotated[float, Field(gt=0.0, le=60.0)] = 4.0
    """drawings a second at most; only what has changed is drawn"""
    game: Annotated[int, Field(ge=0, le=10**7)] = 0
    """which of the games is watched; one of the first rank's"""
    moves_per_second: Annotated[float, Field(gt=0.0, le=60.0)] = 2.0
    """pace at which the watched game's moves of a rollout are shown"""
    line_interval: Seconds = 5.0
    """seconds between two lines where no screen is drawn"""


class AlertsConfig(_Section):
    """Rules on any figure of a run, and what is done when one holds."""

    built_in_rules: bool = True
    """keep the rules not-finite, skipped-updates, entropy-collapse, truncated-games, slow and
    disk-space"""
    rules: dict[AlertName, AlertRule | None] = {}
    """rules by name, such as {entropy: learn.entropy < 0.1 for 20}; none switches a built-in one
    off"""
    command: list[CommandWord] = []
    """program and arguments, run without a shell when an alert begins or ends, with ALERT_NAME and
    other facts in its environment; empty: none"""
    command_timeout: Annotated[float, Field(gt=0.0, le=3600.0, allow_inf_nan=False)] = 30.0
    """seconds after which the command is killed"""


class ResourcesConfig(_Section):
    """What a run may take of the machine."""

    threads: Annotated[int, Field(gt=0, le=10_000)] | Auto = "auto"
    """processor threads of a rank; auto: OMP_NUM_THREADS, else its share of the machine's"""
    memory_limit_gb: Gigabytes | None = None
    """main memory a rank may hold, in 10^9 bytes; the run is saved and ends when it passes that;
    none: no limit"""
    gpu_memory_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """share of a GPU's memory that a rank may take"""
    disk_reserve_gb: Annotated[float, Field(ge=0.0, le=1e9, allow_inf_nan=False)] = 1.0
    """disk space, in 10^9 bytes, that a checkpoint must leave free"""
    monitor_interval: Seconds = 10.0
    """seconds between two looks at memory and utilisation"""


class DistributedConfig(_Section):
    """Several ranks, started by torchrun."""

    backend: Literal["auto", "nccl", "gloo"] = "auto"
    """how ranks talk; auto: nccl on CUDA, gloo on a CPU"""
    timeout_seconds: Seconds = 600.0
    """how long a rank waits for the others before it gives up"""


class PluginsConfig(_Section):
    """Code of others that a run takes in: entry points by name, or module:Class."""

    modules: list[ModuleName] = []
    """modules to import at the start"""
    callbacks: list[PluginName] = []
    """callbacks, of the group keisei.callbacks"""
    opponents: list[PluginName] = []
    """more opponents that evaluations play, of the group keisei.opponents"""


class AppConfig(_Section):
    """The whole configuration."""

    training: TrainingConfig = TrainingConfig()
    env: EnvConfig = EnvConfig()
    model: ModelConfig = ModelConfig()
    past_selves: PastSelvesConfig = PastSelvesConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    logging: LoggingConfig = LoggingConfig()
    display: DisplayConfig = DisplayConfig()
    alerts: AlertsConfig = AlertsConfig()
    resources: ResourcesConfig = ResourcesConfig()
    distributed: DistributedConfig = DistributedConfig()
    plugins: PluginsConfig = PluginsConfig()


# Keys that nothing reads while another has one of these values.
_Unread = tuple[str, str, Callable[[Any], bool]]
_UNREAD: tuple[_Unread, ...] = (
    ("training.entropy_final", "training.entropy_schedule", lambda value: value == "constant"),
    ("training.use_ema", "training.ema_decay", lambda value: value is None),
    ("model.tower_depth", "model.type", lambda value: value != "resnet"),
    ("model.tower_width", "model.type", lambda value: value != "resnet"),
    ("model.se_ratio", "model.type", lambda value: value != "resnet"),
    ("model.options", "model.type", lambda value: value == "resnet"),
    *(
        (f"past_selves.{key}", "past_selves.share", lambda value: value == 0)
        for key in ("opponents", "interval", "capacity", "selection", "stay", "greedy")
    ),
    *(
        (f"evaluation.{key}", "evaluation.interval", lambda value: value is None)
        for key in EvaluationConfig.model_fields
        if key != "interval"
    ),
    ("plugins.opponents", "evaluation.interval", lambda value: value is None),
    ("logging.keep_best", "evaluation.interval", lambda value: value is None),
    ("logging.games_interval", "logging.follow_games", lambda value: value == 0),
    ("alerts.command_timeout", "alerts.command", lambda value: value == []),
    ("logging.wandb_project", "logging.wandb_enabled", lambda value: value is False),
    ("display.refresh_rate", "display.enabled", lambda value: value is False),
    ("display.game", "display.enabled", lambda value: value is False),
    ("display.moves_per_second", "display.enabled", lambda value: value is False),
    ("display.line_interval", "display.enabled", lambda value: value is True),
    ("resources.gpu_memory_fraction", "training.device", lambda value: value == "cpu"),
)


def sections() -> dict[str, type[BaseModel]]:
    """The sections of AppConfig by name."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in AppConfig.model_fields.items():
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            raise TypeError(f"AppConfig.{name}: expected a section, got {field.annotation!r}")
        found[name] = field.annotation
    return found


def _value(config: AppConfig, name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)


def located(error: ConfigError, places: Mapping[str, str]) -> ConfigError:
    """The error with the place of each setting that a line of it begins with.

    ``places`` are those that ``load_config`` found: what is judged only when the run starts knows
    no more than a key.
    """
    lines = []
    for line in str(error).splitlines():
        key = line.partition(":")[0]
        lines.append(f"{places[key]}: {line}" if key in places else line)
    return ConfigError("\n".join(lines))


def _validate(stored: Layer, *given: Layer, together: bool = True) -> AppConfig:
    """``stored`` overlaid with what was given, least first; ConfigError names every fault.

    ``together``: values are also judged by one another.
    """
    values: dict[str, dict[str, Any]] = {}
    level: dict[str, int] = {}
    for number, layer in enumerate((stored, *given)):
        for section, keys in layer.items():
            for key, setting in keys.items():
                values.setdefault(section, {})[key] = setting
                level[f"{section}.{key}"] = number

    def place(section: str, key: str, *path: Any) -> str:
        setting = values.get(section, {}).get(key)
        return "default" if setting is None else setting.place_of(path)

    try:
        config = AppConfig.model_validate(
            {
                section: {key: setting.value for key, setting in keys.items()}
                for section, keys in values.items()
            }
        )
    except ValidationError as error:
        raise ConfigError("\n".join(_describe(error, place))) from error
    if not together:
        return config
    faults = [
        f"{place(*key.split('.'))}: {key}: expected no value, because nothing reads it while "
        f"{by} is {show(_value(config, by))}, got {show(_value(config, key))}"
        for key, by, unread in _UNREAD
        # What a later source switches off, the earlier one may leave in place.
        if level.get(key, 0) > 0 and level[key] >= level.get(by, 0) and unread(_value(config, by))
    ]
    faults += [
        f"{place(*key.split('.'))}: {key}: expected {expected}, got {show(_value(config, key))}"
        for key, expected in _contradictions(config)
    ]
    if faults:
        raise ConfigError("\n".join(faults))
    return config


def _contradictions(config: AppConfig) -> list[tuple[str, str]]:
    """Keys whose values do not go with those of others, and what was expected."""
    found = []
    training = config.training
    if config.distributed.backend == "nccl" and training.device == "cpu":
        found.append(("distributed.backend", "auto or gloo, with training.device cpu"))
    total = training.total_timesteps
    if total != "auto" and training.lr_schedule != "constant" and training.lr_warmup >= total:
        found.append(("training.lr_warmup", f"fewer than training.total_timesteps ({total})"))
    return found


def _describe(error: ValidationError, place: Callable[..., str]) -> list[str]:
    """One line a fault: its place, its key, what was expected, what came."""
    expected: dict[tuple[Any, ...], list[str]] = {}
    got: dict[tuple[Any, ...], Any] = {}
    for item in error.errors():
        section, key, *path = item["loc"]
        # Below a list's item, and below a plain value, the arms of a union follow.
        deep = isinstance(path[0], int) or key in ("options", "rules") if path else False
        where = (section, key, *(path[:1] if deep else ()))
        text = re.sub(r"^(?:Input|String) should (?:be|have) ", "", item["msg"])
        expected.setdefault(where, []).append(text)
        got[where] = item["input"]
    return [
        f"{place(*where)}: {'.'.join(map(str, where))}: "
        f"expected {' or '.join(dict.fromkeys(texts))}, got {show(got[where])}"
        for where, texts in expected.items()
    ]


def load_config(
    path: str | os.PathLike[str] | None = None,
    *,
    base: AppConfig | None = None,
    environment: Mapping[str, str] | None = None,
    options: Layer | None = None,
    base_to_come: bool = False,
    places: dict[str, str] | None = None,
) -> AppConfig:
    """``base`` (or the defaults), a YAML file, the environment, options; later ones win.

    ``environment`` is ``os.environ`` where none is given; ``options`` are those of the command
    line. A file whose name ends in ``.json`` is taken for a stored configuration, as a run's
    ``config.json``: it gives every key, also those that nothing reads. Raises ConfigError, which
    names the file and line, variable or option, the key, what was expected and what came. With
    ``base_to_come`` values are not yet judged by one another. ``places`` is filled with the
    place of each key that the file, a variable or an option gives.
    """
    known = sections()
    stored: Layer = {}
    if base is not None:
        stored = make_layer(base.model_dump(), "the checkpoint's configuration", known)
    file: Layer = {}
    if path is not None:
        file = read_yaml(Path(path), known)
        if Path(path).suffix == ".json":
            for section, keys in file.items():
                stored.setdefault(section, {}).update(keys)
            file = {}
    environment = os.environ if environment is None else environment
    given = (file, read_environment(environment, known), options or {})
    _refuse_secrets(given, environment)
    if places is not None:
        for layer in given:
            for section, keys in layer.items():
                places |= {f"{section}.{key}": setting.place for key, setting in keys.items()}
    return _validate(stored, *given, together=not base_to_come)


def _refuse_secrets(layers: Iterable[Layer], environment: Mapping[str, str]) -> None:
    """ConfigError for settings that hold a secret of the environment: a run stores its settings."""
    secrets = named_secrets(environment)
    faults = [
        f"{setting.place}: {section}.{key}: expected no secret, because checkpoints hold the "
        f"settings, got the value of {variable}"
        for layer in layers
        for section, keys in layer.items()
        for key, setting in keys.items()
        for secret, variable in secrets.items()
        if any(secret in text for text in _texts(setting.value))
    ]
    if faults:
        raise ConfigError("\n".join(faults))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(name)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def config_from_dict(values: object, source: str) -> AppConfig:
    """The configuration stored as ``model_dump()``; ConfigError names ``source``."""
    return _validate(make_layer(values, source, sections()))


def differences(ours: AppConfig, theirs: AppConfig) -> list[tuple[str, Any, Any]]:
    """The keys that differ, as ``section.key``, with our value and theirs."""
    return [
        (name, _value(ours, name), _value(theirs, name))
        for section, model in sections().items()
        for name in (f"{section}.{key}" for key in model.model_fields)
        if _value(ours, name) != _value(theirs, name)
    ]


# What `auto` stands for, with one rank. A GPU is filled by thousands of games; two cores by dozens.
_AUTO: dict[str, dict[str, dict[str, Any]]] = {
    "cuda": {
        "training": {
            "total_timesteps": 500_000_000,
            "rollout_length": 32,
            "batch_size": 8192,
            "precision": "bfloat16",
        },
        "env": {"num_games": 4096},
        "model": {"tower_depth": 6, "tower_width": 128},
        "past_selves": {"interval": 10_000_000},
        "logging": {
            "checkpoint_interval": 20_000_000,
            "games_interval": 2_000_000,
            "detail_interval": 5_000_000,
        },
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
        "past_selves": {"interval": 50_000},
        "logging": {
            "checkpoint_interval": 100_000,
            "games_interval": 20_000,
            "detail_interval": 50_000,
        },
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
    auto = {section: dict(keys) for section, keys in _AUTO[kind].items()}
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
    return config_from_dict(values, "resolved")
