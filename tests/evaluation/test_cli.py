"""keisei-evaluate: who plays whom, what is written, and how it ends when it cannot."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cshogi
import pytest
from safetensors.torch import save_file

from keisei.core.model_file import load_model
from keisei.evaluation import cli, evaluate
from keisei.evaluation.ladder import Ladder
from keisei.evaluation.match import MatchResult
from keisei.evaluation.records import read_csa, read_kif, read_sfen

CHECKPOINT = Path(__file__).parent.parent / "data/trained_policy.ckpt"
DUMMY = Path(__file__).parent / "dummy_engine.py"


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def results(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_each_plays_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.json"
    players = ["random", "greedy", "mine=mixture:random:greedy:0.5"]
    assert run(*players, "--games", 6, "--device", "cpu", "--json", path) == 0
    got = results(path)
    assert got["complete"] and got["players"] == ["random", "greedy_capture", "mine"]
    pairs = [(one["first"], one["second"]) for one in got["pairings"]]
    assert pairs == [("random", "greedy_capture"), ("random", "mine"), ("greedy_capture", "mine")]
    for one in got["pairings"]:
        score = one["score"]
        assert one["games"] == score["wins"] + score["draws"] + score["losses"] == 6
        assert 0 <= score["low"] <= score["rate"] <= score["high"] <= 1
        assert sum(one["pairs"]) == 3
    assert set(got["ratings"]) == set(got["players"]) and got["ratings"]["random"]["elo"] == 0
    text = capsys.readouterr().out
    assert "95% intervals" in text and "no_legal_move" in text and "greedy_capture" in text
    assert run(*players, "--games", 2, "--device", "cpu", "--first-only", "--json", "-") == 0
    got = json.loads(capsys.readouterr().out)
    assert [one["first"] for one in got["pairings"]] == ["random", "random"]


def test_one_alone_plays_against_random(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [CHECKPOINT, "--games", 4, "--device", "cpu", "--openings", "none", "--json", "-"]
    outcomes = []
    for more in ((), (), ("--seed", 1), ("--sample",)):
        assert run(*arguments, *more) == 0
        (one,) = json.loads(capsys.readouterr().out)["pairings"]
        assert one["second"] == "random" and one["black_wins"] + one["white_wins"] == 4
        outcomes.append(one)
    assert outcomes[0] == outcomes[1], "the same seed is the same match"
    assert outcomes[2] != outcomes[0] != outcomes[3]


def test_games_are_stored_for_other_programs(tmp_path: Path) -> None:
    folder = tmp_path / "games"
    assert run("random", "greedy", "--games", 4, "--save-games", folder, "--max-plies", 40) == 0
    games = {
        "sfen": list(read_sfen(folder / "games.sfen")),
        "csa": list(read_csa(folder / "games.csa")),
        "kif": [read_kif(path) for path in sorted((folder / "kif").glob("*.kif"))],
    }
    stored = [json.loads(line) for line in (folder / "games.jsonl").read_text().splitlines()]
    assert len(stored) == 4
    for form, found in games.items():
        assert [list(game.moves) for game in found] == [one["moves"] for one in stored], form
    for form in ("csa", "kif"):
        for game, one in zip(games[form], stored, strict=True):
            assert (game.black, game.white) == (one["black"], one["white"])
            assert game.ending == one["ending"] and game.winner == one["winner"]
    board = cshogi.Board()
    for line in (folder / "games.sfen").read_text().splitlines():
        board.set_position(line)
        assert board.move_number > 6


def test_a_ladder_grows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ladder.json"
    for second in ("greedy", "one-ply"):
        assert run("random", second, "--games", 4, "--ladder", path, "--device", "cpu") == 0
    assert set(Ladder(path).ratings()) == {"random", "greedy_capture", "mate_aware"}
    assert "anchor" in capsys.readouterr().out
    path.write_text("{}")
    assert run("random", "greedy", "--ladder", path) == 2


def test_a_pairing_ends_when_the_test_is_sure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    settings = ["--sprt", 0, 100, "--batch", 8, "--games", 400, "--json", path, "--device", "cpu"]
    assert run("greedy", "random", *settings) == 0
    (one,) = results(path)["pairings"]
    assert one["games"] < 100 and one["sprt"]["decision"] == "H1"
    assert "greedy_capture against random: LLR" in capsys.readouterr().out
    assert run("random", "greedy", *settings) == 0
    assert results(path)["pairings"][0]["sprt"]["decision"] == "H0"
    assert run("random", "greedy", "--sprt", 10, 0) == 2


def test_an_engine_by_its_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    engine = f"dummy=usi:{sys.executable} {DUMMY};Skill_Level=3;go=nodes 10;processes=1"
    assert run("random", engine, "--games", 2, "--max-plies", 20, "--json", "-") == 0
    (one,) = json.loads(capsys.readouterr().out)["pairings"]
    assert one["second"] == "dummy" and one["games"] == 2


def test_what_cannot_be_used_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert run(tmp_path / "nowhere") == 2
    save_file(load_model(CHECKPOINT).weights, tmp_path / "odd.ckpt", metadata={"keisei": "{"})
    assert run(tmp_path / "odd.ckpt") == 2
    assert "odd.ckpt: expected JSON, got" in caplog.text
    assert run("random", "greedy", "--openings", tmp_path / "missing") == 2
    assert run("random", "random") == 2
    assert run("random", f"usi:{sys.executable} {DUMMY} 'dies at once'", "--games", 2) == 1
    assert "ended with status 3" in caplog.text
    assert run("random", "greedy", "--games", 2, "--json", tmp_path / "no/such/folder.json") == 2
    for arguments in ([], ["random", "--games", "0"], ["random", "--colour", "red"]):
        with pytest.raises(SystemExit) as left:
            run(*arguments)
        assert left.value.code == 2


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("gpu", "argument --device: expected cpu, cuda or cuda:N, got 'gpu'"),
        ("cuda", "argument --device: expected cpu or one of 0 CUDA devices, got 'cuda'"),
        ("cuda:1", "argument --device: expected cpu or one of 0 CUDA devices, got 'cuda:1'"),
    ],
)
def test_a_device_that_is_not_there_is_a_wrong_command_line(
    device: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as left:
        run("random", "greedy", "--device", device)
    assert left.value.code == 2 and said in capsys.readouterr().err


def test_what_was_played_before_a_failure_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder, ladder = (tmp_path / name for name in ("results.json", "games", "ladder.json"))
    dies = f"dies=usi:{sys.executable} {DUMMY} 'dies at once'"
    places = ["--json", path, "--save-games", folder, "--ladder", ladder]
    players = ["random", "greedy", dies]
    assert run(*players, "--games", 2, "--max-plies", 30, "--device", "cpu", *places) == 1
    assert "keisei-evaluate: random against dies: engine dies: " in caplog.text
    assert "; 1 of 3 pairings were played" in caplog.text
    got = results(path)
    assert not got["complete"] and len(read_sfen(folder / "games.sfen")) == 2
    assert [(one["first"], one["second"]) for one in got["pairings"]] == [
        ("random", "greedy_capture")
    ]
    assert set(Ladder(ladder).ratings()) == {"random", "greedy_capture"}
    assert "greedy_capture" in capsys.readouterr().out


SIGNALS = [(signal.SIGINT, "interrupted", 130), (signal.SIGTERM, "terminated", 143)]
"""what ends a match from outside, how that is said, and the exit status"""


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(("number", "word", "status"), SIGNALS)
def test_a_signal_keeps_what_was_played(
    number: signal.Signals,
    word: str,
    status: int,
    after: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, matches = tmp_path / "results.json", []
    play = cli.execute_full_evaluation_run

    def interrupted(*args: Any, **options: Any) -> Any:
        matches.append(options["name"])
        if len(matches) > after:
            signal.raise_signal(number)
        return play(*args, **options)

    monkeypatch.setattr(cli, "execute_full_evaluation_run", interrupted)
    players = ["random", "greedy", "one-ply"]
    options = ["--games", 2, "--max-plies", 30, "--device", "cpu", "--json", path]
    # A shell lets what it starts in the background ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run(*players, *options) == status
    finally:
        signal.signal(signal.SIGINT, before)
    second = "mate_aware" if after else "greedy_capture"
    said = f"random against {second}: {word}; {after} of 3 pairings were played"
    assert said in caplog.text
    assert ("greedy_capture" in capsys.readouterr().out) == path.exists() == bool(after)
    if after:
        assert len(results(path)["pairings"]) == 1 and not results(path)["complete"]


def check_that_four_games_are_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of a pairing of eight that was cut short in the third pair; what ``places`` names."""
    assert "; 0 of 1 pairings were played, and 4 of 8 games of this one are kept" in caplog.text
    got = results(tmp_path / "results.json")
    (one,) = got["pairings"]
    assert not got["complete"] and not one["complete"] and one["games"] == 4
    assert sum(one["pairs"]) == 2 and one["endings"]["move_limit"]["draws"] == 4
    stored = (tmp_path / "games" / "games.jsonl").read_text().splitlines()
    assert [json.loads(line)["black"] for line in stored] == [one["first"], one["second"]] * 2
    ratings = Ladder(tmp_path / "ladder.json").ratings()
    assert ratings[one["first"]].games == ratings[one["second"]].games == 4


