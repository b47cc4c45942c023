"""Configuration: where values come from, and what a wrong one is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from keisei import config_schema
from keisei.config_schema import (
    AppConfig,
    ConfigError,
    EnvConfig,
    LoggingConfig,
    TrainingConfig,
    config_from_dict,
    differences,
    load_config,
    resolve,
    usable_threads,
)

ROOT = Path(__file__).parent.parent


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def refused(tmp_path: Path, text: str) -> str:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment={})
    return str(caught.value).replace(str(path), "config.yaml")


def test_the_specified_yaml_loads_unchanged() -> None:
    """The file is the specification's, byte for byte."""
    config = load_config(ROOT / "tests" / "data" / "specification.yaml", environment={})
    assert config.training.total_timesteps == 1_000_000
    assert config.training.learning_rate == 0.0003
    assert config.training.batch_size == 256
    assert config.training.ppo_epochs == 4
    assert config.model.type == "resnet"
    assert (config.model.tower_depth, config.model.tower_width) == (9, 256)
    assert config.logging.wandb_enabled is True
    assert config.logging.log_level == "info"
    assert config.logging.checkpoint_interval == 10_000


def test_nothing_given_is_the_defaults(tmp_path: Path) -> None:
    assert load_config(environment={}) == AppConfig()
    assert load_config(write(tmp_path, "# nothing\n"), environment={}) == AppConfig()


def test_environment_wins_over_yaml_and_yaml_over_base(tmp_path: Path) -> None:
    base = AppConfig(training=TrainingConfig(batch_size=1, ppo_epochs=7, learning_rate=0.5))
    path = write(tmp_path, "training:\n  batch_size: 2\n  learning_rate: 3e-4\n")
    config = load_config(path, base=base, environment={"KEISEI_TRAINING__BATCH_SIZE": "3"})
    assert config.training.batch_size == 3
    assert config.training.learning_rate == 3e-4
    assert config.training.ppo_epochs == 7


def test_short_name_for_the_log_level_and_foreign_names() -> None:
    foreign = {"KEISEI_CUDA": "OFF", "KEISEI_PLAY": "1", "OTHER__SECTION": "1"}
    config = load_config(environment={"KEISEI_LOG_LEVEL": "debug"} | foreign)
    assert config == AppConfig(logging=LoggingConfig(log_level="debug"))
    both = {"KEISEI_LOG_LEVEL": "debug", "KEISEI_LOGGING__LOG_LEVEL": "error"}
    assert load_config(environment=both).logging.log_level == "error"


