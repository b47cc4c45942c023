"""Finding other people's code by name: entry points, and ``module:Class``."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from keisei.config_schema import NETWORKS, ConfigError

CALLBACKS: Final = "keisei.callbacks"
OPPONENTS: Final = "keisei.opponents"
GROUPS: Final = (CALLBACKS, NETWORKS, OPPONENTS)


class PluginError(ConfigError):
    """A plugin that cannot be used; the text names it, what was expected, what came."""


def installed(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name; PluginError if two packages claim one name."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            owners = sorted(p.dist.name if p.dist else "?" for p in (other, point))
            raise PluginError(
                f"plugin {point.name!r}: expected one entry point of that name in {group}, got "
                f"{other.value} and {point.value}, of {' and '.join(owners)}; name the class as "
                "module:Class"
            )
    return found


def load_plugin(group: str, name: str) -> Any:
    """What a name stands for: that of an entry point of ``group``, or ``module:Class``.

    Raises PluginError if there is none such or its module cannot be imported.
    """
    if ":" in name:
        module, _, path = name.partition(":")
        point = EntryPoint(name, f"{module}:{path}", group)
    else:
        points = installed(group)
        if name not in points:
            known = ", ".join(sorted(points)) or "none is installed"
            near = difflib.get_close_matches(name, points, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise PluginError(
                f"plugin {name!r}: expected module:Class or an entry point of {group} ({known})"
                f"{hint}"
            )
        point = points[name]
    try:
        return point.load()
    except AttributeError as error:
        raise PluginError(f"plugin {name!r}: {point.value}: no such name: {error}") from error
    except Exception as error:  # whatever a module may raise while it is imported
        raise PluginError(
            f"plugin {name!r}: {point.value}: cannot be imported: {type(error).__name__}: {error}"
        ) from error


def make_plugin(group: str, name: str, kind: type, **options: Any) -> Any:
    """An instance of the class that a name stands for, built with ``options``.

    Raises PluginError if it is no subclass of ``kind``, or its constructor fails.
    """
    found = load_plugin(group, name)
    if not (isinstance(found, type) and offers(found, kind)):
        raise PluginError(
            f"plugin {name!r}: expected a subclass of {kind.__module__}.{kind.__qualname__}, "
            f"got {found!r}"
        )
    try:
        return found(**options)
    except Exception as error:  # whatever others' constructors may raise
        given = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise PluginError(
            f"plugin {name!r}: {found.__qualname__}({given}) failed: "
            f"{type(error).__name__}: {error}"
        ) from error


def offers(found: type, kind: type) -> bool:
    """Whether a class is a subclass of ``kind`` or, if that is a protocol, has its methods."""
    if not getattr(kind, "_is_protocol", False):
        return issubclass(found, kind)
    methods = [name for name, value in vars(kind).items() if callable(value) and name[0] != "_"]
    return all(callable(getattr(found, name, None)) for name in methods)


def import_modules(names: Iterable[str]) -> None:
    """Imports modules by name; PluginError names the first that cannot be."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a module may raise while it is imported
            raise PluginError(
                f"plugins.modules: {name}: cannot be imported: {type(error).__name__}: {error}"
            ) from error
