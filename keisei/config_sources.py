"""Where settings are read: YAML files, ``KEISEI_*`` variables, the command line.

Each source gives a layer: section -> key -> value, each value with the place it stands at, so that
an error can name it. Which sections and keys there are is the caller's: a pydantic model of models.
The command line is read here too, not by a library that fills the models in itself, because then
one place judges a value wherever it comes from, and says the same of it.
"""

from __future__ import annotations

import argparse
import difflib
import re
import reprlib
import types
import typing
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

ENVIRONMENT_PREFIX = "KEISEI_"
# Short names that exist beside the general form KEISEI_<SECTION>__<KEY>.
ENVIRONMENT_ALIASES = {"KEISEI_LOG_LEVEL": ("logging", "log_level")}
# Names that are no settings: the build's options, and what tests and benchmarks read.
ENVIRONMENT_FOREIGN = frozenset(
    f"{ENVIRONMENT_PREFIX}{name}"
    for name in (
        "BUILD_CORE",
        "BUILD_ENGINE",
        "BUILD_OPS",
        "COMMIT",
        "CUDA",
        "CUDA_COMPILE_ONLY",
        "FUZZ",
        "MARCH",
        "PLAY",
        "SANITIZE",
        "SEARCH_CHECK",
        "SEARCH_ONLY",
        "WERROR",
    )
)


class ConfigError(ValueError):
    """A configuration that cannot be used; the text names place, key, expected and got."""