def test_lists_and_mappings_in_the_environment() -> None:
    environment = {
        "KEISEI_PLUGINS__MODULES": "[a.b, c]",
        "KEISEI_MODEL__TYPE": "m:C",
        "KEISEI_MODEL__OPTIONS": "{blocks: 3, kind: tall}",
    }
    config = load_config(environment=environment)
    assert config.plugins.modules == ["a.b", "c"]
    assert config.model.options == {"blocks": 3, "kind": "tall"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "# a comment\ntraining:\n  batch_sice: 3\n",
            r"config.yaml:3: training.batch_sice: unknown key; did you mean batch_size\? .*got 3",
        ),
        (
            "env: {}\ntrainig:\n  batch_size: 3\n",
            r"config.yaml:2: trainig: unknown section; did you mean training\? expected one of",
        ),
        ("training: 3\n", r"config.yaml:1: training: expected a mapping of keys, got 3"),
        ("- 3\n", r"config.yaml: expected a mapping of sections, got list"),
        (
            "training:\n  batch_size: 1\n  batch_size: 2\n",
            r"config.yaml:3: not YAML: key 'batch_size' stands twice",
        ),
        ("training: {\n", r"config.yaml:2: not YAML: "),
        ("training:\n  gamma: \t\x07\n", r"config.yaml:2: not YAML: .*not allowed"),
        ("a: 1\n---\nb: 2\n", r"config.yaml:2: not YAML: expected a single document"),
        ("? [a]\n: 1\n", r"config.yaml:1: not YAML: key: expected a word, got \['a'\]"),
        (
            "training:\n  ? {a: 1}\n  : 1\n",
            r"config.yaml:2: not YAML: key: expected a word, got {'a': 1}",
        ),
        ("training: {gamma: !!int word}\n", r"config.yaml:1: not YAML: invalid literal"),
        (
            "training:\n\n  learning_rate: fast\n",
            r"config.yaml:3: training.learning_rate: expected a valid number, got 'fast'",
        ),
        (
            "training:\n  learning_rate: -1\n",
            r"config.yaml:2: training.learning_rate: expected greater than 0, got -1",
        ),
        (
            "training:\n  batch_size: many\n",
            r"config.yaml:2: training.batch_size: expected a valid integer or .*'fit', got 'many'",
        ),
        (
            "training:\n  total_timesteps: 1e6\n",
            r"config.yaml:2: training.total_timesteps: expected a valid integer or 'auto', got 1",
        ),
        (
            "model:\n  tower_depth: true\n",
            r"config.yaml:2: model.tower_depth: expected a valid integer or 'auto', got True",
        ),
        (
            "model:\n  type: vit\n",
            r"config.yaml:2: model.type: expected 'resnet' or 'module:Class', got 'vit'",
        ),
        (
            "training: {device: tpu}\n",
            r"config.yaml:1: training.device: expected auto, cpu, cuda or cuda:N, got 'tpu'",
        ),
        *(
            (
                f"logging:\n  run_name: {name}\n",
                r"config.yaml:2: logging.run_name: expected the name of one folder .*, got ",
            )
            for name in ("../other", "a/b", ".hidden", "..", "a..b", '""', r'"a\0b"', '"a*"', "-x")
        ),
        (
            "training:\n  value_clip: .nan\n",
            r"config.yaml:2: training.value_clip: expected a finite number, got nan",
        ),
        (
            "plugins:\n  callbacks:\n    - fine\n    - not fine\n",
            r"config.yaml:4: plugins.callbacks.1: expected an entry point's name or 'module:Class'",
        ),
        (
            "plugins:\n  modules: name\n",
            r"config.yaml:2: plugins.modules: expected a valid list, got 'name'",
        ),
        (
            "model:\n  type: m:C\n  options:\n    blocks: 3\n    kinds: [1]\n",
            r"config.yaml:5: model.options.kinds: expected a valid boolean or .*got \[1\]",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    assert re.match(expected, refused(tmp_path, text), re.DOTALL)


def test_every_fault_gets_its_line(tmp_path: Path) -> None:
    lines = refused(tmp_path, "training:\n  gamma: 2\n  ppo_epochs: 0\n").splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("config.yaml:3: training.ppo_epochs:")
    assert lines[1].startswith("config.yaml:2: training.gamma:")
    lines = refused(tmp_path, "trainig: {}\nenv:\n  games: 2\n  plies: 3\n").splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"config.yaml:{n}" for n in (1, 3, 4)]


def test_a_bomb_of_aliases_is_quoted_in_short(tmp_path: Path) -> None:
    lists = ["a0: &a0 [x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)
    ]
    text = refused(tmp_path, "\n".join([*lists, "env: {num_games: *a11}"]) + "\n")
    assert len(text) < 10_000
    assert "config.yaml:1: a0: unknown section" in text


def test_scalars_are_read_as_people_mean_them(tmp_path: Path) -> None:
    """YAML 1.1 has octal 010, a date in 2026-11-22, and no number in 3e-4."""
    text = """
training: {total_timesteps: 1_000_000, learning_rate: 3e-4, seed: 010, value_clip: none}
env: {num_games: 0x40}
logging: {run_name: 2026-11-22}
model:  # all of it left out
"""
    config = load_config(write(tmp_path, text), environment={})
    assert config.training.total_timesteps == 1_000_000
    assert config.training.learning_rate == 3e-4
    assert config.training.seed == 10
    assert config.training.value_clip is None
    assert config.env.num_games == 64
    assert config.logging.run_name == "2026-11-22"


