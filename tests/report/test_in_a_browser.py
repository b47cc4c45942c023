"""The page works in a real browser: games step, charts answer, nothing is fetched, it fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import NAMES, Browser, browser, find_browser
from sample_run import EVIL, MOVES, figures, make_run, write_lines

from keisei.report.page import report

PROGRAM = find_browser()
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason=f"none of {', '.join(NAMES)} is on the PATH"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with everything in it."""
    run = make_run(tmp_path_factory.mktemp("report") / "run", text=EVIL)
    write_lines(run / "metrics.jsonl", map(figures, range(1, 1001)))
    path = run / "report.html"
    path.write_text(report(run), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    assert PROGRAM is not None
    with browser(PROGRAM) as one:
        yield one


@pytest.fixture
def opened(started: Browser, page: Path) -> Browser:
    started.open(page)
    return started


def men(opened: Browser) -> int:
    return int(opened.run("document.querySelectorAll('.player-board .b-man').length"))


def box_of(opened: Browser, element: str) -> tuple[float, ...]:
    """Where an element is in the window, once it is scrolled to: x, y, width, height."""
    box = opened.run(
        f"(e => {{ e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
        f"const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height] }})({element})"
    )
    return tuple(box)


def test_it_loads_without_errors_and_asks_for_nothing_else(opened: Browser, page: Path) -> None:
    assert opened.errors == []
    others = [url for url in opened.requests if not url.startswith("data:")]
    assert others == [page.resolve().as_uri()]
    assert opened.run("document.title") == "run \N{EN DASH} keisei"


def test_what_files_say_runs_nothing(opened: Browser) -> None:
    opened.run("for (const o of document.querySelectorAll('option')) player.open(Number(o.value))")
    assert opened.run("document.querySelectorAll('main img').length") == 0
    assert opened.errors == []


def test_buttons_keys_slider_moves_and_curve_step_through_a_game(opened: Browser) -> None:
    opened.run("player.open(1)")  # 5000 plies, self-play
    assert opened.run("player.at") == 0 and men(opened) == 40
    assert opened.run("document.querySelectorAll('.b-last').length") == 0

    def click(label: str) -> int:
        opened.run(f"document.querySelector('[aria-label=\"{label}\"]').click()")
        return int(opened.run("player.at"))

    assert [click("One move on"), click("One move on"), click("One move on")] == [1, 2, 3]
    assert men(opened) == 40, "39 on the board and a bishop in hand"
    assert opened.run("document.querySelectorAll('.b-last').length") == 2
    current = "document.querySelector('.moves [aria-current]').textContent"
    assert opened.run(current) == "3☗２二角成(88)"
    assert click("One move back") == 2 and click("Last position") == len(MOVES)
    assert click("One move on") == len(MOVES) and click("First position") == 0
    assert click("One move back") == 0

    opened.run("document.querySelector('.player').focus()")
    for key, at in (
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("End", 8),
        ("Home", 0),
    ):
        opened.press(key)
        assert opened.run("player.at") == at, key
    opened.run(
        "(s => { s.value = 5; s.dispatchEvent(new Event('input')) })"
        "(document.querySelector('.player input[type=range]'))"
    )
    assert opened.run("player.at") == 5
    opened.run("document.querySelectorAll('.moves button')[6].click()")
    assert opened.run("player.at") == 7
    x, y, width, height = box_of(opened, "document.querySelector('.player-values svg')")
    opened.call(
        "Input.dispatchMouseEvent",
        type="mousePressed",
        x=x + width / 2,
        y=y + height / 2,
        button="left",
        clickCount=1,
    )
    assert opened.run("player.at") == len(MOVES) // 2
    x, y, width, height = box_of(opened, "document.querySelector('.player-board')")
    for place, at in ((0.8, 5), (0.6, 6), (0.1, 5)):
        for kind in ("mousePressed", "mouseReleased"):
            opened.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x + place * width,
                y=y + height / 2,
                button="left",
                clickCount=1,
            )
        assert opened.run("player.at") == at, "a click on the board steps too"
    assert opened.errors == []


