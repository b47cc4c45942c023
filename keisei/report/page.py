"""The page: what a run's files say, in one HTML text that needs nothing else."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keisei.report import charts
from keisei.report.curves import Curves
from keisei.report.games import games_json
from keisei.report.html import Html, data_script, join, tag
from keisei.report.openings import collect_openings, first_moves_json, tree_html
from keisei.report.run_files import RunFiles, read_run, step_of
from keisei.report.strength import (
    evaluated,
    evaluations_json,
    ladder_html,
    ladder_json,
    last_evaluation_html,
    read_ladder,
)

_HERE = Path(__file__).parent
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Cpath "
    "d='M16 2 26 7l3 22H3L6 7z' fill='%23f3d9a2' stroke='%238a6630'/%3E%3C/svg%3E"
)
# Nothing is fetched and nothing is sent, whatever somebody may have got into a run's files.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def report(folder: Path) -> str:
    """The page of the run in ``folder``; NotARunError if it is none."""
    return page(read_run(folder))


def page(run: RunFiles) -> str:
    """The page of a run."""
    curves = Curves(run.metrics)
    data: dict[str, Any] = {
        "axes": curves.axes(),
        "resumed": run.resumed_at,
        "charts": {},
        "games": games_json(run),
    }
    sections = [
        ("games", "Games", _games(data)),
        ("strength", "Strength", _strength(run, data["charts"])),
        ("results", "Results", _results(run, curves, data["charts"])),
        ("openings", "Openings", _openings(run, data["charts"])),
        ("learning", "Learning", _learning(run, curves, data["charts"])),
        ("speed", "Speed", _speed(run, curves, data["charts"])),
        ("messages", "Messages", _messages(run)),
        ("configuration", "Configuration", _configuration(run)),
        ("provenance", "Provenance", _provenance(run)),
    ]
    body = join(
        [
            _head(run),
            _bar([(name, title) for name, title, _ in sections]),
            tag("main", None, *(tag("section", {"id": name}, part) for name, _, part in sections)),
            tag(
                "footer",
                None,
                f"Made by keisei on {time.strftime('%Y-%m-%d at %H:%M UTC', time.gmtime())} from "
                f"the files of this run alone: python -m keisei.report {run.name}",
            ),
            data_script("report-data", data),
            _script(),
        ]
    )
    title = f"{run.name} – keisei"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{tag('title', None, title)}\n"
        f'<link rel="icon" href="{_ICON}">\n'
        f"<style>\n{(_HERE / 'report.css').read_text(encoding='utf-8')}</style>\n"
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _script() -> Html:
    files = ("charts.js", "board.js", "report.js")
    text = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in files)
    return Html(f"<script>\n{text}</script>")


def _bar(sections: list[tuple[str, str]]) -> Html:
    links = (tag("a", {"href": f"#{name}"}, title) for name, title in sections)
    theme = tag("button", {"id": "theme", "type": "button", "title": "Light or dark"}, "◐")
    return tag(
        "div", "bar", tag("div", None, tag("nav", {"aria-label": "Sections"}, *links), theme)
    )


def _head(run: RunFiles) -> Html:
    metrics = run.metrics
    step = int(metrics.step[-1]) if len(metrics) else 0
    last_start = run.starts[-1] if run.starts else {}
    device = _text(_mapping(last_start.get("device")).get("name"))
    resumed = len(run.starts) - 1
    facts = [
        _network(run),
        f"trained on {device}" if device else "",
        f"resumed {_times(resumed)}" if resumed > 0 else "",
    ]
    return tag(
        "header",
        "page-head",
        tag("p", "eyebrow", "A keisei training run"),
        tag("h1", None, run.name),
        tag("p", "lead", _state(run, step), f" {_sentence(facts)}"),
        tag(
            "ul",
            "tiles",
            *(
                tag("li", None, tag("b", None, value), tag("span", None, name))
                for name, value in _tiles(run, step)
            ),
        ),
        *(tag("p", "note", f"Could not be read: {problem}") for problem in run.problems[:10]),
    )


def _sentence(parts: Iterable[str]) -> str:
    text = ", ".join(filter(None, parts))
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _state(run: RunFiles, step: int) -> Html:
    total = run.setting("training", "total_timesteps")
    if run.complete:
        return tag("span", "state", "Complete")
    if run.failed:
        return tag("span", "state bad", "Failed")
    if isinstance(total, int) and total > 0:
        return tag("span", "state", f"{100 * step / total:.0f}% of {_short(total)} plies")
    return tag("span", "state", "Begun")


def _network(run: RunFiles) -> str:
    kind, depth, width = (
        run.setting("model", key) for key in ("type", "tower_depth", "tower_width")
    )
    if kind == "resnet":
        blocks = "1 block" if depth == 1 else f"{depth} blocks"
        return f"A network of {blocks} of {width} channels"
    return f"A network of the type {kind}" if kind else ""


def _tiles(run: RunFiles, step: int) -> list[tuple[str, str]]:
    metrics = run.metrics
    found = [("plies played", _short(step)), ("iterations", f"{len(metrics):,}")]
    games = metrics.columns.get("games.games")
    if games is not None:
        found.append(("games ended", _short(float(np.nansum(np.asarray(games))))))
    seconds = metrics.columns.get("speed.total_seconds")
    if seconds is not None:
        found.append(("playing and learning", _duration(float(seconds[-1]))))
    speed = metrics.columns.get("speed.positions_per_second")
    if speed is not None:
        found.append(("positions a second", _short(float(np.nanmedian(np.asarray(speed))))))
    results = evaluated(run)
    if results:
        last = [one for one in results if one.step == results[-1].step]
        best = next((one for one in last if one.opponent == "random"), last[0])
        found.append((f"score against {best.opponent}", f"{100 * best.score.rate:.1f}%"))
    return found


def _heading(title: str, about: str = "") -> Html:
    return join([tag("h2", None, title), tag("p", "about", about) if about else None])


def _empty(text: str) -> Html:
    return tag("p", "empty", text)


def _charts(name: str, kind: str = "charts") -> Html:
    return tag("div", {"class": kind, "data-charts": name})


def _games(data: Mapping[str, Any]) -> Html:
    games = data["games"]
    if not games:
        return join(
            [
                _heading("Sample games"),
                _empty(
                    "No whole game is stored yet: runs store some while they play "
                    "(logging.follow_games) and when they are evaluated."
                ),
            ]
        )
    own = sum(game["kind"] == "self-play" for game in games)
    kinds = [
        f"{count} {name}"
        for count, name in ((own, "of self-play"), (len(games) - own, "of evaluations"))
        if count
    ]
    about = (
        f"{' and '.join(kinds).capitalize()}, from all of the run. Arrow keys, the slider, the "
        "moves and the curve of expected results step through a game."
    )
    return join([_heading("Sample games", about), tag("div", {"id": "player"})])


def _strength(run: RunFiles, specs: dict[str, Any]) -> Html:
    parts: list[Html] = []
    found = evaluated(run)
    results = evaluations_json(found)
    ladder = read_ladder(run)
    rows = ladder.rows() if ladder is not None else ()
    shown = []
    if results:
        about = "points a game (½ for a draw or an undecided game), 95% intervals"
        shown.append(
            charts.points_chart(
                "Score in evaluations", about, results, format="percent", range=[0, 1]
            )
        )
    own = ladder_json(rows)
    if own is not None:
        anchors = ", ".join(ladder.anchors) if ladder is not None else ""
        shown.append(
            charts.points_chart(
                "Rating of the run's networks",
                f"Elo with 95% intervals; the anchor is {anchors}",
                [own],
                format="elo",
            )
        )
    if shown:
        specs["strength"] = shown
        parts.append(_charts("strength", "charts two" if len(shown) > 1 else "charts wide"))
    if found:
        parts += [
            tag("h3", None, f"The last evaluation, after {found[-1].step:,} plies"),
            tag("div", "card", last_evaluation_html(found)),
        ]
    if ladder is not None and rows:
        about = (
            "Elo ratings of all who played, by an anchored Bradley–Terry fit of all games, with "
            "95% intervals; this run's networks are blue."
        )
        parts += [
            tag("h3", None, "Ladder"),
            tag("p", "about", about),
            tag("div", "card", ladder_html(ladder, rows)),
        ]
    if not parts:
        parts.append(
            _empty("No evaluation is there: evaluation.interval says how often there is one.")
        )
    return join([_heading("Strength"), *parts])


def _results(run: RunFiles, curves: Curves, specs: dict[str, Any]) -> Html:
    metrics = run.metrics
    found = [
        charts.share_chart("Results", "of the games that ended", curves, metrics, charts.RESULTS),
        charts.share_chart("Ways of ending", "of the same games", curves, metrics, charts.ENDINGS),
        charts.length_chart(curves, metrics),
    ]
    shown = [chart for chart in found if chart is not None]
    if not shown:
        return join([_heading("Results of self-play"), _empty("No game has ended yet.")])
    specs["results"] = shown[:2]
    specs["length"] = shown[2:]
    about = "How the games of the network against itself ended, iteration by iteration."
    return join(
        [
            _heading("Results of self-play", about),
            _charts("results", "charts two"),
            tag("div", {"style": "height:.9rem"}),
            _charts("length", "charts wide"),
        ]
    )


def _openings(run: RunFiles, specs: dict[str, Any]) -> Html:
    openings = collect_openings(run)
    if openings is None:
        return join(
            [_heading("Openings"), _empty("No opening is stored yet: no followed game has ended.")]
        )
    # Stretches in which there are some games: shares of one or two say nothing.
    first = first_moves_json(
        collect_openings(run, max(1, min(48, openings.games // 20))) or openings
    )
    specs["openings"] = [
        {
            "title": "First moves",
            "about": "share of the games that were followed",
            "kind": "area",
            "tall": True,
            "joined": True,
            "binned": True,
            "steps": first["step"],
            "series": [
                one | {"colour": "var(--rest)" if one["name"] == "others" else charts.COLOURS[i]}
                for i, one in enumerate(first["series"])
            ],
            "format": "percent",
        }
    ]
    about = (
        f"How {openings.games:,} games of self-play began, and how that changed: each strip goes "
        "from the start of the run to its end, darker where the move was played more. Shares are "
        "of the games that came to the position."
    )
    if openings.others:
        about += f" Not counted: {openings.others:,} games from other positions or of rare lines."
    return join(
        [
            _heading("Openings", about),
            _charts("openings", "charts wide"),
            tag("div", {"style": "height:.9rem"}),
            tag("div", "card", tree_html(openings)),
        ]
    )


def _controls(curves: Curves) -> Html:
    axes = [("step", "plies"), ("iteration", "iterations"), ("seconds", "time")]
    buttons = [
        tag(
            "button",
            {
                "type": "button",
                "data-axis": key,
                "aria-pressed": "true" if key == "step" else "false",
            },
            name,
        )
        for key, name in axes
        if key in curves.axes()
    ]
    slider = tag(
        "label",
        None,
        "Smoothing",
        Html('<input type="range" min="0" max="1" step="0.05" value="0.5" data-smoothing>'),
    )
    return tag(
        "div", "controls", tag("span", "switch", tag("span", None, "Along"), *buttons), slider
    )


def _learning(run: RunFiles, curves: Curves, specs: dict[str, Any]) -> Html:
    specs["learning"] = charts.line_charts(curves, run.metrics, charts.LEARNING)
    if not specs["learning"]:
        return join(
            [_heading("Learning"), _empty("Nothing was learned yet: there are no figures.")]
        )
    rows = len(run.metrics)
    about = f"The figures of {rows:,} iterations: smoothed, and as they are in a fainter line."
    if curves.thinned:
        about = (
            f"The figures of {rows:,} iterations. Each of {len(curves)} points is the mean of some "
            "of them, smoothed and, fainter, as it is; the shade is their range."
        )
    if run.resumed_at:
        about += " Dotted lines: the run was resumed there."
    parts: list[Html] = [_heading("Learning", about), _controls(curves), _charts("learning")]
    others = charts.line_charts(curves, run.metrics, charts.other_figures(run.metrics))
    if others:
        specs["others"] = others
        parts.append(
            tag(
                "details",
                "more",
                tag("summary", None, f"{len(others)} more figures"),
                _charts("others"),
            )
        )
    return join(parts)


def _speed(run: RunFiles, curves: Curves, specs: dict[str, Any]) -> Html:
    specs["speed"] = charts.line_charts(curves, run.metrics, charts.SPEED)
    if not specs["speed"]:
        return join([_heading("Speed"), _empty("There are no figures yet.")])
    return join([_heading("Speed and memory"), _charts("speed")])


def _messages(run: RunFiles) -> Html:
    parts = [_heading("Warnings, errors and alerts")]
    if not run.messages:
        parts.append(_empty("The log has neither warnings nor errors."))
        return join(parts)
    if run.messages_before:
        parts.append(
            tag(
                "p",
                "note",
                f"The last {len(run.messages):,}; before them came {run.messages_before:,} more.",
            )
        )
    items = [
        tag(
            "li",
            message.level,
            tag("time", None, message.time.replace("T", " ")),
            tag("pre", None, message.text),
        )
        for message in run.messages
    ]
    parts.append(tag("div", "card scroll-y", tag("ul", "messages", *items)))
    return join(parts)


def _configuration(run: RunFiles) -> Html:
    if not run.config:
        return join([_heading("Configuration"), _empty("config.json is not there.")])
    defaults = _defaults()
    parts = []
    for section, values in run.config.items():
        if not isinstance(values, Mapping):
            continue
        rows = []
        for key, value in values.items():
            usual = _mapping(defaults.get(section)).get(key, value)
            own = usual not in ("auto", "fit") and usual != value
            rows.append(
                tag(
                    "tr",
                    "set" if own else None,
                    tag("td", None, key),
                    tag("td", None, _value(value)),
                )
            )
        parts.append(
            tag(
                "div",
                "settings",
                tag("h3", None, str(section)),
                tag("table", None, tag("tbody", None, *rows)),
            )
        )
    about = "Every setting, with nothing left open. What is not the default is bold."
    return join([_heading("Configuration", about), tag("div", "card columns", *parts)])


def _defaults() -> Mapping[str, Any]:
    from keisei.config_schema import AppConfig

    return AppConfig().model_dump(mode="json")


def _provenance(run: RunFiles) -> Html:
    if not run.starts:
        return join([_heading("Provenance"), _empty("run.json is not there.")])
    about = "How the run was started, each time, and with what."
    cards = [_start(number, start) for number, start in enumerate(run.starts, 1)]
    shown = [cards[0], *cards[-1:]] if len(cards) > 1 else cards
    parts = [_heading("Provenance", about), *shown]
    if len(cards) > len(shown):
        parts.append(
            tag(
                "details",
                "more",
                tag("summary", None, f"The {len(cards) - 2} starts between"),
                *cards[1:-1],
            )
        )
    if run.checkpoints:
        steps = ", ".join(f"{step:,}" for step in run.checkpoints[-10:])
        parts.append(tag("p", "note", f"Checkpoints that are there, by step: {steps}."))
    return join(parts)


def _start(number: int, start: Mapping[str, Any]) -> Html:
    versions, device = _mapping(start.get("versions")), _mapping(start.get("device"))
    git = _mapping(start.get("git"))
    resumed = start.get("resumed_from")
    facts: list[tuple[str, str]] = []
    command = start.get("command")
    if isinstance(command, list):
        facts.append(("Command", shlex.join(map(str, command))))
    if resumed is not None:
        facts.append(("Resumed from", _text(resumed)))
    facts.append(("Seed", _text(start.get("seed"))))
    facts.append(("Device", _device(device, start.get("ranks"))))
    facts.append(
        (
            "Versions",
            ", ".join(
                f"{name} {_text(version)}"
                for name, version in versions.items()
                if version is not None
            ),
        )
    )
    for name, label in (
        ("keisei", "Sources of keisei"),
        ("working_directory", "Working directory"),
    ):
        state = _mapping(git.get(name))
        if state:
            facts.append((label, _git(state)))
    title = "Started" if number == 1 else f"Start {number}"
    step = step_of(Path(_text(resumed)).name) if resumed is not None else None
    at = f", from step {step:,}" if step is not None else ""
    when = _text(start.get("started")).replace("T", " ")
    rows = [
        join([tag("dt", None, name), tag("dd", "code" if name == "Command" else None, value)])
        for name, value in facts
        if value
    ]
    return tag(
        "div", "start card", tag("h3", None, f"{title} {when}{at}"), tag("dl", "facts", *rows)
    )


def _git(state: Mapping[str, Any]) -> str:
    if "error" in state:
        return f"git: {_text(state['error'])}"
    changed = ", with changed files" if state.get("dirty") else ""
    return f"commit {_text(state.get('commit'))}{changed}"


def _device(device: Mapping[str, Any], ranks: object) -> str:
    parts = [_text(device.get("name"))]
    memory, processors = device.get("memory_bytes"), device.get("processors")
    if isinstance(memory, int):
        parts.append(f"{memory / 1e9:.0f} GB")
    if processors:
        parts.append(f"{processors} processors")
    if isinstance(ranks, int) and ranks > 1:
        parts.append(f"{ranks} ranks")
    return ", ".join(filter(None, parts))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "–"
    return str(value)


def _short(value: float) -> str:
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.3g}{unit}"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.3g}"


def _duration(seconds: float) -> str:
    if not seconds < 1e9:
        return "–"
    whole = round(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
