"""What a run keeps of its games: some whole ones and how all of them began, of bounded size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_helpers import PLIES, tiny_config, trainer_of

from keisei import Position, ops
from keisei.evaluation.game_record import START_SFEN, GameRecord
from keisei.training.callbacks import Event, Snapshot
from keisei.training.followed_games import FollowedRows
from keisei.training.game_log import (
    GAMES_EACH,
    OPENINGS_FILE,
    STRETCHES,
    GameLog,
    forget_after,
    games_file,
    interval_at,
    read_openings,
    thin,
)

START = Position.from_sfen(START_SFEN)
MATE = Position.from_sfen("4k4/9/4P4/9/9/9/9/9/4K4 b G 1")


def rows_of(
    games: list[tuple[Position, list[str]]], value: float = 0.25, past_self: int | None = None
) -> FollowedRows:
    """A rollout as long as the longest, in which each slot plays one game.

    ``past_self``: the ply that is not the learner's own.
    """
    plies = max(len(moves) for _, moves in games)
    shape = (plies, len(games))
    labels = np.zeros(shape, np.int32)
    positions = np.zeros((plies + 1, len(games), 17), np.int32)
    ending, length = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    valid = np.zeros(shape, np.bool_)
    for slot, (start, moves) in enumerate(games):
        position = start.copy()
        for ply, move in enumerate(moves):
            positions[ply, slot] = position.words()
            labels[ply, slot] = position.label(move)
            valid[ply, slot] = True
            position.push(move)
        ending[len(moves) - 1, slot] = ops.MOVE_LIMIT
        length[len(moves) - 1, slot] = len(moves)
    values = np.full(shape, value, np.float32)
    own = np.ones(shape, np.bool_) if past_self is None else np.arange(plies)[:, None] != past_self
    own = np.broadcast_to(own, shape)
    winner = np.full(shape, -1)
    return FollowedRows(positions, labels, values, valid, own, ending, winner, length)


def moment(run: Path, event: Event, iteration: int, step: int) -> Snapshot:
    return Snapshot(event, iteration, step, 0.0, run)


def records(path: Path) -> list[GameRecord]:
    return [GameRecord.from_json(json.loads(line)) for line in path.read_text().splitlines()]


GAME = (START, ["7g7f", "3c3d", "2g2f", "4c4d", "2f2e"])


def test_games_and_openings_are_stored(tmp_path: Path) -> None:
    other = (START, ["2g2f", "8c8d"])
    log = GameLog(lambda: rows_of([GAME, other, GAME]), interval=100)
    log.on_start(moment(tmp_path, Event.START, 0, 0))
    for i in (1, 2, 3):
        log.on_update_end(moment(tmp_path, Event.UPDATE_END, i, 40 * i))
    first = records(games_file(tmp_path, 40))
    assert [game.moves for game in first] == [tuple(GAME[1]), ("2g2f", "8c8d"), tuple(GAME[1])]
    assert first[0].ending == "move_limit" and first[0].winner is None
    assert first[0].start == START_SFEN and first[0].values == (0.25,) * 5
    assert first[0].event == "self-play, ended by step 40"
    assert sorted(path.name for path in (tmp_path / "games").iterdir()) == [
        games_file(tmp_path, 40).name
    ], "one record a stretch"
    assert read_openings(tmp_path / OPENINGS_FILE) == [
        {
            "step": 120,
            "games": 9,
            "starts": {START_SFEN: {"7g7f 3c3d 2g2f 4c4d": 6, "2g2f 8c8d": 3}},
            "others": 0,
        }
    ]
    log.on_update_end(moment(tmp_path, Event.UPDATE_END, 4, 160))
    assert games_file(tmp_path, 160).exists(), "the next stretch has games of its own"
    log.on_finish(moment(tmp_path, Event.FINISH, 4, 160))
    assert [line["games"] for line in read_openings(tmp_path / OPENINGS_FILE)] == [9, 3]


def test_what_cannot_be_written_is_not_lost(tmp_path: Path) -> None:
    log = GameLog(lambda: rows_of([GAME]), interval=10)
    log.on_start(moment(tmp_path, Event.START, 0, 0))
    for blocked in (tmp_path / "games", tmp_path / OPENINGS_FILE):
        blocked.mkdir(mode=0o700)
    games_file(tmp_path, 40).mkdir()
    (games_file(tmp_path, 40) / "in the way").touch()
    with pytest.raises(OSError, match="directory"):
        log.on_update_end(moment(tmp_path, Event.UPDATE_END, 1, 40))
    (games_file(tmp_path, 40) / "in the way").unlink()
    games_file(tmp_path, 40).rmdir()
    with pytest.raises(OSError, match="directory"):
        log.on_update_end(moment(tmp_path, Event.UPDATE_END, 2, 80))
    (tmp_path / OPENINGS_FILE).rmdir()
    log.on_update_end(moment(tmp_path, Event.UPDATE_END, 3, 120))
    assert len(records(games_file(tmp_path, 80))) == 1
    (line,) = read_openings(tmp_path / OPENINGS_FILE)
    assert line["games"] == 3


def test_values_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    log = GameLog(lambda: rows_of([GAME], float("nan")), interval=100)
    log.on_start(moment(tmp_path, Event.START, 0, 0))
    log.on_update_end(moment(tmp_path, Event.UPDATE_END, 1, 40))
    assert records(games_file(tmp_path, 40))[0].values == (None,) * 5


@pytest.mark.parametrize(
    ("start", "past_self", "players"),
    [
        (START, None, ("run", "run")),
        (START, 1, ("run", "past self")),
        (START, 2, ("past self", "run")),
        (Position.from_sfen("4k4/9/9/9/9/9/4p4/9/4K4 w g 1"), 0, ("run", "past self")),
    ],
)
def test_past_selves_are_named(
    tmp_path: Path, start: Position, past_self: int | None, players: tuple[str, str]
) -> None:
    moves = GAME[1] if start is START else ["5a5b", "5i4h"]
    run = tmp_path / "run"
    run.mkdir()
    log = GameLog(lambda: rows_of([(start, moves)], past_self=past_self), interval=100)
    log.on_start(moment(run, Event.START, 0, 0))
    log.on_update_end(moment(run, Event.UPDATE_END, 1, 40))
    (game,) = records(games_file(run, 40))
    assert (game.black, game.white) == players


def test_games_from_other_starts_are_counted_apart(tmp_path: Path) -> None:
    log = GameLog(lambda: rows_of([GAME, (MATE, ["G*5b"])]), interval=10)
    log.on_start(moment(tmp_path, Event.START, 0, 0))
    log.on_update_end(moment(tmp_path, Event.UPDATE_END, 1, 40))
    (line,) = read_openings(tmp_path / OPENINGS_FILE)
    assert line["starts"] == {
        START_SFEN: {"7g7f 3c3d 2g2f 4c4d": 1},
        MATE.sfen(): {"G*5b": 1},
    }


def test_a_resumed_run_forgets_what_came_after(tmp_path: Path) -> None:
    for step in (100, 200, 300):
        path = games_file(tmp_path, step)
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}\n")
    evaluation = tmp_path / "games" / "evaluation-300.jsonl"
    evaluation.write_text("")
    lines = [{"step": step, "games": 0, "starts": {}, "others": 0} for step in (100, 200, 300)]
    openings = tmp_path / OPENINGS_FILE
    openings.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 3')
    forget_after(tmp_path, 200)
    assert not games_file(tmp_path, 300).exists() and games_file(tmp_path, 200).exists()
    assert evaluation.exists(), "those of evaluations are not its own"
    assert [json.loads(line)["step"] for line in openings.read_text().splitlines()] == [100, 200]


def test_stretches_grow_so_that_there_are_never_too_many() -> None:
    for step in (1, 127, 128, 10**4, 10**6, 12_345_678, 10**12):
        interval = interval_at(100, step)
        assert interval % 100 == 0 and step / interval <= STRETCHES
        assert interval == 100 or step / interval > STRETCHES / 2


def test_a_long_run_keeps_a_bounded_record_of_all_of_it(tmp_path: Path) -> None:
    log = GameLog(lambda: rows_of([GAME] * (GAMES_EACH + 1)), interval=10)
    log.on_start(moment(tmp_path, Event.START, 0, 0))
    last = 1000
    for i in range(1, last + 1):
        log.on_update_end(moment(tmp_path, Event.UPDATE_END, i, 10 * i))
    steps = sorted(int(path.stem.split("-")[-1]) for path in (tmp_path / "games").iterdir())
    assert STRETCHES // 2 <= len(steps) <= STRETCHES + 1
    assert steps[0] <= 160 and steps[-1] >= 10 * last - 160
    assert max(np.diff(steps)) <= 2 * interval_at(10, 10 * last)
    lines = read_openings(tmp_path / OPENINGS_FILE)
    assert STRETCHES // 2 <= len(lines) <= STRETCHES + 1
    assert sum(line["games"] for line in lines) >= (last - 16) * (GAMES_EACH + 1)
    assert all(len(records(path)) == GAMES_EACH for path in (tmp_path / "games").iterdir())


def test_openings_that_become_one_are_added_up(tmp_path: Path) -> None:
    def line(step: int, count: int) -> dict[str, Any]:
        starts = {START_SFEN: {"7g7f": count, "2g2f": 1}}
        return {"step": step, "games": count + 3, "starts": starts, "others": 2}

    openings = tmp_path / OPENINGS_FILE
    openings.write_text("".join(json.dumps(line(s, s)) + "\n" for s in (10, 20, 30)))
    thin(tmp_path, 20)
    first, second = read_openings(openings)
    assert first == {
        "step": 20,
        "games": 36,
        "starts": {START_SFEN: {"7g7f": 30, "2g2f": 2}},
        "others": 4,
    }
    assert second == line(30, 30)


@pytest.mark.parametrize("mirror", [False, True])
def test_a_run_stores_them_and_goes_on_after_a_resume(tmp_path: Path, mirror: bool) -> None:
    config = tiny_config(tmp_path, 4 * PLIES)
    logging = config.logging.model_copy(update={"games_interval": PLIES, "follow_games": 3})
    training = config.training.model_copy(update={"mirror": mirror})
    config = config.model_copy(update={"logging": logging, "training": training})
    run = tmp_path / "run"
    assert trainer_of(config).run_training_loop()
    before = {path.name for path in (run / "games").iterdir()}
    games = [game for name in sorted(before) for game in records(run / "games" / name)]
    assert len(games) >= 3
    for game in games:
        assert len(list(game.positions())) == game.plies + 1 == 6
        assert game.ending == "move_limit" and len(game.values) == 5
    longer = config.training.model_copy(update={"total_timesteps": 12 * PLIES})
    assert trainer_of(config.model_copy(update={"training": longer}), str(run)).run_training_loop()
    after = {path.name for path in (run / "games").iterdir()}
    assert before < after
    for name in after - before:
        for game in records(run / "games" / name):
            assert len(list(game.positions())) == 6
    steps = [line["step"] for line in read_openings(run / OPENINGS_FILE)]
    assert steps == sorted(set(steps)) and len(steps) >= 3


def test_a_run_that_follows_no_game_stores_none(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, 4 * PLIES)
    logging = config.logging.model_copy(update={"follow_games": 0})
    trainer = trainer_of(config.model_copy(update={"logging": logging}))
    assert trainer.run_training_loop()
    assert not (tmp_path / "run" / "games").exists()
    with pytest.raises(RuntimeError, match="expected games to follow, got none"):
        trainer.step_manager.followed_rows()


def test_games_that_are_built_anew_are_followed(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, 4 * PLIES)
    logging = config.logging.model_copy(update={"games_interval": PLIES})
    trainer = trainer_of(config.model_copy(update={"logging": logging}))
    trainer._initialize_components()
    assert trainer.run_training_loop()
    assert list((tmp_path / "run" / "games").iterdir())
