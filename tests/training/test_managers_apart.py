"""The managers are a house: each stands alone, and only the trainer knows them all."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_helpers import PLIES, tiny_config, trainer_of

from keisei.config_schema import EvaluationConfig
from keisei.training import trainer
from keisei.training.data_structures import COMPONENT_DEPENDENCIES, ComponentDependencies

FOLDER = Path(trainer.__file__).parent
MANAGERS = sorted(path.stem for path in FOLDER.glob("*_manager.py"))
SPECIFIED = {
    "session_manager", "display_manager", "model_manager", "env_manager", "metrics_manager",
    "callback_manager", "setup_manager", "step_manager", "training_loop_manager",
}  # fmt: skip


def class_name(module: str) -> str:
    return "".join(part.capitalize() for part in module.split("_"))


def imports_of(module: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse((FOLDER / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
            found.add(str(node.module))
    return found


def test_each_manager_has_a_file_of_its_own() -> None:
    assert set(MANAGERS) >= SPECIFIED
    for module in SPECIFIED:
        loaded = importlib.import_module(f"keisei.training.{module}")
        assert inspect.isclass(getattr(loaded, class_name(module)))


@pytest.mark.parametrize("module", MANAGERS)
def test_no_manager_imports_another_or_the_trainer(module: str) -> None:
    others = {f"keisei.training.{other}" for other in MANAGERS if other != module}
    forbidden = others | {"keisei.training.trainer", "keisei.training.Trainer"}
    assert not imports_of(module) & forbidden


@pytest.mark.parametrize("module", MANAGERS)
def test_no_manager_receives_the_trainer(module: str) -> None:
    tree = ast.parse((FOLDER / f"{module}.py").read_text())
    names = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"trainer", "Trainer"}


def test_constructors_take_what_is_specified() -> None:
    assert set(COMPONENT_DEPENDENCIES) == set(ComponentDependencies.__annotations__)
    for module, expected in COMPONENT_DEPENDENCIES.items():
        loaded = importlib.import_module(f"keisei.training.{module}")
        parameters = inspect.signature(getattr(loaded, class_name(module))).parameters
        given = [name for name, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
        assert given == expected, f"{class_name(module)}: what it is made from"
        for name, parameter in parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                assert parameter.default is not parameter.empty, f"{module}: {name}: no default"


def test_the_trainer_wires_each_of_them() -> None:
    imported = imports_of("trainer")
    missing = {m for m in SPECIFIED if f"keisei.training.{m}.{class_name(m)}" not in imported}
    assert not missing


PARTS = (*sorted(SPECIFIED), "evaluator", "resource_monitor")


def reached_from(start: object, path: str) -> Iterator[tuple[str, object]]:
    """Everything of keisei that hangs on ``start``: attributes, items, closures, ``__self__``."""
    seen: set[int] = set()
    waiting = [(path, start)]
    while waiting:
        path, found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield path, found
        parts: dict[str, object] = {}
        if isinstance(found, functools.partial):
            parts = {"func": found.func, **{f"args[{i}]": a for i, a in enumerate(found.args)}}
            parts |= found.keywords
        elif isinstance(found, types.MethodType):
            parts = {"__self__": found.__self__}
        elif isinstance(found, types.FunctionType):
            cells = zip(found.__code__.co_freevars, found.__closure__ or (), strict=True)
            parts = {name: cell.cell_contents for name, cell in cells}
        elif isinstance(found, dict):
            parts = {f"[{key!r}]": value for key, value in found.items()}
        elif isinstance(found, list | tuple):
            parts = {f"[{i}]": value for i, value in enumerate(found)}
        elif type(found).__module__.startswith("keisei.training"):
            parts = dict(getattr(found, "__dict__", {}))
        waiting += [(f"{path}.{name}", value) for name, value in parts.items()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> trainer.Trainer:
    evaluation = EvaluationConfig(interval=PLIES, games=2)
    return trainer_of(tiny_config(tmp_path_factory.mktemp("built"), evaluation=evaluation))


@pytest.mark.parametrize("part", PARTS)
def test_no_part_holds_the_trainer_by_whatever_it_was_handed(
    built: trainer.Trainer, part: str
) -> None:
    for path, found in reached_from(getattr(built, part), part):
        assert not isinstance(found, trainer.Trainer), f"{path} is the trainer"


def test_a_trainer_in_a_closure_would_be_found(built: trainer.Trainer) -> None:
    def closure() -> object:
        return built

    for handed in (closure, functools.partial(closure), built.run_training_loop, [{1: closure}]):
        assert any(found is built for _, found in reached_from(handed, "handed"))