def test_the_board_is_the_position(opened: Browser) -> None:
    opened.run("player.open(1); player.go(6)")
    label = str(opened.run("document.querySelector('.player-board svg').ariaLabel"))
    assert "black to move" in label and "/2b+" not in label
    place = (
        "[...document.querySelectorAll('.player-board .b-man')].filter(m => m.textContent == '角')"
        ".map(m => m.getAttribute('transform').match(/[\\d.]+/g).slice(0, 2).map(Number))"
    )
    # A black bishop on 5e and a white one on 3c.
    assert opened.run(place) == [[331, 217], [231, 317]]


def test_letters_instead_of_japanese(opened: Browser) -> None:
    opened.run("player.open(1); player.go(3)")
    opened.run("[...document.querySelectorAll('.player-keys button')].at(-1).click()")
    assert opened.run("document.querySelector('.moves [aria-current]').textContent") == "3☗ B8hx2b+"
    assert opened.run("document.querySelectorAll('.b-man text.letters').length") == 40


def test_charts_are_drawn_and_answer(opened: Browser) -> None:
    titles = "[...document.querySelectorAll('.chart h4')].map(h => h.textContent)"
    assert {"Entropy", "Results", "First moves", "Score in evaluations"} <= set(opened.run(titles))
    empty = (
        "[...document.querySelectorAll('main > section .chart svg')]"
        ".filter(s => !s.querySelector('path[d^=M]')).length"
    )
    assert opened.run(empty) == 0
    entropy = (
        "[...document.querySelectorAll('.chart')].find(c => c.textContent.startsWith('Entropy'))"
    )
    before = opened.run(f"{entropy}.querySelector('output').textContent")
    x, y, _, height = box_of(opened, f"{entropy}.querySelector('svg')")
    opened.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + 60, y=y + height / 2)
    at = opened.run(f"{entropy}.querySelector('output').textContent")
    assert at != before and float(at) > float(before), "entropy falls in this run"
    crosses = opened.run("document.querySelectorAll('.chart .cross').length")
    assert crosses > 5, "the others show where the pointer is"
    paths = "[...document.querySelectorAll('.chart .smooth')].map(p => p.getAttribute('d')).join()"
    for change in (
        "document.querySelector('[data-axis=seconds]').click()",
        "(s => { s.value = 1; s.dispatchEvent(new Event('input')) })"
        "(document.querySelector('[data-smoothing]'))",
        "[...document.querySelectorAll('.chart button')][0].click()",
    ):
        then = opened.run(paths)
        opened.run(change)
        assert opened.run(paths) != then, change
    assert opened.run("document.querySelectorAll('.chart .resumed').length") > 5
    assert opened.errors == []


def test_smoothing_leaves_straight_lines_straight(opened: Browser) -> None:
    far = opened.run(
        "(() => { shared.smoothing = 1; shared.redraw();"
        "const s = shared.charts.find(c => c.spec.title === 'Entropy').spec.series[0];"
        "return Math.max(...s.mean.map((value, i) => Math.abs(value - s.shown[i]))) })()"
    )
    assert far < 2e-3, "points of two iterations and of three take turns, and no more"


@pytest.mark.parametrize("width", [360, 768, 1600])
def test_it_fits_the_window(started: Browser, page: Path, width: int) -> None:
    started.open(page, width=width)
    assert started.run("document.documentElement.scrollWidth") == width
    wide = (
        "[...document.querySelectorAll('.chart svg, .player, h1, .tiles')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth).length"
    )
    assert started.run(wide) == 0


def test_dark_and_light(started: Browser, page: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    started.open(page)
    light = started.run(ground)
    started.open(page, dark=True)
    dark = started.run(ground)
    assert (light, dark) == ("rgb(250, 248, 244)", "rgb(22, 23, 26)")
    started.run("document.getElementById('theme').click()")
    assert started.run(ground) == light
    started.run("document.getElementById('theme').click()")
    assert started.run(ground) == dark
    started.call("Emulation.setEmulatedMedia", media="print", features=[])
    assert started.run(ground) == "rgb(255, 255, 255)", "paper is white"
    started.call("Emulation.setEmulatedMedia", media="")


def test_it_prints(opened: Browser) -> None:
    assert len(opened.call("Page.printToPDF", printBackground=True)["data"]) > 50_000


def test_a_run_that_has_just_begun(started: Browser, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    path = tmp_path / "report.html"
    path.write_text(report(tmp_path), encoding="utf-8")
    started.open(path)
    assert started.errors == []
    assert started.run("document.querySelectorAll('section').length") == 9
