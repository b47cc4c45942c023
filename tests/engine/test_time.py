"""How long a move may take: the budgets as pure functions, and the clock at the pipe."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine.driver import Engine

logger = logging.getLogger(__name__)

CSRC = Path(__file__).parents[2] / "csrc"
Start = Callable[..., Engine]

PROGRAM = r"""
#include <iostream>
#include <sstream>
#include <string>

#include "engine/time_manager.h"

using namespace keisei::engine;

std::optional<int64_t> number(std::istream& in) {
    std::string word;
    in >> word;
    return word == "-" ? std::nullopt : std::optional<int64_t>(std::stoll(word));
}

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream in(line);
        std::string what;
        in >> what;
        if (what == "budget") {
            ClockTimes times;
            times.remaining = number(in);
            times.increment = number(in);
            times.byoyomi = number(in);
            times.movetime = number(in);
            TimeSettings settings;
            in >> settings.network_delay >> settings.network_delay2 >>
                settings.minimum_thinking_time >> settings.slow_mover >>
                settings.round_up_to_full_second;
            GameStage stage;
            in >> stage.ply >> stage.max_moves_to_draw;
            const TimeBudget budget = time_budget(times, settings, stage);
            std::cout << budget.minimum << ' ' << budget.optimum << ' ' << budget.maximum << ' '
                      << budget.saves << '\n';
        } else {
            TimeBudget budget{};
            in >> budget.minimum >> budget.optimum >> budget.maximum >> budget.saves >>
                budget.whole_seconds >> budget.network_delay;
            SearchState state{};
            in >> state.elapsed >> state.searched >> state.nodes >> state.best_visits >>
                state.second_visits >> state.settled;
            std::cout << time_to_answer(budget, state) << ' '
                      << answer_time(budget, state.elapsed) << '\n';
        }
    }
}
"""


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str]], list[list[int]]]:
    """Asks the engine's own functions, compiled from their source: numbers for each line."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("time")
    source, program = folder / "main.cpp", folder / "main"
    source.write_text(PROGRAM, encoding="utf-8")
    sources = [str(source), str(CSRC / "engine" / "time_manager.cpp")]
    subprocess.run([compiler, "-std=c++20", f"-I{CSRC}", *sources, "-o", str(program)], check=True)

    def ask(lines: list[str]) -> list[list[int]]:
        done = subprocess.run(
            [program], input="\n".join(lines), capture_output=True, text=True, check=True
        )
        return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]

    return ask


Manager = Callable[[list[str]], list[list[int]]]
DEFAULTS = "120 1120 2000 100 0"
NONE = "-"


@pytest.mark.parametrize(
    ("times", "settings", "stage", "expected"),
    [
        # movetime: all of it but the delay, or half of it where it is short.
        ("- - - 5000", DEFAULTS, "1 0", (4880, 4880, 4880, 0)),
        ("600000 - 10000 100", DEFAULTS, "1 0", (50, 50, 50, 0)),
        ("- - - 0", DEFAULTS, "1 0", (0, 0, 0, 0)),
        ("- - - -5", DEFAULTS, "1 0", (0, 0, 0, 0)),
        # No word at all: MinimumThinkingTime.
        ("- - - -", DEFAULTS, "1 0", (2000, 2000, 2000, 0)),
        # Byoyomi alone: what is not used is lost.
        ("0 - 10000 -", DEFAULTS, "1 0", (8880, 8880, 8880, 0)),
        ("- - 1000 -", DEFAULTS, "1 0", (500, 500, 500, 0)),
        ("-70 - 1000 -", "120 200 2000 100 0", "1 0", (800, 800, 800, 0)),
        # Time and byoyomi: a share of the one, all of the other.
        ("500000 - 10000 -", DEFAULTS, "1 0", (2000, 20000, 80000, 1)),
        # An increment; a rest that is smaller than it.
        ("60000 1000 - -", DEFAULTS, "1 0", (2000, 2200, 8800, 1)),
        ("300 1000 - -", DEFAULTS, "1 0", (500, 500, 500, 1)),
        # A small increment: the reserve is kept, or grows again.
        ("2000 100 - -", DEFAULTS, "1 0", (300, 300, 560, 1)),
        ("241 100 - -", DEFAULTS, "1 0", (50, 50, 50, 1)),
        # Sudden death: the minimum is a tenth of the rest, not two seconds.
        ("10000 - - -", DEFAULTS, "200 0", (1000, 1000, 1600, 1)),
        ("100 0 0 -", DEFAULTS, "1 0", (8, 8, 8, 1)),
        ("0 0 0 -", DEFAULTS, "1 0", (0, 0, 0, 0)),
        # SlowMover, in per cent; the move limit leaves ten own moves.
        ("500000 - - -", "120 1120 0 300 0", "1 0", (0, 30000, 120000, 1)),
        ("500000 - - -", DEFAULTS, "302 320", (2000, 50000, 125000, 1)),
        # As far as numbers go.
        ("9223372036854775807 9223372036854775807 - -", DEFAULTS, "1 0", None),
        ("-9223372036854775808 -9223372036854775808 -1 -", DEFAULTS, "1 0", (0, 0, 0, 0)),
    ],
)
def test_budgets(
    manager: Manager, times: str, settings: str, stage: str, expected: tuple[int, ...] | None
) -> None:
    (got,) = manager([f"budget {times} {settings} {stage}"])
    if expected is None:
        assert 0 <= got[0] <= got[1] <= got[2] <= 10**12
    else:
        assert tuple(got) == expected