@dataclass(frozen=True)
class Setting:
    """A value, and where it stands: ``config.yaml:3``, a variable's name, an option."""

    value: Any
    place: str
    # Of a list's items and a mapping's values: their places, by path below this one.
    places: Mapping[tuple[Any, ...], str] = field(default_factory=dict)

    def place_of(self, path: tuple[Any, ...]) -> str:
        """The place of what lies at ``path`` in the value, or of the nearest thing around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.place)


Layer = dict[str, dict[str, Setting]]
Sections = Mapping[str, type[BaseModel]]

_shown = reprlib.Repr()
_shown.maxstring = _shown.maxother = 80


def show(value: object) -> str:
    """The value as an error quotes it: short, whatever it is."""
    return _shown.repr(value)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's reading of scalars where 1.1 surprises: ``3e-4`` is a number, ``on`` a word.

    A date is a word, ``010`` is ten, ``none`` is null. A key that stands twice in one mapping is an
    error.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, f"key: expected a word, got {show(key)}", key_node.start_mark
                )
            if key in mapping:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", key_node.start_mark
                )
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping


def _number(loader: _Loader, node: yaml.ScalarNode) -> int:
    digits = str(node.value).replace("_", "")
    try:
        return int(digits, 0 if re.match(r"[-+]?0[xob]", digits) else 10)
    except ValueError as error:  # Python reads no more than some thousand digits
        raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


def _prepare_loader() -> None:
    tag = "tag:yaml.org,2002:"
    _Loader.yaml_implicit_resolvers = {}
    for kind, pattern, first in (
        ("null", r"~|null|Null|NULL|none|None|NONE|", [*"~nN", ""]),
        ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
        (
            "int",
            r"[-+]?(?:[0-9][0-9_]*|0x_*[0-9a-fA-F][0-9a-fA-F_]*|0o_*[0-7][0-7_]*|0b_*[01][01_]*)",
            [*"-+0123456789"],
        ),
        (
            "float",
            r"[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?"
            r"|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))",
            [*"-+0123456789."],
        ),
    ):
        _Loader.add_implicit_resolver(tag + kind, re.compile(f"^(?:{pattern})$"), first)
    _Loader.add_constructor(tag + "int", _number)
    _Loader.add_constructor(
        tag + "float",
        lambda loader, node: float(re.sub(r"\.(?=inf|nan)", "", str(node.value).lower())),
    )


_prepare_loader()


def _read_text(text: str, info: FieldInfo | None = None) -> Any:
    """A value of a variable or an option, which is YAML; ValueError if it is not.

    Where only text may stand, what YAML takes for a number is text as well.
    """
    wordy = info is not None and {kind for kind, _ in _arms(info.annotation)} <= {str, type(None)}
    try:
        value = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if wordy:
            return text
        raise ValueError(f"not a YAML value: {show(text)}") from error
    return text if wordy and isinstance(value, bool | int | float) else value


def _places(node: yaml.Node, source: str, depth: int) -> Iterator[tuple[tuple[Any, ...], str]]:
    """The path and the place of each thing down to ``depth`` levels: of a key, of a list's item."""
    if depth == 0:
        return
    children: list[tuple[Any, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        children = [(key.value, key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        children = [(index, item, item) for index, item in enumerate(node.value)]
    for name, at, below in children:
        yield (name,), f"{source}:{at.start_mark.line + 1}"
        for path, place in _places(below, source, depth - 1):
            yield (name, *path), place


def read_yaml(path: Path, sections: Sections) -> Layer:
    """The settings of a YAML (or JSON) file; ConfigError if it has what ``sections`` do not."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        values = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark is not None else f"{path}"
        because = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(f"{place}: not YAML: {because}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.reason}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    places = dict(_places(node, str(path), 4)) if node is not None else {}
    return make_layer(values, str(path), sections, places)


def make_layer(
    values: object,
    source: str,
    sections: Sections,
    places: Mapping[tuple[Any, ...], str] | None = None,
) -> Layer:
    """Plain values as a layer; ConfigError names each section and key that is not known."""
    places = places or {}
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: expected a mapping of sections, got {type(values).__name__}")
    layer: Layer = {}
    faults: list[str] = []
    for section, keys in values.items():
        place = places.get((str(section),), source)
        if section not in sections:
            faults.append(f"{place}: {section}: unknown section; {_one_of(section, sections)}")
            continue
        if keys is None and places:  # a section of which every key is commented out
            continue
        if not isinstance(keys, dict):
            faults.append(f"{place}: {section}: expected a mapping of keys, got {show(keys)}")
            continue
        known = sections[section].model_fields
        layer[section] = {}
        for key, value in keys.items():
            place = places.get((section, str(key)), source)
            if key not in known:
                faults.append(
                    f"{place}: {section}.{key}: unknown key; {_one_of(key, known)}, "
                    f"got {show(value)}"
                )
                continue
            below = {
                path[2:]: where for path, where in places.items() if path[:2] == (section, key)
            }
            layer[section][key] = Setting(value, place, below)
    if faults:
        raise ConfigError("\n".join(faults))
    return layer


def _one_of(name: object, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}expected one of {', '.join(known)}"


def _variables(sections: Sections) -> list[str]:
    """Every variable that may stand in the environment."""
    return [
        *ENVIRONMENT_ALIASES,
        *sorted(ENVIRONMENT_FOREIGN),
        *(
            f"{ENVIRONMENT_PREFIX}{section}__{key}".upper()
            for section, model in sections.items()
            for key in model.model_fields
        ),
    ]


def read_environment(environment: Mapping[str, str], sections: Sections) -> Layer:
    """KEISEI_TRAINING__BATCH_SIZE=256 sets training.batch_size; values are read as YAML.

    A KEISEI_ name that is neither a setting nor one of ``ENVIRONMENT_FOREIGN`` is an error.
    """
    layer: Layer = {}
    faults: list[str] = []
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in ENVIRONMENT_FOREIGN:
            continue
        section, separator, key = name[len(ENVIRONMENT_PREFIX) :].lower().partition("__")
        if name in ENVIRONMENT_ALIASES:
            section, key = ENVIRONMENT_ALIASES[name]
        elif not separator:
            near = difflib.get_close_matches(name, _variables(sections), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            faults.append(
                f"{name}: expected {ENVIRONMENT_PREFIX}<SECTION>__<KEY> (two underscores){hint}"
            )
            continue
        info = sections[section].model_fields.get(key) if section in sections else None
        try:
            value = _read_text(environment[name], info)
            read = make_layer({section: {key: value}}, name, sections)
        except ConfigError as error:
            faults.append(str(error))
        except ValueError as error:
            faults.append(f"{name}: {error}")
        else:
            # The general form wins over a short name.
            if name not in ENVIRONMENT_ALIASES or key not in layer.get(section, {}):
                layer.setdefault(section, {}).update(read[section])
    if faults:
        raise ConfigError("\n".join(faults))
    return layer


def _arms(annotation: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The types a value may have, each with its bounds."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inner, *extra = typing.get_args(annotation)
        bounds = [item for part in extra for item in (getattr(part, "metadata", None) or [part])]
        for kind, more in _arms(inner):
            yield kind, (*bounds, *more)
    elif origin in (types.UnionType, typing.Union):
        for part in typing.get_args(annotation):
            yield from _arms(part)
    else:
        yield annotation, ()


def _words(info: FieldInfo) -> tuple[list[str], list[str]]:
    """What may be given, in words, and the bounds of its numbers."""
    names = {bool: "true|false", int: "INTEGER", float: "NUMBER", str: "TEXT"}
    words: list[str] = []
    bounds: list[str] = []
    for kind, more in _arms(info.annotation):
        origin = typing.get_origin(kind)
        if origin is Literal:
            words += map(str, typing.get_args(kind))
        elif origin is list:
            words.append("NAME")
        elif origin is dict:
            words.append("{KEY: VALUE}")
        else:
            words.append(names.get(kind, "none"))
        for bound in (*info.metadata, *more):
            for name, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
                if hasattr(bound, name):
                    bounds.append(f"{sign} {getattr(bound, name):g}")
    return words, list(dict.fromkeys(bounds))


def _shown_default(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value or isinstance(value, int | float) else "empty"


class Parser(argparse.ArgumentParser):
    """Raises ConfigError for a command line that cannot be used, and names the option."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=8),
            **settings,
        )

    def error(self, message: str) -> NoReturn:
        """As argparse words it: ``argument --training.seed: expected one argument``."""
        raise ConfigError(message.removeprefix("argument "))

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The options of ``argv``; underscores in their names are hyphens."""
        options = [_hyphenated(word) for word in argv]
        namespace, unknown = self.parse_known_args(options)
        if unknown:
            name = unknown[0].partition("=")[0]
            if not name.startswith("-"):
                raise ConfigError(
                    f"{show(name)}: expected an option before it, --config for a file of settings"
                )
            near = difflib.get_close_matches(name, self._option_string_actions, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; --help lists them"
            raise ConfigError(f"{name}: unknown option{hint}")
        return namespace


def _hyphenated(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def option_name(section: str, key: str) -> str:
    """The command-line option of a key."""
    return f"--{section}.{key}".replace("_", "-")


def add_options(parser: argparse.ArgumentParser, sections: Sections) -> None:
    """An option for every key, with what may be given, its meaning and its default."""
    for section, model in sections.items():
        group = parser.add_argument_group(section, model.__doc__)
        for key, info in model.model_fields.items():
            words, bounds = _words(info)
            meaning = " ".join((info.description or "").split())
            default = info.get_default(call_default_factory=True)
            limits = f"{', '.join(bounds)}; " if bounds else ""
            several = typing.get_origin(info.annotation) is list
            switch = any(kind is bool for kind, _ in _arms(info.annotation))
            group.add_argument(
                option_name(section, key),
                dest=f"{section}.{key}",
                metavar="|".join(words),
                nargs="*" if several else "?" if switch else None,
                const="true" if switch else None,
                default=argparse.SUPPRESS,
                help=f"{meaning} ({limits}default: {_shown_default(default)})".replace("%", "%%"),
            )


def read_options(namespace: argparse.Namespace, sections: Sections) -> Layer:
    """The settings among the options that were given."""
    layer: Layer = {}
    for section, model in sections.items():
        for key, info in model.model_fields.items():
            given = getattr(namespace, f"{section}.{key}", None)
            if given is None:
                continue
            option = option_name(section, key)
            try:
                if isinstance(given, list):
                    value = [_read_text(item) for item in given]
                    if len(value) == 1 and isinstance(value[0], list):
                        value = value[0]
                else:
                    value = _read_text(given, info)
            except ValueError as error:
                raise ConfigError(f"{option}: {error}") from error
            layer.setdefault(section, {})[key] = Setting(value, option)
    return layer
