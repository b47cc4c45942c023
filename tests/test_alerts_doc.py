"""docs/alerts.md: its rules are read, its table is that of the built-in ones, its error is real."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keisei.config_schema import ConfigError, load_config
from keisei.training.alerts import DISABLED, FAILURE, Alert
from keisei.utils.alert_rules import (
    ABSENT,
    BUILT_IN,
    FORM,
    HISTORY,
    LEAST_HISTORY,
    settled_rules,
)

TEXT = (Path(__file__).parent.parent / "docs" / "alerts.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_the_example_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    (text,) = blocks("yaml")
    path.write_text(text)
    alerts = load_config(path, environment={}).alerts
    names = {rule.name for rule in settled_rules(alerts.rules)}
    assert names == (BUILT_IN.keys() | {"weaker", "memory"}) - {"slow"}


def test_the_form_is_what_errors_say() -> None:
    form, _ = blocks("text")
    assert " or ".join(form.splitlines()) == FORM


def test_the_error_is_the_one_that_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("alerts:\n  rules:\n    low: learn.entropy under 3\n")
    with pytest.raises(ConfigError) as caught:
        load_config("mine.yaml", environment={})
    assert str(caught.value) == blocks("text")[1].strip()


def test_the_table_is_that_of_the_built_in_rules() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| `([^`]+)`", TEXT, re.MULTILINE)
    assert dict(rows) == dict(BUILT_IN)


def test_the_variables_are_those_of_the_command() -> None:
    alert = Alert(FAILURE, True, "", "", "", None, 0, 0, Path())
    assert set(re.findall(r"`(ALERT_\w+)`", TEXT)) == alert.facts().keys()
    assert f"`{FAILURE}`" in TEXT and f"`{DISABLED}`" in TEXT


def test_the_numbers_are_those_of_the_rules() -> None:
    assert f"after {ABSENT} records without the metric" in TEXT
    assert f"the metric's last {HISTORY} values" in TEXT
    assert f"before there are {LEAST_HISTORY} " in TEXT
