"""Plugins and managers of one's own in a trainer."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
import torch
from plugin_samples import Counting, FirstLegal, NeedsMore, TinyNetwork
from ranks import run_well
from run_helpers import PLIES, assert_same_run, screen, tiny_config, trainer_of

from keisei.config_schema import AppConfig, EvaluationConfig
from keisei.core.model_file import list_checkpoints, load_model
from keisei.training import EnhancedTrainer, Trainer
from keisei.training.callbacks import Event, Snapshot
from keisei.training.checkpoint import load_training_states
from keisei.training.data_structures import COMPONENT_DEPENDENCIES
from keisei.training.plugin_manager import PluginManager, build_manager
from keisei.utils import plugins as plugin_names
from keisei.utils.plugins import PluginError
from keisei.utils.training_logger import TrainingLogger


def enhanced(root: Path, **given: Any) -> EnhancedTrainer:
    return EnhancedTrainer(tiny_config(root), None, console=screen(), **given)


def test_it_is_a_trainer_that_trains_the_same(tmp_path: Path) -> None:
    plain = trainer_of(tiny_config(tmp_path / "plain"))
    plain.run_training_loop()
    trainer = enhanced(tmp_path / "enhanced")
    assert isinstance(trainer, Trainer) and isinstance(trainer.plugin_manager, PluginManager)
    assert trainer.run_training_loop()
    assert_same_run(trainer, plain)


def test_plugins_of_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "updates", [])
    settings = tiny_config(tmp_path, evaluation=EvaluationConfig(interval=3 * PLIES, games=2))
    plugins = [
        Counting,
        Counting(),
        "plugin_samples:Counting",
        FirstLegal,
        "plugin_samples:Drawing",
    ]
    trainer = EnhancedTrainer(settings, None, plugins, screen())
    assert trainer.run_training_loop()
    assert len(Counting.updates) == 3 * trainer.state.iteration
    line = json.loads(Path(trainer.eval_log_file_path).read_text().splitlines()[0])
    assert list(line["opponents"]) == ["random", "FirstLegal", "plugin_samples:Drawing"]


def test_plugins_by_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("count", "plugin_samples:Counting", "keisei.callbacks"),
        EntryPoint("first", "plugin_samples:FirstLegal", "keisei.opponents"),
        EntryPoint("tiny", "plugin_samples:TinyNetwork", "keisei.networks"),
    ]
    monkeypatch.setattr(
        plugin_names, "entry_points", lambda group: EntryPoints(points).select(group=group)
    )
    manager = PluginManager(["count", "first"])
    assert [type(one) for one in manager.callbacks] == [Counting]
    assert manager.opponents == {"first": FirstLegal}
    assert PluginManager.available() == {
        "keisei.callbacks": ["count"],
        "keisei.networks": ["tiny"],
        "keisei.opponents": ["first"],
    }
    with pytest.raises(PluginError, match=r"plugin 'tiny': a network; expected it in model\.type"):
        PluginManager(["tiny"])
    with pytest.raises(PluginError, match=r"plugin 'nobody': .* \(count, first\)"):
        PluginManager(["nobody"])


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (NeedsMore, r"'NeedsMore': NeedsMore\(\) failed: TypeError"),
        (TinyNetwork, r"'TinyNetwork': expected a callback or a class of callbacks or opponents"),
        (FirstLegal(), r"expected a callback or a class"),
        ("plugin_samples:not_a_class", r"'plugin_samples:not_a_class': expected .*, got 3"),
        ("no_such_module:X", r"no_such_module:X.*cannot be imported"),
    ],
)
def test_what_is_no_plugin_is_named(tmp_path: Path, plugin: Any, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        enhanced(tmp_path / "runs", plugins=[plugin])
    assert not (tmp_path / "runs").exists(), "expected nothing to be made before plugins are known"


class Census:
    """A manager that counts games, made from what it names."""

    def __init__(self, config: AppConfig, model_dir: str, logger: TrainingLogger) -> None:
        self.config, self.model_dir, self.logger = config, model_dir, logger
        self.events: list[Event] = []
        self.games = 0

    def on_start(self, snapshot: Snapshot) -> None:
        self.events.append(snapshot.event)

    def on_game_end(self, snapshot: Snapshot) -> None:
        self.games += len(snapshot.data["games"])

    def on_finish(self, snapshot: Snapshot) -> None:
        self.events.append(snapshot.event)
        self.logger.info("%d games", self.games)


def test_a_manager_of_ones_own(tmp_path: Path) -> None:
    trainer = enhanced(tmp_path)
    census = trainer.register_custom_manager("census", Census)
    assert trainer.census is census is trainer.custom_managers["census"]  # type: ignore[attr-defined]
    assert census.config is trainer.resolved_config and census.model_dir == trainer.model_dir
    assert trainer.run_training_loop()
    assert census.events == [Event.START, Event.FINISH]
    assert census.games == trainer.state.totals["games"] > 0
    assert f"{census.games} games" in Path(trainer.log_file_path).read_text()


def test_a_manager_may_ask_for_all_that_the_trainers_own_get(tmp_path: Path) -> None:
    names = {name for needed in COMPONENT_DEPENDENCIES.values() for name in needed}  # type: ignore[attr-defined]
    text = ", ".join(sorted(names))
    scope: dict[str, Any] = {}
    exec(f"class All:\n    def __init__(self, {text}): self.got = dict(locals())", scope)
    trainer = enhanced(tmp_path)
    got = trainer.register_custom_manager("everything", scope["All"]).got
    assert names <= got.keys()
    assert got["device"] == torch.device("cpu") and got["log_file_path"] == trainer.log_file_path
    assert got["args"] is trainer.args and got["logger"] is trainer.logger


def test_a_failing_manager_is_isolated(tmp_path: Path) -> None:
    class Broken:
        def on_update_end(self, snapshot: Snapshot) -> None:
            raise ValueError("beyond repair")

    trainer = enhanced(tmp_path)
    trainer.register_custom_manager("broken", Broken)
    assert trainer.run_training_loop()
    assert trainer.callback_manager.disabled == ("broken",)


def test_a_manager_that_cannot_be_is_named(tmp_path: Path) -> None:
    trainer = enhanced(tmp_path)

    class Greedy:
        def __init__(self, trainer: Trainer) -> None:
            pass

    class Failing:
        def __init__(self, config: AppConfig) -> None:
            raise ValueError("no such database")

    for name, manager_class, message in (
        (
            "greedy",
            Greedy,
            r"'greedy': .*: expected parameters among args, .*, got 'trainer'",
        ),
        ("failing", Failing, r"'failing': .*\(config\) failed: ValueError: no such database"),
        ("agent", Census, r"'agent': expected a name that is free"),
        ("_x", Census, r"'_x': expected an identifier"),
        ("not one", Census, r"'not one': expected an identifier"),
        ("instance", 3, r"'instance': expected a class, got 3"),
    ):
        with pytest.raises(PluginError, match=f"manager {message}"):
            trainer.register_custom_manager(name, manager_class)  # type: ignore[arg-type]
    trainer.register_custom_manager("census", Census)
    with pytest.raises(PluginError, match="'census': expected a name that is free"):
        trainer.register_custom_manager("census", Census)


def test_defaults_stay_where_the_catalogue_has_nothing() -> None:
    class Some:
        def __init__(self, config: int, *rest: int, limit: int = 3, **more: int) -> None:
            self.got = (config, rest, limit, more)

    assert build_manager("some", Some, {"config": 1, "args": 2}).got == (1, (), 3, {})


def test_nothing_is_registered_while_it_trains(tmp_path: Path) -> None:
    trainer = enhanced(tmp_path)
    raised: list[str] = []

    class Late(Counting):
        def on_update_end(self, snapshot: Snapshot) -> None:
            for change in (
                lambda: trainer.register_custom_manager("late", Census),
                lambda: trainer.enable_distributed_training(2, 0),
            ):
                try:
                    change()
                except RuntimeError as error:
                    raised.append(str(error))

    trainer.callback_manager.add(Late())
    trainer.run_training_loop()
    assert len(raised) == 2 * trainer.state.iteration
    assert "expected a run that is not training" in raised[0]
    with pytest.raises(RuntimeError, match="expected a run that has not begun"):
        trainer.enable_distributed_training(2, 0)


def test_ranks_by_a_call_are_those_of_torchrun(tmp_path: Path) -> None:
    """Two ranks that join by the call end with the bits of two that torchrun's environment made."""
    for way in ("plain", "enhanced"):
        run_well(2, "enhanced.py", tmp_path / way, way)
    runs = [tmp_path / way / "run/checkpoints" for way in ("plain", "enhanced")]
    ends = [list_checkpoints(run)[-1] for run in runs]
    weights, wanted = (load_model(end).weights for end in ends)
    assert all(torch.equal(weights[name], tensor) for name, tensor in wanted.items())
    ours, theirs = (load_training_states(end) for end in ends)
    assert len(ours) == len(theirs) == 2
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.tensors.keys() == other.tensors.keys()
        for name, tensor in other.tensors.items():
            assert torch.equal(mine.tensors[name], tensor), name
    assert [path.name for path in (tmp_path / "enhanced").iterdir()] == ["run"]
    logs = [(tmp_path / way / "run/evaluation.log").read_text() for way in ("plain", "enhanced")]
    steps = [[json.loads(line)["step"] for line in log.splitlines()] for log in logs]
    by_hand = steps[1].pop()
    assert steps[0] == steps[1] and len(steps[0]) == 2, "the first rank evaluates, and it alone"
    assert by_hand >= steps[1][-1]