UNREAD = {
    "training: {entropy_final: 0.0}": ("training.entropy_schedule is 'constant'", "linear"),
    "training: {use_ema: true}": ("training.ema_decay is None", "0.99"),
    "model: {type: 'm:C', tower_depth: 3}": ("model.type is 'm:C'", "resnet"),
    "model: {type: 'm:C', tower_width: 3}": ("model.type is 'm:C'", "resnet"),
    "model: {type: 'm:C', se_ratio: 3}": ("model.type is 'm:C'", "resnet"),
    "model: {options: {a: 1}}": ("model.type is 'resnet'", "m:C"),
    **{
        f"past_selves: {{{key}: {value}}}": ("past_selves.share is 0.0", "0.25")
        for key, value in {
            "opponents": 2,
            "interval": 1000,
            "capacity": 5,
            "selection": "uniform",
            "stay": 4,
            "greedy": "true",
        }.items()
    },
    "evaluation: {games: 10}": ("evaluation.interval is None", "1000"),
    "evaluation: {opponents: [random]}": ("evaluation.interval is None", "1000"),
    "evaluation: {earlier: 2}": ("evaluation.interval is None", "1000"),
    "evaluation: {openings: a}": ("evaluation.interval is None", "1000"),
    "evaluation: {sample: true}": ("evaluation.interval is None", "1000"),
    "evaluation: {saved_games: 2}": ("evaluation.interval is None", "1000"),
    "plugins: {opponents: [a]}": ("evaluation.interval is None", "1000"),
    "logging: {keep_best: 1}": ("evaluation.interval is None", "1000"),
    "logging: {follow_games: 0, games_interval: 9}": ("logging.follow_games is 0", "4"),
    "alerts: {command_timeout: 3.0}": ("alerts.command is []", "[a]"),
    "logging: {wandb_project: p}": ("logging.wandb_enabled is False", "true"),
    **{
        f"display: {{enabled: false, {key}: 3}}": ("display.enabled is False", "terminal")
        for key in ("refresh_rate", "game", "moves_per_second")
    },
    "display: {enabled: true, line_interval: 9}": ("display.enabled is True", "terminal"),
    "training: {device: cpu}\nresources: {gpu_memory_fraction: 0.5}": (
        "training.device is 'cpu'",
        "cuda",
    ),
}


@pytest.mark.parametrize("text", UNREAD)
def test_a_key_that_nothing_would_read_is_an_error(tmp_path: Path, text: str) -> None:
    because, cure = UNREAD[text]
    message = refused(tmp_path, text)
    line = text.count("\n") + 1
    assert re.match(
        rf"config.yaml:{line}: [\w.]+: expected no value, because nothing reads it while "
        rf"{re.escape(because)}, got ",
        message,
    )
    # A later source that makes something read it makes it right, and so does one that takes that
    # something away: then the earlier key is only overruled.
    name = because.split(" is ")[0]
    variable = "KEISEI_" + name.upper().replace(".", "__")
    load_config(write(tmp_path, text), environment={variable: cure})
    load_config(write(tmp_path, text), environment={variable: because.split(" is ")[1]})


