"""Plugins are found by name, and what cannot be used is named."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from plugin_samples import Counting, FirstLegal

from keisei.evaluation.opponents import Opponent
from keisei.training.callbacks import Callback
from keisei.utils import plugins
from keisei.utils.plugins import (
    CALLBACKS,
    OPPONENTS,
    PluginError,
    import_modules,
    installed,
    load_plugin,
    make_plugin,
)


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    points: list[EntryPoint] = []
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: EntryPoints(points).select(group=group)
    )
    return points


def test_a_class_by_its_module() -> None:
    assert load_plugin(CALLBACKS, "plugin_samples:Counting") is Counting
    assert isinstance(make_plugin(CALLBACKS, "plugin_samples:Counting", Callback), Counting)
    assert isinstance(make_plugin(OPPONENTS, "plugin_samples:FirstLegal", Opponent), FirstLegal)


def test_a_class_by_its_entry_point(entry_points: list[EntryPoint]) -> None:
    entry_points.append(EntryPoint("count", "plugin_samples:Counting", CALLBACKS))
    entry_points.append(EntryPoint("count", "plugin_samples:FirstLegal", OPPONENTS))
    assert load_plugin(CALLBACKS, "count") is Counting
    assert load_plugin(OPPONENTS, "count") is FirstLegal
    assert list(installed(CALLBACKS)) == ["count"]


def test_the_nearest_entry_point_is_suggested(entry_points: list[EntryPoint]) -> None:
    entry_points.append(EntryPoint("count", "plugin_samples:Counting", CALLBACKS))
    with pytest.raises(PluginError, match=r"callbacks \(count\); did you mean count\?$"):
        load_plugin(CALLBACKS, "cuont")
    with pytest.raises(PluginError, match=r"callbacks \(count\)$"):
        load_plugin(CALLBACKS, "nobody")


def test_two_packages_with_one_name(entry_points: list[EntryPoint]) -> None:
    entry_points.append(EntryPoint("count", "plugin_samples:Counting", CALLBACKS))
    entry_points.append(EntryPoint("count", "plugin_samples:Counting", CALLBACKS))
    assert load_plugin(CALLBACKS, "count") is Counting, "the same class twice is no conflict"
    entry_points.append(EntryPoint("count", "plugin_samples:NeedsMore", CALLBACKS))
    with pytest.raises(PluginError, match=r"plugin 'count': .*samples:Counting and .*NeedsMore"):
        load_plugin(CALLBACKS, "count")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nobody",
            r"plugin 'nobody': expected module:Class or an entry point of keisei\.callbacks",
        ),
        ("no_such_module:X", r"plugin 'no_such_module:X': .*ModuleNotFoundError: No module named"),
        ("plugin_samples:X", r"plugin 'plugin_samples:X': plugin_samples:X: no such name: .*'X'"),
        (
            "plugin_samples:FirstLegal",
            r"expected a subclass of .*Callback, got <class .*FirstLegal",
        ),
        ("plugin_samples:not_a_class", r"expected a subclass of .*callbacks\.Callback, got 3"),
        ("plugin_samples:NeedsMore", r"NeedsMore\(\) failed: TypeError: .*'path'"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        make_plugin(CALLBACKS, name, Callback)


def test_an_opponent_must_have_the_protocols_methods() -> None:
    with pytest.raises(PluginError, match=r"plugin .*Counting': expected a subclass of .*Opponent"):
        make_plugin(OPPONENTS, "plugin_samples:Counting", Opponent)


def test_modules_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "left_a_mark.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\n")
    (tmp_path / "is_broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import_modules(["left_a_mark"])
    assert (tmp_path / "mark").exists()
    with pytest.raises(PluginError, match=r"plugins\.modules: is_broken: .*ZeroDivisionError"):
        import_modules(["is_broken"])
