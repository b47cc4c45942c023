"""Every key of the configuration is read somewhere: a key that nothing reads is a broken promise.

Static: attribute reads in the sources, on something that is known to be that section. What is known
follows from annotations, assignments and the return types of functions.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from keisei.config_schema import AppConfig, sections

PACKAGE = Path(__file__).parent.parent / "keisei"
# These hold the schema and the sources of values: what they do with a key is not yet its use.
NOT_USERS = {"config_schema.py", "config_sources.py"}
APP = "AppConfig"
CLASSES = {APP: ""} | {model.__name__: name for name, model in sections().items()}


class Types:
    """Which sections ("" for the whole) names, attributes and functions may stand for."""

    def __init__(self) -> None:
        self.names: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.attributes: dict[str, set[str]] = defaultdict(set)
        self.functions: dict[str, set[str]] = defaultdict(set)
        # Of functions that return a tuple, by the place in it.
        self.parts: dict[tuple[str, int], set[str]] = defaultdict(set)

    def of(self, file: str, node: ast.AST) -> set[str]:
        if isinstance(node, ast.Name):
            return self.names[file, node.id]
        if isinstance(node, ast.Attribute):
            found = set(self.attributes[node.attr])
            if "" in self.of(file, node.value) and node.attr in CLASSES.values():
                found.add(node.attr)
            return found
        if isinstance(node, ast.Call):
            return self.functions[called(node)]
        return set()

    def bind(self, file: str, target: ast.AST, kinds: Iterable[str]) -> None:
        if isinstance(target, ast.Name):
            self.names[file, target.id] |= set(kinds)
        elif isinstance(target, ast.Attribute):
            self.attributes[target.attr] |= set(kinds)

    def size(self) -> int:
        tables = (self.names, self.attributes, self.functions, self.parts)
        return sum(len(kinds) for table in tables for kinds in table.values())


def called(node: ast.Call) -> str:
    """The last part of the name of what is called, or nothing."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def annotated(annotation: ast.AST | None) -> set[str]:
    if annotation is None:
        return set()
    words = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    words |= {node.attr for node in ast.walk(annotation) if isinstance(node, ast.Attribute)}
    return {CLASSES[word] for word in words & CLASSES.keys()}


def learn(types: Types, file: str, tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if isinstance(node.returns, ast.Subscript) and isinstance(
                node.returns.slice, ast.Tuple
            ):
                for place, item in enumerate(node.returns.slice.elts):
                    types.parts[node.name, place] |= annotated(item)
            else:
                types.functions[node.name] |= annotated(node.returns)
            if any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list):
                types.attributes[node.name] |= annotated(node.returns)
            arguments = node.args
            for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                types.names[file, argument.arg] |= annotated(argument.annotation)
        elif isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    types.attributes[item.target.id] |= annotated(item.annotation)
        elif isinstance(node, ast.AnnAssign):
            types.bind(file, node.target, annotated(node.annotation))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    for one, value in zip(target.elts, node.value.elts, strict=False):
                        types.bind(file, one, types.of(file, value))
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Call):
                    for place, one in enumerate(target.elts):
                        types.bind(file, one, types.parts[called(node.value), place])
                else:
                    types.bind(file, target, types.of(file, node.value))


def reads(sources: dict[str, str]) -> set[str]:
    """The keys, as section.key, that the sources read."""
    trees = {file: ast.parse(text) for file, text in sources.items()}
    types, size = Types(), -1
    while types.size() != size:
        size = types.size()
        for file, tree in trees.items():
            learn(types, file, tree)
    keys = {section: set(model.model_fields) for section, model in sections().items()}
    return {
        f"{section}.{node.attr}"
        for file, tree in trees.items()
        if file not in NOT_USERS
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
        for section in types.of(file, node.value)
        if section and node.attr in keys[section]
    }


ALL = [f"{section}.{key}" for section, model in sections().items() for key in model.model_fields]


@pytest.fixture(scope="module")
def read_in_the_package() -> set[str]:
    return reads(
        {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}
    )


@pytest.mark.parametrize("key", ALL)
def test_every_key_is_read(key: str, read_in_the_package: set[str]) -> None:
    assert key in read_in_the_package, f"nothing in keisei/ reads {key}: use it or remove it"


def test_every_section_is_one_of_the_schema() -> None:
    assert set(AppConfig.model_fields) == set(CLASSES.values()) - {""}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(config: AppConfig): return config.env.num_games", {"env.num_games"}),
        ("def f(config: 'int'): return config.env.num_games", set()),
        ("def f(config: AppConfig): config.env.num_games = 3", set()),
        ("def f(env): return env.num_games", set()),
        ("import logging\nlogging.log_level", set()),
        ("def f(e: EnvConfig | None): return e.max_plies", {"env.max_plies"}),
        (
            "class A:\n  def __init__(self, c: TrainingConfig): self.c = c\n"
            "  def f(self): return self.c.gamma",
            {"training.gamma"},
        ),
        (
            "def f(c: AppConfig):\n  t, m = c.training, c.model\n  return t.seed, m.type, m.seed",
            {"training.seed", "model.type"},
        ),
        ("class A:\n  app: AppConfig\ndef f(a): return a.app.model.type", {"model.type"}),
        (
            "def load() -> AppConfig: ...\nwhole = load()\nprint(whole.logging.run_name)",
            {"logging.run_name"},
        ),
        (
            "class A:\n  def settle(self) -> tuple[int, AppConfig]: ...\n"
            "  def f(self):\n    self.n, self.c = self.settle()\n"
            "    return self.c.env.num_games, self.n.env.max_plies",
            {"env.num_games"},
        ),
        ("def f(config: AppConfig): return getattr(config.env, 'num_games')", set()),
    ],
)
def test_what_counts_as_reading(source: str, expected: set[str]) -> None:
    assert reads({"file.py": source}) == expected


def test_the_schema_itself_is_no_user() -> None:
    schema = "def resolve(c: AppConfig) -> AppConfig:\n  c.env.max_plies\n  return c"
    user = "settled = resolve(3)\nsettled.training.seed"
    assert reads({"config_schema.py": schema, "user.py": user}) == {"training.seed"}


def test_knowledge_crosses_files() -> None:
    agent = "class Agent:\n  def __init__(self, config: TrainingConfig): self.config = config"
    user = "def f(agent): return agent.config.gae_lambda"
    assert reads({"agent.py": agent}) == set()
    assert reads({"agent.py": agent, "user.py": user}) == {"training.gae_lambda"}