def test_every_rule_of_unread_keys_is_tried() -> None:
    rules = {f"{key} {by}" for key, by, _ in config_schema._UNREAD}
    tried = {
        f"{section}.{key} {because.split(' is ')[0]}"
        for text, (because, _) in UNREAD.items()
        for section, keys in yaml.safe_load(text).items()
        for key in keys
    }
    assert rules <= tried


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "training: {device: cpu}\ndistributed: {backend: nccl}\n",
            "config.yaml:2: distributed.backend: expected auto or gloo, with training.device cpu, "
            "got 'nccl'",
        ),
        (
            "training:\n  total_timesteps: 5\n  lr_schedule: cosine\n  lr_warmup: 5\n",
            "config.yaml:4: training.lr_warmup: expected fewer than training.total_timesteps (5), "
            "got 5",
        ),
    ],
)
def test_what_contradicts_itself_is_an_error(tmp_path: Path, text: str, expected: str) -> None:
    assert refused(tmp_path, text) == expected


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load_config(tmp_path / "nowhere.yaml", environment={})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"KEISEI_TRAINING__BATCH": "1"}, "KEISEI_TRAINING__BATCH: training.batch: unknown key"),
        (
            {"KEISEI_TRAINING_BATCH_SIZE": "1"},
            "KEISEI_TRAINING_BATCH_SIZE: expected KEISEI_<SECTION>__<KEY> (two underscores); "
            "did you mean KEISEI_TRAINING__BATCH_SIZE?",
        ),
        (
            {"KEISEI_LOGLEVEL": "debug"},
            "KEISEI_LOGLEVEL: expected KEISEI_<SECTION>__<KEY> (two underscores); "
            "did you mean KEISEI_LOG_LEVEL?",
        ),
        ({"KEISEI_CUDAA": "ON"}, "KEISEI_CUDAA: expected KEISEI_<SECTION>__<KEY> (two "),
        ({"KEISEI_QQQ": "1"}, "KEISEI_QQQ: expected KEISEI_<SECTION>__<KEY> (two underscores)"),
        (
            {"KEISEI_MODEL__TYPE": "vit"},
            "KEISEI_MODEL__TYPE: model.type: expected 'resnet' or 'module:Class', got 'vit'",
        ),
        (
            {"KEISEI_TRAINING__BATCH_SIZE": "abc"},
            "KEISEI_TRAINING__BATCH_SIZE: training.batch_size: "
            "expected a valid integer or 'auto' or 'fit', got 'abc'",
        ),
        (
            {"KEISEI_TRAINING__GAMMA": "2", "KEISEI_TRAINING__PPO_EPOCHS": "3"},
            "KEISEI_TRAINING__GAMMA: training.gamma: expected less than or equal to 1, got 2",
        ),
        ({"KEISEI_LOG_LEVEL": "loud"}, "KEISEI_LOG_LEVEL: logging.log_level: expected 'debug'"),
        (
            {"KEISEI_TRAINNING__BATCH_SIZE": "1"},
            "KEISEI_TRAINNING__BATCH_SIZE: trainning: unknown section; did you mean training? "
            "expected one of training, env, model, past_selves, evaluation, logging, ",
        ),
        ({"KEISEI_ENV__NUM_GAMES": "? [a]"}, "KEISEI_ENV__NUM_GAMES: not a YAML value: '? [a]'"),
        (
            {"KEISEI_EVALUATION__GAMES": "7"},
            "KEISEI_EVALUATION__GAMES: evaluation.games: expected no value, because nothing reads",
        ),
    ],
)
def test_a_wrong_environment_is_named(environment: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(expected)):
        load_config(environment=environment)


