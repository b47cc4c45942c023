"""The managers are a house: each stands alone, and only the trainer knows them all."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest

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
