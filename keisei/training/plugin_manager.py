"""What a trainer takes in beside its configuration: callbacks, opponents, managers of others."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from keisei.config_schema import NETWORKS
from keisei.evaluation.opponents import Opponent
from keisei.training.callbacks import Callback, Event
from keisei.utils.plugins import (
    CALLBACKS,
    GROUPS,
    OPPONENTS,
    PluginError,
    installed,
    load_plugin,
    offers,
)

Plugin = str | type | Callback


class PluginManager:
    """The plugins given to a trainer, told apart by what they are.

    Args:
        plugins: Callbacks, or classes of callbacks or opponents; or the names of such classes,
            ``module:Class`` or an entry point of keisei.callbacks or keisei.opponents. A network is
            named in ``model.type``, where the checkpoints of a run tell of it.

    Raises:
        PluginError: One is none of these, or cannot be built.
    """

    def __init__(self, plugins: Iterable[Plugin] | None = None) -> None:
        self.callbacks: list[Callback] = []
        self.opponents: dict[str, type[Opponent]] = {}
        for plugin in plugins or ():
            self._take(plugin)

    @staticmethod
    def available() -> dict[str, list[str]]:
        """The names of the installed entry points, by group; nothing is imported."""
        return {group: sorted(installed(group)) for group in GROUPS}

    def _take(self, plugin: Plugin) -> None:
        name = plugin if isinstance(plugin, str) else getattr(plugin, "__qualname__", repr(plugin))
        found: Any = _by_name(plugin) if isinstance(plugin, str) else plugin
        if isinstance(found, Callback):
            self.callbacks.append(found)
        elif isinstance(found, type) and issubclass(found, Callback):
            self.callbacks.append(_made(name, found))
        elif isinstance(found, type) and offers(found, Opponent):
            if name in self.opponents:
                raise PluginError(f"plugin {name!r}: expected each opponent once, got it twice")
            _made(name, found)  # each evaluation makes its own; can it be made?
            self.opponents[name] = found
        else:
            raise PluginError(
                f"plugin {name!r}: expected a callback or a class of callbacks or opponents "
                f"(networks are named in model.type), got {found!r}"
            )


def _made(name: str, found: type) -> Any:
    try:
        return found()
    except Exception as error:  # whatever others' constructors may raise
        raise PluginError(
            f"plugin {name!r}: {found.__qualname__}() failed: {type(error).__name__}: {error}"
        ) from error


def _by_name(name: str) -> Any:
    if ":" in name:
        return load_plugin(CALLBACKS, name)
    for group in (CALLBACKS, OPPONENTS):
        if name in installed(group):
            return load_plugin(group, name)
    if name in installed(NETWORKS):
        raise PluginError(f"plugin {name!r}: a network; expected it in model.type")
    known = ", ".join(sorted({*installed(CALLBACKS), *installed(OPPONENTS)})) or "none is installed"
    raise PluginError(
        f"plugin {name!r}: expected module:Class or an entry point of {CALLBACKS} or {OPPONENTS} "
        f"({known})"
    )


def build_manager(name: str, manager_class: type, catalogue: Mapping[str, Any]) -> Any:
    """An instance of ``manager_class`` with what its constructor names, taken from ``catalogue``.

    Parameters with defaults that the catalogue does not have keep them. Raises PluginError if a
    parameter without one is not in the catalogue, or the constructor fails.
    """
    if not isinstance(manager_class, type):
        raise PluginError(f"manager {name!r}: expected a class, got {manager_class!r}")
    given: dict[str, Any] = {}
    for parameter in inspect.signature(manager_class).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in catalogue and parameter.kind is not parameter.POSITIONAL_ONLY:
            given[parameter.name] = catalogue[parameter.name]
        elif parameter.default is parameter.empty:
            raise PluginError(
                f"manager {name!r}: {manager_class.__qualname__}: expected parameters among "
                f"{', '.join(sorted(catalogue))}, got {parameter.name!r}"
            )
    try:
        return manager_class(**given)
    except Exception as error:  # whatever others' constructors may raise
        raise PluginError(
            f"manager {name!r}: {manager_class.__qualname__}({', '.join(given)}) failed: "
            f"{type(error).__name__}: {error}"
        ) from error


class ManagerCallback(Callback):
    """Hands the events of a run to a manager that has methods for them, named as a callback's."""

    def __init__(self, name: str, manager: Any) -> None:
        self.name = name
        self.every_rank = bool(getattr(manager, "every_rank", False))
        self.order = getattr(manager, "order", 0)
        self.schedule = getattr(manager, "schedule", None)
        for event in Event:
            method = getattr(manager, f"on_{event.value}", None)
            if callable(method):
                setattr(self, f"on_{event.value}", method)