def test_a_setting_that_holds_a_secret_is_refused_and_not_shown(tmp_path: Path) -> None:
    """But a stored configuration loads again, wherever that is."""
    secret = "0123456789abcdef"
    environment = {"SERVICE_TOKEN": secret}
    path = write(tmp_path, f"model:\n  type: m:C\n  options: {{key: x{secret}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment=environment | {"KEISEI_LOGGING__RUN_NAME": f"'{secret}'"})
    assert secret not in str(caught.value)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{path}:3: model.options: expected no secret")
    assert second.startswith("KEISEI_LOGGING__RUN_NAME: logging.run_name: expected no secret")
    assert first.endswith("got the value of SERVICE_TOKEN")
    stored = load_config(path, environment={})
    assert load_config(base=stored, environment=environment) == stored


def test_no_build_option_is_a_misspelt_setting() -> None:
    """Each option of the build is known by name, so that it may stand in the environment."""
    text = (Path(__file__).parents[1] / "CMakeLists.txt").read_text()
    options = re.findall(r"^(?:option|set)\((KEISEI_\w+)(?=[^)]*\b(?:CACHE|OFF|ON)\b)", text, re.M)
    assert {"KEISEI_CUDA", "KEISEI_MARCH", "KEISEI_SANITIZE"} <= set(options)
    options = [name for name in options if name != "KEISEI_CUDA_KERNELS"]
    assert load_config(environment=dict.fromkeys([*options, "KEISEI_COMMIT"], "x")) == AppConfig()


@pytest.mark.parametrize("value", ["0b_", "0x_", "0o__", "9" * 5000])
def test_what_is_nearly_a_number_is_named_with_its_line(tmp_path: Path, value: str) -> None:
    assert refused(tmp_path, f"training:\n  seed: {value}\n").startswith("config.yaml:2: ")


def test_two_wrong_variables_are_both_named() -> None:
    environment = {"KEISEI_TRAINING__GAMMA": "2", "KEISEI_TRAINING__PPO_EPOCHS": "0"}
    with pytest.raises(ConfigError) as caught:
        load_config(environment=environment)
    named = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert sorted(named) == sorted(environment)


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_resolving_leaves_nothing_open_and_keeps_what_was_said(device: str) -> None:
    asked = AppConfig(training=TrainingConfig(batch_size=77, precision="float32"))
    config = resolve(asked, device=device, compile_network=True)
    values = [value for section in config.model_dump().values() for value in section.values()]
    assert "auto" not in values and "fit" not in values
    assert config.training.batch_size == 77
    assert config.training.precision == "float32"
    assert config.training.compile is True
    assert resolve(config, device=device, compile_network=False) == config


def test_resolving_shares_among_ranks_and_takes_what_was_measured() -> None:
    config = resolve(AppConfig(), device="cuda:1", compile_network=True, ranks=4)
    assert config.env.num_games == 4 * 4096
    assert config.training.batch_size == 4 * 8192
    assert config.training.shuffle_blocks == 4
    assert config.distributed.backend == "nccl"
    asked = AppConfig(env=EnvConfig(num_games="fit"), training=TrainingConfig(batch_size="fit"))
    measured = {"env.num_games": 640, "training.batch_size": 96}
    config = resolve(asked, device="cpu", compile_network=False, ranks=2, fitted=measured)
    assert (config.env.num_games, config.training.batch_size) == (640, 96)
    with pytest.raises(ConfigError, match=r"^env\.num_games: expected a number, got 'fit'"):
        resolve(asked, device="cpu", compile_network=False)


def test_threads_are_those_asked_for_or_a_share() -> None:
    assert usable_threads({"OMP_NUM_THREADS": "3,2"}, local_ranks=8) == 3
    assert usable_threads({"OMP_NUM_THREADS": "many"}, local_ranks=1_000_000) == 1
    assert usable_threads({}) >= usable_threads({}, local_ranks=2) >= 1


def test_a_stored_configuration_comes_back(tmp_path: Path) -> None:
    """Also as the base of a resumed run and as a file, though it gives keys that nothing reads."""
    config = resolve(AppConfig(), device="cpu", compile_network=False)
    assert config_from_dict(config.model_dump(mode="json"), "stored") == config
    assert load_config(base=config, environment={}) == config
    path = tmp_path / "config.json"
    path.write_text(config.model_dump_json(indent=1))
    assert load_config(path, environment={}) == config
    path.write_text('{\n "training": {\n  "gamma": 2\n }\n}\n')
    with pytest.raises(ConfigError, match=r"config\.json:3: training\.gamma: expected less"):
        load_config(path, environment={})


def test_differences_are_listed_by_key() -> None:
    ours = AppConfig(training=TrainingConfig(learning_rate=0.5, seed=1))
    assert differences(ours, AppConfig()) == [
        ("training.learning_rate", 0.5, 1e-3),
        ("training.seed", 1, 0),
    ]
    assert differences(ours, ours) == []
