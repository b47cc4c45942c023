"""The page of any run is whole, says what there is, and lets nothing of a file become HTML."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sample_run import EVIL, figures, make_run, write_lines

from keisei.report.__main__ import main
from keisei.report.page import report

VOID = {"meta", "link", "input", "img", "br"}


class Outline(HTMLParser):
    """Elements in order; fails where they are not nested."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data


def outline(text: str) -> Outline:
    parser = Outline()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', text)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_everything_is_there(tmp_path: Path) -> None:
    text = report(make_run(tmp_path / "run"))
    page = outline(text)
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert sections == [
        "games",
        "strength",
        "results",
        "openings",
        "learning",
        "speed",
        "messages",
        "configuration",
        "provenance",
    ]
    data = data_of(text)
    titles = {spec["title"] for specs in data["charts"].values() for spec in specs}
    assert {"Policy loss", "Results", "First moves", "Score in evaluations"} <= titles
    assert "Rating of the run's networks" in titles and "time.play_seconds" in titles
    assert data["resumed"] == [2000] and len(data["games"]) == 3
    for words in (
        "Complete",
        "5,000",
        "resumed once",
        "0123abcd, with changed files",
        "step 3,000",
    ):
        assert words in page.text, words
    results = next(spec for spec in data["charts"]["results"] if spec["title"] == "Results")
    assert [series["mean"][0] for series in results["series"]] == [0.5, 0.3, 0.1, 0.1]
    (length,) = data["charts"]["length"]
    assert length["series"][0]["mean"][0] == 90


def test_nothing_is_fetched(tmp_path: Path) -> None:
    page = outline(report(make_run(tmp_path / "run")))
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "action", "data"):
            value = attrs.get(name)
            assert value is None or value.startswith(("#", "data:")), f"<{tag} {name}={value}>"
    policy = next(attrs for tag, attrs in page.tags if attrs.get("http-equiv"))
    assert "default-src 'none'" in str(policy["content"])


def test_text_of_files_never_becomes_html(tmp_path: Path) -> None:
    name = "<b>run"
    text = report(make_run(tmp_path / name, text=EVIL))
    page = outline(text)
    assert {"img", "b-evil"}.isdisjoint(tag for tag, _ in page.tags)
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert EVIL.replace("\u2028", "") in [game["white"] for game in data_of(text)["games"]]
    assert EVIL in page.text and name in page.text
    data = text.partition('id="report-data">')[2].partition("</script>")[0]
    assert not re.search("[<>&\u2028\u2029]", data)


STRANGE: dict[str, dict[str, str]] = {
    "just started": {"config.json": "{}", "run.json": '{"starts": []}'},
    "one iteration": {"metrics.jsonl": json.dumps(figures(1)) + "\n"},
    "no game has ended": {
        "metrics.jsonl": json.dumps(figures(1) | {"games.games": 0, "games.game_plies": 0}) + "\n"
    },
    "nothing but nan": {"metrics.jsonl": '{"iteration": 1, "step": 9, "learn.entropy": NaN}\n' * 3},
    "infinite": {"metrics.jsonl": '{"iteration": 1, "step": 9, "learn.entropy": Infinity}\n' * 3},
    "empty files": dict.fromkeys(
        (
            "config.json",
            "run.json",
            "metrics.jsonl",
            "evaluation.log",
            "openings.jsonl",
            "ladder.json",
            "train.log",
            "games/self-play-1.jsonl",
        ),
        "",
    ),
    "other JSON": dict.fromkeys(
        (
            "config.json",
            "run.json",
            "metrics.jsonl",
            "evaluation.log",
            "openings.jsonl",
            "ladder.json",
            "games/self-play-1.jsonl",
        ),
        '[{"step": 1}, null]\n{"step": 3}\n',
    ),
    "wrong kinds": {
        "config.json": '{"training": 3, "model": {"type": ["x"]}, "logging": {"a": {"b": []}}}',
        "run.json": '{"starts": [{"command": 3, "versions": [], "device": "x", "git": 5, '
        '"resumed_from": 7, "started": null}, 4, {"device": {"memory_bytes": "x"}}]}',
        "evaluation.log": '{"step": 1, "opponents": {"a": {"black_wins": "x", "losses": 2}, '
        '"b": 3, "c": {"losses": 1, "mean_plies": "x"}}}\n{"step": 1e999}\n{"step": true}\n',
        "ladder.json": '{"format": 2}',
        "openings.jsonl": '{"step": 1, "starts": {"x": 3}, "games": "x"}\n'
        '{"step": -1}\n{"step": 0}\n',
    },
    "ladder without an anchor": {
        "config.json": "{}",
        "ladder.json": '{"format": 1, "anchors": {"random": 0}, "scores": [{"a": "x", "b": "y", '
        '"wins": 1, "draws": 0, "losses": 0, "step": null}]}',
    },
    "bytes": {"config.json": "\udcff\x00", "metrics.jsonl": "\udcff\n", "train.log": "\udcff\x00"},
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_strange_run_gives_a_page(tmp_path: Path, kind: str) -> None:
    for name, text in STRANGE[kind].items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    text = report(tmp_path)
    page = outline(text)
    data_of(text)
    assert len([tag for tag, _ in page.tags if tag == "section"]) == 9


def test_what_could_not_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    assert "config.json: not JSON" in outline(report(tmp_path)).text


def test_a_file_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "train.log").mkdir()
    (tmp_path / "games" / "self-play-1.jsonl").mkdir(parents=True)
    text = outline(report(tmp_path)).text
    assert "train.log: Is a directory" in text and "self-play-1.jsonl: Is a directory" in text


def test_a_long_run_has_a_small_page(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    write_lines(tmp_path / "run" / "metrics.jsonl", map(figures, range(1, 5001)))
    many = report(tmp_path / "run")
    write_lines(tmp_path / "run" / "metrics.jsonl", map(figures, range(1, 401)))
    few = report(tmp_path / "run")
    assert len(many) < 2.5 * len(few) < 1_000_000
    points = data_of(many)["axes"]["step"]
    assert len(points) == 400 and points[-1] == 500_000


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run")
    assert main([str(run)]) == 0
    page = run / "report.html"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main([str(run), "--output", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").exists()
    assert main([str(tmp_path)]) == 1
    assert main([str(run), "-o", str(tmp_path / "none" / "page.html")]) == 1


def test_iterations_without_games_leave_no_hole(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    none = {name: 0.0 for name in figures(1) if name.startswith("games.")}
    lines = [figures(i) | (none if i % 2 else {}) for i in range(1, 11)]
    write_lines(run / "metrics.jsonl", lines)
    data = data_of(report(run))
    for spec in (*data["charts"]["results"], *data["charts"]["length"]):
        assert spec["steps"] == [200, 400, 600, 800, 1000]
        assert None not in spec["series"][0]["mean"]


def test_the_last_evaluation_by_colour(tmp_path: Path) -> None:
    text = outline(report(make_run(tmp_path / "run"))).text
    assert "The last evaluation, after 5,000 plies" in text
    assert "5 (3 as black, 2 as white)2 (1)360.0%" in text