def places(tmp_path: Path) -> list[object]:
    ladder = tmp_path / "ladder.json"
    anchors = {"random": 0.0, "A": 0.0}
    ladder.write_text(json.dumps({"format": 1, "anchors": anchors, "scores": []}))
    where = ["--json", tmp_path / "results.json", "--save-games", tmp_path / "games"]
    return [*where, "--ladder", ladder]


@pytest.mark.parametrize("sprt", [[], ["--sprt", 0, 10]], ids=["all games", "sprt"])
def test_ctrl_c_keeps_the_finished_pairs_of_two_engines(
    sprt: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    play, stopped = cli.play_engines, threading.Event()

    def ctrl_c(number: int, frame: object) -> None:
        if not stopped.is_set():
            stopped.set()
            raise KeyboardInterrupt

    def interrupted(*settings: Any, enough: Callable[[MatchResult], bool], **options: Any) -> Any:
        def pressed(result: MatchResult) -> bool:
            sure = enough(result)
            if result.games == 4:
                main = threading.main_thread().ident
                assert main is not None
                signal.pthread_kill(main, signal.SIGINT)
                while not stopped.wait(1):  # it came just before the main thread began to wait
                    signal.pthread_kill(main, signal.SIGINT)
            return sure

        # The thread that plays ends at the next ply, whether or not it is told so yet.
        return play(*settings, enough=pressed, cancelled=stopped.is_set, **options)

    monkeypatch.setattr(cli, "play_engines", interrupted)
    players = [f"{name}=usi:{sys.executable} {DUMMY};go=nodes 10" for name in "AB"]
    settings = ["--games", 8, "--max-plies", 10, "--parallel", 1, "--openings", "none", *sprt]
    before = signal.signal(signal.SIGINT, ctrl_c)
    try:
        assert run(*players, *settings, *places(tmp_path)) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "A against B: interrupted; " in caplog.text
    check_that_four_games_are_kept(tmp_path, caplog)
    assert "4 of 8" in capsys.readouterr().out
    if sprt:
        (one,) = results(tmp_path / "results.json")["pairings"]
        assert one["sprt"] == {"llr": pytest.approx(0, abs=0.1), "decision": None}


def test_an_engine_that_cannot_be_started_again_leaves_the_finished_games(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Five moves a game: it dies in the sixth, and the folder is there when it is started again.
    once = f'sh -c "mkdir {tmp_path / "begun"} && exec {sys.executable} {DUMMY} dies 25"'
    players = [f"A=usi:{sys.executable} {DUMMY};go=nodes 10", f"B=usi:{once};go=nodes 10"]
    settings = ["--games", 8, "--max-plies", 10, "--parallel", 1, "--openings", "none"]
    assert run(*players, *settings, *places(tmp_path)) == 1
    assert "A against B: engine B: it ended with status 1; " in caplog.text
    check_that_four_games_are_kept(tmp_path, caplog)


@pytest.mark.parametrize(("number", "word", "expected"), SIGNALS)
def test_a_signal_keeps_the_finished_batches(
    number: signal.Signals,
    word: str,
    expected: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    play = evaluate.play_match

    def interrupted(*players: Any, **options: Any) -> MatchResult:
        if options["first_game"] == 4:
            signal.raise_signal(number)
        return play(*players, **options)

    monkeypatch.setattr(evaluate, "play_match", interrupted)
    settings = ["--games", 8, "--batch", 2, "--max-plies", 10, "--openings", "none"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status = run("random", "greedy", *settings, "--device", "cpu", *places(tmp_path))
    finally:
        signal.signal(signal.SIGINT, before)
    assert status == expected
    assert f"random against greedy_capture: {word}; " in caplog.text
    check_that_four_games_are_kept(tmp_path, caplog)


def test_a_second_sigterm_does_not_keep_the_results_from_being_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play, write = evaluate.play_match, cli._write_json

    def ended(*players: Any, **options: Any) -> MatchResult:
        if options["first_game"] == 4:
            signal.raise_signal(signal.SIGTERM)
        return play(*players, **options)

    def again(*args: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        write(*args)

    monkeypatch.setattr(evaluate, "play_match", ended)
    monkeypatch.setattr(cli, "_write_json", again)
    before = signal.getsignal(signal.SIGTERM)
    settings = ["--games", 8, "--batch", 2, "--max-plies", 10, "--device", "cpu"]
    assert run("random", "greedy", *settings, *places(tmp_path)) == 143
    assert results(tmp_path / "results.json")["pairings"][0]["games"] == 4
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_before_the_first_game(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def loading(*args: object, **options: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(cli, "make_opponents", loading)
    assert run("random", "greedy") == 143
    assert "keisei-evaluate: terminated before the first game" in caplog.text


def test_sigterm_ends_a_match_of_engines_and_the_engines(tmp_path: Path) -> None:
    fifo = tmp_path / "pids"
    os.mkfifo(fifo)
    pids = os.open(fifo, os.O_RDWR)
    tells = f'sh -c "echo $$ > {fifo} && exec {sys.executable} {DUMMY}"'
    players = [f"{name}=usi:{tells};go=nodes 10" for name in "AB"]
    command = [sys.executable, "-m", "keisei.evaluation.cli", *players, "--openings", "none"]
    with subprocess.Popen(
        [*command, "--games", "1000000", "--parallel", "1", "--json", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        try:
            text = b""
            while text.count(b"\n") < 2:
                assert select.select([pids], [], [], 120)[0], "expected two engines to begin"
                text += os.read(pids, 100)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
            os.close(pids)
    assert process.returncode == 143, said
    assert "keisei-evaluate: A against B: terminated; 0 of 1 pairings were played, and " in said
    for pid in map(int, text.split()):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_games_that_cannot_be_stored_leave_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(folder: Path, records: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    monkeypatch.setattr(cli, "save_games", full)
    settings = ["--games", 2, "--max-plies", 10, "--device", "cpu"]
    assert run("random", "greedy", *settings, *places(tmp_path)) == 1
    assert "No space left on device" in caplog.text
    got = results(tmp_path / "results.json")
    assert got["complete"] and got["pairings"][0]["games"] == 2


def test_the_help_names_every_player(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--help")
    text = capsys.readouterr().out
    for name in ("random", "greedy_capture", "mate_aware", "mixture:A:B:SHARE", "usi:COMMAND"):
        assert name in text


PAGES = ("docs/evaluation.md", "docs/training.md", "configs/eight-minutes.yaml")


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_the_pages_are_taken(page: str) -> None:
    text = (Path(__file__).parents[2] / page).read_text()
    commands = [line.lstrip("# ") for line in text.splitlines()]
    commands = [line for line in commands if line.startswith("keisei-evaluate ")]
    assert commands, f"{page} shows no command"
    for line in commands:
        if "--help" not in line and not line.startswith("keisei-evaluate --"):
            cli._parser().parse_args(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("option", ["--json", "--ladder"])
def test_a_place_that_cannot_be_written_to_is_refused_before_the_first_game(
    option: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_game(*args: object, **options: object) -> None:
        raise AssertionError("a game was played")

    monkeypatch.setattr("keisei.evaluation.cli.execute_full_evaluation_run", no_game)
    place = tmp_path / "nowhere" / "out.json"
    assert cli.main(["random", "greedy", option, str(place)]) == 2
    assert f"{option}: expected a folder that can be written to, got {place.parent}" in caplog.text


@pytest.mark.parametrize("left", ["games.sfen", "games.csa", "games.jsonl", "kif/00001.kif"])
def test_a_folder_with_games_is_refused_before_the_first_game(
    left: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_game(*args: object, **options: object) -> None:
        raise AssertionError("a game was played")

    monkeypatch.setattr("keisei.evaluation.cli.execute_full_evaluation_run", no_game)
    folder = tmp_path / "games"
    (folder / left).parent.mkdir(parents=True)
    (folder / left).write_text("of another match\n")
    assert run("random", "greedy", "--save-games", folder) == 2
    name = left.partition("/")[0]
    said = f"--save-games: {folder}: expected a folder without saved games, got {name}; "
    assert said + "name another folder, or move away what is there" in caplog.text
    assert (folder / left).read_text() == "of another match\n"


def test_a_folder_with_other_files_takes_the_games(tmp_path: Path) -> None:
    folder = tmp_path / "games"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine\n")
    settings = ["--games", 2, "--max-plies", 10, "--device", "cpu", "--save-games", folder]
    assert run("random", "greedy", *settings) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "games.csa",
        "games.jsonl",
        "games.sfen",
        "kif",
        "notes.txt",
    ]
    assert run("random", "greedy", *settings) == 2, "the second match"


def test_a_name_that_is_nobodys_is_told_who_there_is(caplog: pytest.LogCaptureFixture) -> None:
    assert run("gredy") == 2
    assert "keisei-evaluate: opponent 'gredy': did you mean greedy? expected " in caplog.text


def test_engines_say_how_far_they_are(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    players = [f"A=usi:{sys.executable} {DUMMY}", f"B=usi:{sys.executable} {DUMMY} resigns"]
    settings = ["--games", 5, "--parallel", 1, "--max-plies", 20, "--json", "-"]
    clock = itertools.count(0, 6).__next__  # six seconds a game
    assert cli.main([*players, *map(str, settings)], clock=clock) == 0
    said = [line for line in caplog.messages if " games, " in line]
    assert said == [
        "A against B: 2 of 5 games, +2 =0 -0",
        "A against B: 4 of 5 games, +4 =0 -0",
    ]
    assert json.loads(capsys.readouterr().out)["pairings"][0]["games"] == 5


def test_players_without_processes_say_it_by_batches(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    settings = ["--games", 10, "--batch", 2, "--max-plies", 30, "--device", "cpu"]
    clock = itertools.count(0, 6).__next__  # six seconds a batch
    assert cli.main(["greedy", "random", *map(str, settings)], clock=clock) == 0
    said = [line for line in caplog.messages if " games, " in line]
    assert [line.partition(" games, ")[0] for line in said] == [
        f"greedy_capture against random: {games} of 10" for games in (4, 8)
    ]


def test_each_of_several_pairings_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    settings = ["--games", 2, "--max-plies", 30, "--device", "cpu"]
    players = ["random", "greedy", "one-ply"]
    assert cli.main([*players, *map(str, settings)], clock=lambda: 0.0) == 0
    said = [line for line in caplog.messages if " games, " in line]
    assert [line.partition(":")[0] for line in said] == [
        "random against greedy_capture",
        "random against mate_aware",
        "greedy_capture against mate_aware",
    ]
    assert all(re.search(r": 2 of 2 games, \+\d =\d -\d$", line) for line in said)
    caplog.clear()
    assert cli.main(["random", "greedy", *map(str, settings)], clock=lambda: 0.0) == 0
    assert not [line for line in caplog.messages if " games, " in line], "the table says it"


def test_a_terminal_of_80_columns_cuts_no_name_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")  # whose width rich takes to be 80
    players = ["a-name-that-is-rather-long=greedy", "another-name-of-the-kind=random"]
    assert run(*players, "--games", 2, "--max-plies", 30, "--device", "cpu") == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    assert "a-name-that-is-rather-long against another-name-of-the-kind, 2 games\n" in text
