"""Each field of the schema, given wrongly by each source: the error names place and key."""

from __future__ import annotations

import tempfile
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from keisei import train
from keisei.config_schema import AppConfig, ConfigError, config_from_dict, load_config, sections

FIELDS = [(section, key) for section, model in sections().items() for key in model.model_fields]
WRONG = "[[1]]"  # no field takes a list of lists


def refused_at(path: Path | None, environment: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment=environment)
    return str(caught.value)


@pytest.mark.parametrize(("section", "key"), FIELDS)
def test_a_wrong_type_is_named_whatever_gave_it(section: str, key: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"# one\n{section}:\n\n  {key}: {WRONG}\n")
    name = f"{section}.{key}"
    assert refused_at(path, {}).startswith(f"{path}:4: {name}")
    variable = f"KEISEI_{section}__{key}".upper()
    assert refused_at(None, {variable: WRONG}).startswith(f"{variable}: {name}")
    option = f"--{section}.{key}".replace("_", "-")
    with pytest.raises(ConfigError) as caught:
        train.parse_arguments([option, WRONG])
    assert str(caught.value).startswith(f"{option}: {name}")
    assert "expected" in str(caught.value) and "got [1]" in str(caught.value).replace("[[", "[")


def numbers(annotation: Any, outer: tuple[Any, ...]) -> Iterator[tuple[type, dict[str, float]]]:
    """The numbers that a field may be: their type and their bounds."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inner, *more = typing.get_args(annotation)
        parts = [item for part in more for item in getattr(part, "metadata", [part])]
        yield from numbers(inner, (*outer, *parts))
    elif origin in (types.UnionType, typing.Union):
        for arm in typing.get_args(annotation):
            yield from numbers(arm, outer)
    elif annotation in (int, float):
        names = ("gt", "ge", "lt", "le")
        yield (
            annotation,
            {name: getattr(part, name) for part in outer for name in names if hasattr(part, name)},
        )


def beyond() -> Iterator[tuple[str, str, float]]:
    """A number past each bound of each field, and what is no number for each of them."""
    for section, key in FIELDS:
        info = sections()[section].model_fields[key]
        for kind, bounds in numbers(info.annotation, tuple(info.metadata)):
            for name, bound in bounds.items():
                step = {"gt": 0, "lt": 0, "ge": -1, "le": 1}[name]
                yield section, key, kind(bound + step)
            if kind is float:
                yield section, key, float("nan")
                yield section, key, float("inf")
            else:
                yield section, key, 1.5


@pytest.mark.parametrize(("section", "key", "value"), list(beyond()))
def test_a_number_out_of_bounds_is_refused(section: str, key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^here: {section}\.{key}: expected "):
        config_from_dict({section: {key: value}}, "here")


def test_every_number_has_bounds() -> None:
    for section, key in FIELDS:
        info = sections()[section].model_fields[key]
        for kind, bounds in numbers(info.annotation, tuple(info.metadata)):
            assert {"gt", "ge"} & bounds.keys(), f"{section}.{key} has no lower bound"
            if kind is int:
                upper = bounds.get("le", bounds.get("lt", 2**64))
                assert upper < 2**63, f"{section}.{key} has no upper bound"


@st.composite
def configurations(draw: st.DrawFn) -> AppConfig:
    """Configurations with numbers, words and switches of every kind drawn."""
    values: dict[str, dict[str, Any]] = {}
    for section, key in FIELDS:
        model: type[BaseModel] = sections()[section]
        info = model.model_fields[key]
        kinds = list(numbers(info.annotation, tuple(info.metadata)))
        if kinds and not draw(st.booleans()):
            kind, bounds = kinds[0]
            if kind is int:
                low = int(bounds.get("ge", bounds.get("gt", 0) + 1))
                high = bounds["le"] if "le" in bounds else bounds["lt"] - 1
                value: Any = draw(st.integers(low, int(high)))
            else:
                low_open, high_open = "gt" in bounds, "lt" in bounds
                value = draw(
                    st.floats(
                        bounds.get("gt", bounds.get("ge")),
                        bounds.get("lt", bounds.get("le", 1e300)),
                        exclude_min=low_open,
                        exclude_max=high_open,
                    )
                )
            values.setdefault(section, {})[key] = value
        elif info.annotation is bool:
            values.setdefault(section, {})[key] = draw(st.booleans())
    values.get("training", {}).pop("lr_warmup", None)  # judged together with the total
    return config_from_dict(values, "drawn")


@settings(deadline=None)
@given(configurations())
def test_what_is_written_as_yaml_is_read_again(config: AppConfig) -> None:
    """Every number to its last bit, through the file's text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"  # a stored one: it gives every key
        path.write_text(yaml.safe_dump(config.model_dump()))
        assert load_config(path, environment={}) == config
        path.write_text(config.model_dump_json())
        assert load_config(path, environment={}) == config