def test_no_budget_oversteps(manager: Manager) -> None:
    """Whatever the clock and the options say, the answer leaves in time for the delay, whether the
    increment is already part of the rest or still to be added."""
    rests = [-100, 0, 1, 99, 1000, 5000, 61_000, 3_600_000]
    each = [0, 1, 100, 1000, 30_000]
    options = list(itertools.product([0, 120, 2000], [0, 1120], [0, 2000], [10, 100, 1000]))
    cases = [
        (rest, increment, byoyomi, setting, stage)
        for rest in rests
        for increment in each
        for byoyomi in each
        for setting in options
        for stage in ("1 0", "150 0", "319 320", "400 320")
    ]
    lines = [
        f"budget {rest} {increment} {byoyomi} - {a} {b} {c} {d} 0 {stage}"
        for rest, increment, byoyomi, (a, b, c, d), stage in cases
    ]
    for (rest, increment, byoyomi, setting, _), got in zip(cases, manager(lines), strict=True):
        minimum, optimum, maximum, _ = got
        available = max(rest, 0) + byoyomi if byoyomi else max(rest, increment)
        assert 0 <= minimum <= optimum <= maximum, (got, rest, increment, byoyomi, setting)
        assert maximum <= available - min(setting[1], available // 2)
        if increment and not byoyomi and rest < setting[1]:
            assert maximum <= increment - min(setting[0], increment // 2), "the reserve shrinks"


def test_when_to_answer(manager: Manager) -> None:
    cases = {
        # minimum optimum maximum saves whole delay | elapsed searched nodes best second settled
        "decide 100 1000 4000 1 0 120 50 50 100 90 10 1": 0,  # too early, however clear
        "decide 100 1000 4000 1 0 120 500 500 100 90 10 1": 0,  # 100 nodes could still come
        "decide 100 1000 4000 1 0 120 600 600 600 550 50 1": 1,  # 400 nodes change nothing
        "decide 100 1000 4000 1 0 120 1000 1000 600 300 250 1": 1,  # the optimum, settled
        "decide 100 1000 4000 1 0 120 1000 1000 600 300 250 0": 0,  # not settled: longer
        "decide 100 1000 4000 1 0 120 4000 4000 600 300 250 0": 1,  # the maximum
        "decide 100 1000 4000 1 0 120 5 5000 600 300 250 1": 1,  # pondered long enough
        "decide 900 900 900 0 0 120 600 600 600 600 0 1": 0,  # time that is lost is used
    }
    got = manager(list(cases))
    assert {line: answer for line, (answer, _) in zip(cases, got, strict=True)} == cases


def test_full_seconds(manager: Manager) -> None:
    """A clock that counts begun seconds: the answer arrives just before one is full."""
    for elapsed, expected in ((1, 880), (880, 880), (881, 1880), (2500, 2880), (3900, 4000)):
        (got,) = manager([f"decide 0 1000 4000 1 1 120 {elapsed} {elapsed} 1 1 0 1"])
        assert got[1] == expected
        (got,) = manager([f"decide 0 1000 4000 1 0 120 {elapsed} {elapsed} 1 1 0 1"])
        assert got[1] == elapsed


CLOCKS = [
    "go btime 0 wtime 0 byoyomi 40",
    "go btime 80 wtime 80 byoyomi 40",
    "go btime 40 wtime 40 binc 40 winc 40",
    "go btime 300 wtime 300",
    "go movetime 30",
    "go btime 0 wtime 0 binc 0 winc 0",
    "go movetime 0",
    "go btime 10 wtime 10",
]


@pytest.mark.parametrize("go", CLOCKS)
def test_every_clock_ends_a_search(start: Start, go: str) -> None:
    """Without a limit of nodes only the clock can."""
    engine = start("--model", "uniform")
    engine.ready()
    for position in ("position startpos", "position startpos moves 7g7f"):
        assert engine.best(position, go) != "resign"
    engine.quit()


def test_the_only_move_is_played_at_once(start: Start) -> None:
    """Were it not, the test's patience would end."""
    engine = start("--model", "uniform")
    engine.ready()
    forced = "position sfen 7kR/9/5G2K/9/9/9/9/9/9 w - 1"
    assert engine.best(forced, "go btime 360000000 wtime 360000000 byoyomi 36000000") == "2a1a"
    engine.quit()


@dataclass(frozen=True)
class Control:
    """One way to be timed: what `go` says with this much left, and what a move may take."""

    name: str
    base: int
    increment: int = 0
    byoyomi: int = 0
    movetime: int = 0

    def go(self, left: int) -> str:
        if self.movetime:
            return f"go movetime {self.movetime}"
        if self.byoyomi:
            return f"go btime {left} wtime {left} byoyomi {self.byoyomi}"
        if self.increment:
            return f"go btime {left} wtime {left} binc {self.increment} winc {self.increment}"
        return f"go btime {left} wtime {left}"

    def limit(self, left: int) -> int:
        return self.movetime or left + self.increment + self.byoyomi


CONTROLS = [
    Control("byoyomi", 0, byoyomi=1200),
    Control("time and byoyomi", 3000, byoyomi=1000),
    Control("increment", 3000, increment=1000),
    Control("sudden death", 15_000),
    Control("movetime", 0, movetime=1000),
]
# The margin that a user of a slow line sets; that of the other clocks is the default, which is half
# of what there is.
DELAY = "setoption name NetworkDelay value 500"


def timed_moves(engine: Engine, control: Control, count: int) -> Iterator[tuple[float, int]]:
    """What each move took at the pipe, and what it might have taken, in milliseconds."""
    left = control.base
    for number in range(count):
        if control.name == "sudden death" and number % 25 == 0:
            left = control.base  # a new game
        engine.send(f"position startpos moves {'7g7f 3c3d ' if number % 2 else ''}".strip())
        begun = time.perf_counter()
        engine.send(control.go(left))
        engine.until("bestmove ")
        took = (time.perf_counter() - begun) * 1000
        yield took, control.limit(left)
        if not control.movetime:
            left = max(0, int(left + control.increment - took))
            if control.byoyomi:
                left = max(0, min(left, control.base))


@pytest.mark.slow
@pytest.mark.parametrize("count", [400])
def test_2_000_timed_moves_on_a_loaded_machine(start: Start, count: int) -> None:
    """At most one answer is late at the pipe, while other programs use every core twice."""
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    results: dict[str, list[tuple[float, int]]] = {control.name: [] for control in CONTROLS}
    try:
        players = []
        for control in CONTROLS:
            engine = start("--model", "uniform")
            engine.ask(DELAY)
            engine.ready()
            players.append(
                threading.Thread(
                    target=lambda e=engine, c=control: results[c.name].extend(
                        timed_moves(e, c, count)
                    )
                )
            )
        for player in players:
            player.start()
        for player in players:
            player.join()
    finally:
        for process in busy:
            process.kill()
            process.wait()
    late = {}
    for name, moves in results.items():
        assert len(moves) == count, name
        slack = sorted(limit - took for took, limit in moves)
        late[name] = sum(value < 0 for value in slack)
        figures = (name, slack[0], slack[count // 2], late[name], count)
        logger.info("%s: least slack %.0f ms, median %.0f ms, late %d of %d", *figures)
    assert sum(late.values()) <= 1, late


@pytest.mark.slow
def test_stop_is_answered_within_50_ms(start: Start) -> None:
    engine = start("--model", "mock")
    engine.ready()
    took = []
    for number in range(200):
        engine.send("position startpos", "go infinite" if number % 2 else "go mate infinite")
        time.sleep(0.05)
        begun = time.perf_counter()
        engine.send("stop")
        while True:
            line = engine.line()
            assert line is not None
            if line.startswith(("bestmove ", "checkmate ")):
                break
        took.append((time.perf_counter() - begun) * 1000)
    took.sort()
    figures = (took[100], took[197], took[-1])
    logger.info("stop: median %.1f ms, 99%% %.1f ms, longest %.1f ms", *figures)
    assert took[197] <= 50
    engine.quit()
