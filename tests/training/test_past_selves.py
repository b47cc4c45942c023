"""The pool of past selves: who joins, who plays, what is counted, and that it goes on exactly."""

from __future__ import annotations

import collections
import io
import itertools
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from agents import make_agent
from mates import mates_in_one
from rich.console import Console
from tiny_run import contents, differences, digest, figures, tiny_config, tiny_trainer, watched

from keisei import ops
from keisei.config_schema import (
    AppConfig,
    ConfigError,
    EnvConfig,
    LoggingConfig,
    ModelConfig,
    PastSelvesConfig,
    TrainingConfig,
    resolve,
)
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.frozen_players import Seats
from keisei.core.model_file import CheckpointError
from keisei.training import Trainer, setup_manager
from keisei.training.checkpoint import load_checkpoint, verify
from keisei.training.past_selves import (
    MEMORY,
    PastSelves,
    chances,
    draw,
    games_against_each,
    place_results,
)
from keisei.training.setup_manager import SetupManager
from keisei.training.train_state import TrainState


def config(**past: Any) -> AppConfig:
    return resolve(
        AppConfig(
            training=TrainingConfig(seed=3),
            env=EnvConfig(num_games=16, max_plies=6),
            past_selves=PastSelvesConfig(
                **{"share": 0.75, "opponents": 2, "interval": 100, "capacity": 3, "stay": 4} | past
            ),
        ),
        device="cpu",
        compile_network=False,
    )


def pool(state: TrainState | None = None, **past: Any) -> tuple[PastSelves, TrainState]:
    agent, env, _ = make_agent()
    progress = TrainState() if state is None else state
    return PastSelves(config(**past), agent, env, lambda: progress), progress


def test_the_hardest_are_drawn_by_the_square_of_what_the_learner_lacks() -> None:
    got = chances([0.5, 1.0, 0.0, 0.75], "hardest")
    total = 0.25 + 0.0 + 1.0 + 0.0625
    expected = [0.9 * weight / total + 0.025 for weight in (0.25, 0.0, 1.0, 0.0625)]
    assert got == pytest.approx(expected, abs=1e-15)
    assert got[2] > got[0] > got[3] > got[1] > 0, "whoever is beaten always is met again at times"
    assert sum(got) == pytest.approx(1.0)


@pytest.mark.parametrize("selection", ["uniform", "hardest"])
def test_equals_are_drawn_alike(selection: str) -> None:
    assert chances([0.3] * 5, selection) == pytest.approx([0.2] * 5)
    assert chances([1.0] * 4, selection) == pytest.approx([0.25] * 4)
    assert chances([0.9], selection) == [1.0]


def test_uniform_does_not_ask_how_hard_they_are() -> None:
    assert chances([0.0, 0.5, 1.0], "uniform") == pytest.approx([1 / 3] * 3)


def test_draws_are_as_likely_as_they_should_be_and_the_same_each_time() -> None:
    probabilities = [0.1, 0.0, 0.6, 0.3]
    count = 20_000
    drawn = [draw(probabilities, 7, n // 4, n % 4) for n in range(count)]
    assert drawn == [draw(probabilities, 7, n // 4, n % 4) for n in range(count)]
    shares = collections.Counter(drawn)
    for index, probability in enumerate(probabilities):
        deviation = (probability * (1 - probability) / count) ** 0.5
        assert abs(shares[index] / count - probability) <= 4 * deviation, index
    other = [draw(probabilities, 8, n // 4, n % 4) for n in range(count)]
    assert 0.4 < sum(a == b for a, b in zip(drawn, other, strict=True)) / count < 0.52


def test_each_has_its_part_of_the_share() -> None:
    assert games_against_each(config()) == 6
    assert games_against_each(config(share=1.0, opponents=3)) == 5
    assert games_against_each(config(share=0.3, opponents=1)) == 4
    assert games_against_each(resolve(AppConfig(), device="cpu", compile_network=False)) == 0


def test_a_share_of_less_than_a_game_for_each_is_refused(tmp_path: Path) -> None:
    text = (
        "past_selves.opponents: expected at most 2, as many as there are games in the share 0.125 "
        "of 16 games, got 3"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        games_against_each(config(share=0.125, opponents=3))
    tiny = tiny_config(tmp_path, 9)
    past = PastSelvesConfig(share=0.5, opponents=5)
    with pytest.raises(ConfigError, match=r"^past_selves\.opponents: expected at most 4, "):
        tiny_trainer(tiny.model_copy(update={"past_selves": past}))
    assert not list(tmp_path.iterdir())


def ended(rows: list[list[tuple[bool, float, int, int]]]) -> ExperienceBuffer:
    """A rollout of rows of games: (own, reward, ending, length)."""
    games = len(rows[0])
    buffer = ExperienceBuffer(len(rows), games, torch.device("cpu"), opponents=True)
    for row in rows:
        own, reward, ending, length = zip(*row, strict=True)
        buffer.record_decision(
            positions=torch.zeros(games, 17, dtype=torch.int32),
            actions=torch.zeros(games, dtype=torch.int64),
            log_probs=torch.zeros(games),
            values=torch.zeros(games),
            own=torch.tensor(own),
        )
        buffer.record_result(
            rewards=torch.tensor(reward),
            ending=torch.tensor(ending, dtype=torch.uint8),
            valid=torch.ones(games, dtype=torch.bool),
            length=torch.tensor(length, dtype=torch.int32),
        )
    return buffer


def test_results_are_the_learners_and_count_for_who_was_there_all_along() -> None:
    on, mate = (True, 0.0, ops.NOT_ENDED, 0), ops.NO_LEGAL_MOVE
    cut, draw_ = ops.MOVE_LIMIT, ops.REPETITION
    rows = [
        # itself               first opponent                              second opponent
        [(True, 1.0, mate, 9), (True, 1.0, mate, 3), (False, 1.0, mate, 4), on, on],
        [on, (False, -1.0, ops.DECLARATION, 1), on, (True, 0.0, cut, 6), (True, 0.0, draw_, 99)],
    ]  # fmt: skip
    buffer = ended(rows)
    seats = Seats(5, 1, 2, 2)
    # The first took its place two plies before this rollout, the second four.
    got = place_results(buffer, seats, [2, 4])
    assert got.dtype == torch.int64
    assert got.tolist() == [
        [3, 2, 1, 2, 4],  # the game that was lost had begun before: of 4 plies, 3 were played here
        [2, 0, 0, 1, 1],
    ]
    assert place_results(buffer, seats, [3, 97])[0].tolist() == [3, 2, 1, 3, 4]
    assert place_results(buffer, seats, [0, 97])[1].tolist() == [2, 0, 0, 2, 2]


def bias(one: Any) -> float:
    """What tells the weights of these tests apart."""
    return float(one["policy_out.bias"][0])


def test_the_present_weights_join_at_the_interval_and_the_oldest_leaves() -> None:
    past, progress = pool()
    for number, step in enumerate((0, 96, 192, 200, 288, 384, 400, 480, 500)):
        progress.step, progress.iteration = step, number
        with torch.no_grad():
            past._agent.model.policy_out.bias.fill_(step)  # type: ignore[attr-defined]
        past.prepare()
        if step == 480:
            assert [one.step for one in past.members] == [0, 192, 384]
    assert [one.step for one in past.members] == [192, 384, 500]
    assert [bias(one.weights) for one in past.members] == [192.0, 384.0, 500.0]
    assert [one["step"] for one in progress.past_selves["members"]] == [192, 384, 500]


def test_the_averaged_weights_join_where_they_are_what_is_evaluated() -> None:
    agent, env, _ = make_agent(ema_decay=0.5, use_ema=True)
    average = agent.averaged_state_dict()["policy_out.bias"]
    with torch.no_grad():
        average.fill_(3.0)
    progress = TrainState()
    past = PastSelves(config(), agent, env, lambda: progress)
    past.prepare()
    assert bias(past.members[0].weights) == 3.0
    with torch.no_grad():
        average.fill_(4.0)
    assert bias(past.members[0].weights) == 3.0, "what joined does not change"


def test_places_are_drawn_anew_in_turn_and_have_the_weights_of_who_plays() -> None:
    past, progress = pool(stay=4, capacity=50, interval=1)
    changed: dict[int, list[int]] = {0: [], 1: []}
    before = [-1, -1]
    for iteration in range(40):
        progress.step, progress.iteration = 10 * iteration, iteration
        with torch.no_grad():
            past._agent.model.policy_out.bias.fill_(10 * iteration)  # type: ignore[attr-defined]
        past.prepare()
        steps = [seat["step"] for seat in progress.past_selves["places"]]
        for place, (now, earlier) in enumerate(zip(steps, before, strict=True)):
            assert bias(past.players._models[place].state_dict()) == now
            if now != earlier:
                changed[place].append(iteration)
        before = steps
    assert changed[0][0] == changed[1][0] == 0, "at first every place is drawn"
    assert {iteration % 4 for iteration in changed[0]} == {0}
    assert {iteration % 4 for iteration in changed[1][1:]} == {2}
    assert min(map(len, changed.values())) > 5
    assert [past.opponent_of(game) for game in (0, 3, 4, 9, 10, 15)] == [
        None, None, before[0], before[0], before[1], before[1]
    ]  # fmt: skip
    assert pool()[0].opponent_of(15) is None, "nobody sits there yet"


def test_who_leaves_the_pool_leaves_its_place() -> None:
    past, progress = pool(capacity=1, stay=1000)
    past.prepare()
    progress.step, progress.iteration = 100, 1
    progress.past_selves["places"][0]["plies"] = 64
    past.prepare()
    assert [one.step for one in past.members] == [100]
    assert progress.past_selves["places"] == [{"step": 100, "plies": 0}] * 2


def test_estimates_go_by_the_last_games_and_are_said() -> None:
    past, progress = pool()
    past.prepare()
    mate = ops.NO_LEGAL_MOVE
    itself = [(True, 0.0, ops.NOT_ENDED, 0)] * 4
    # Ten games against the learner won by it, of two plies; two drawn ones.
    won = [(True, 1.0, mate, 2)] * 5
    rows = [itself + [(True, 0.0, ops.NOT_ENDED, 0)] * 12]
    rows += [[*itself, *won, (True, 0.0, ops.REPETITION, 2), *won, (False, 0.0, mate, 2)]]
    past.count(ended(rows))
    (member,) = progress.past_selves["members"]
    assert member == {"step": 0, "games": 12.0, "points": 11.0}
    assert past.figures == {
        "past_selves.members": 1.0,
        "past_selves.games": 12.0,
        "past_selves.wins": 10.0,
        "past_selves.losses": 0.0,
        "past_selves.undecided": 2.0,
        "past_selves.score": 11 / 12,
        "past_selves.score_against_0": 12 / 14,
    }
    assert [seat["plies"] for seat in progress.past_selves["places"]] == [2, 2]
    for _ in range(200):
        past.count(ended(rows))
    assert member["games"] == MEMORY
    assert member["points"] / MEMORY == pytest.approx(11 / 12)
    lost = [[(own, -reward, ending, length) for own, reward, ending, length in row] for row in rows]
    for _ in range(100):  # 1,200 games
        past.count(ended(lost))
    assert member["points"] / MEMORY < 0.4, "old results fade"


def test_a_hard_one_is_met_more_often_than_an_easy_one() -> None:
    past, progress = pool(stay=1, interval=10**9, opponents=1)
    past.prepare()
    for step, points in ((1, 90.0), (2, 10.0)):
        past._members[step] = type(past.members[0])(step, past.members[0].weights)
        progress.past_selves["members"].append({"step": step, "games": 100.0, "points": points})
    progress.past_selves["members"][0] |= {"games": 100.0, "points": 50.0}
    met: collections.Counter[int] = collections.Counter()
    rounds = 600
    for iteration in range(rounds):
        progress.iteration = iteration
        past.prepare()
        met[progress.past_selves["places"][0]["step"]] += 1
    scores = [51 / 102, 91 / 102, 11 / 102]
    expected = chances(scores, "hardest")
    for step, probability in enumerate(expected):
        deviation = (probability * (1 - probability) / rounds) ** 0.5
        assert abs(met[step] / rounds - probability) < 4 * deviation, step
    assert met[2] > met[0] > met[1] > 0


def test_past_selves_that_are_not_those_of_the_progress_are_refused() -> None:
    past, progress = pool()
    past.prepare()
    other, _ = pool()
    with pytest.raises(
        CheckpointError, match=r"past_selves: expected those of the steps \[0\], got"
    ):
        other.load((), progress.past_selves)


def test_games_in_flight_count_for_nobody_when_the_seats_are_others() -> None:
    past, progress = pool()
    past.prepare()
    for seat in progress.past_selves["places"]:
        seat["plies"] = 50
    again, _ = pool(progress)
    again.load(past.members, progress.past_selves)
    again.prepare()
    assert [seat["plies"] for seat in progress.past_selves["places"]] == [50, 50]
    fewer, _ = pool(progress, share=0.25)
    fewer.load(past.members, progress.past_selves)
    fewer.prepare()
    assert [seat["plies"] for seat in progress.past_selves["places"]] == [0, 0]


def test_players_that_do_not_fit_are_an_error_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_many(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(setup_manager, "PastSelves", too_many)
    agent, env, _ = make_agent()
    setup = SetupManager(config(), torch.device("cpu"))
    text = r"^past_selves\.opponents: expected as many networks as fit on cpu .*, got 2: CUDA out"
    with pytest.raises(ConfigError, match=text):
        setup.setup_past_selves(agent, env, TrainState)


# Whole runs.


def run_to(folder: Path, iterations: int, resume: str | None = None, **past: Any) -> Trainer:
    whole = tiny_config(folder, 30, save_every=2)
    if past:
        changed = whole.past_selves.model_copy(update=past)
        whole = whole.model_copy(update={"past_selves": changed})
    run, _ = watched(whole, iterations, resume)
    run.run_training_loop()
    return run


def test_a_checkpoint_has_the_pool_and_writes_no_past_self_twice(tmp_path: Path) -> None:
    run = run_to(tmp_path, 9)
    checkpoints = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))
    assert len(checkpoints) == 3
    files = [{path.name: path for path in one.glob("past-self-*")} for one in checkpoints]
    assert all(len(one) == 3 for one in files)
    for earlier, later in itertools.pairwise(files):
        shared = earlier.keys() & later.keys()
        assert shared and earlier.keys() != later.keys()
        for name in shared:
            assert earlier[name].samefile(later[name]), "one file, in two checkpoints"
    # What retention removed is removed; what stays is whole by itself.
    for one, names in zip(checkpoints, files, strict=True):
        index = verify(one)
        assert names.keys() <= index.files.keys()
        _, state = load_checkpoint(one)
        assert [p.file for p in state.past_selves] == sorted(names)
        told = [member["step"] for member in state.values["past_selves"]["members"]]
        assert told == [p.step for p in state.past_selves]
    last = load_checkpoint(checkpoints[-1])[1]
    assert run.past_selves is not None
    for saved, held in zip(last.past_selves, run.past_selves.members, strict=True):
        for name, tensor in held.weights.items():
            assert torch.equal(saved.weights[name], tensor)


def test_a_damaged_file_is_not_linked_but_written_anew(tmp_path: Path) -> None:
    run = run_to(tmp_path, 5)
    published = run.model_manager.published
    assert published is not None
    for path in published.glob("past-self-*"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)  # in place: every link sees it
    with pytest.raises(CheckpointError, match=r"past-self-\d+\.safetensors: SHA-256: expected"):
        load_checkpoint(published)
    target = published.with_name("step-0000000999999")
    run.model_manager._writer.save(target, run.model_manager.capture(), run.resolved_config)
    run.model_manager.close()
    assert len(load_checkpoint(target)[1].past_selves) == len(list(published.glob("past-self-*")))
    assert not any(path.samefile(published / path.name) for path in target.glob("past-self-*"))


@pytest.mark.parametrize("what", ["missing", "not listed", "torn"])
def test_a_checkpoint_without_one_of_its_past_selves_is_refused(tmp_path: Path, what: str) -> None:
    run_to(tmp_path, 5)
    checkpoint = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[-1]
    path = sorted(checkpoint.glob("past-self-*"))[0]
    if what == "torn":
        with path.open("r+b") as file:
            file.truncate(100)
    else:
        path.unlink()
    if what == "not listed":
        index = json.loads((checkpoint / "checkpoint.json").read_text())
        del index["files"][path.name]
        (checkpoint / "checkpoint.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=path.name):
        load_checkpoint(checkpoint)


def test_the_figures_say_what_came_of_it(tmp_path: Path) -> None:
    run_to(tmp_path, 9)
    lines = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    names = ("games", "wins", "losses", "undecided", "members")
    games = 0
    for line in lines:
        got = {name: line[f"past_selves.{name}"] for name in names}
        assert got["games"] == got["wins"] + got["losses"] + got["undecided"]
        assert got["games"] <= line["games.games"], "all games are counted there"
        assert 1 <= got["members"] <= 3
        assert ("past_selves.score" in line) == (got["games"] > 0)
        games += got["games"]
    total = sum(line["games.games"] for line in lines)
    assert 0.3 < games / total < 0.7, "half of the games"
    assert any("past_selves.score_against_0" in line for line in lines)


def test_a_run_without_share_knows_nothing_of_it(tmp_path: Path) -> None:
    run = run_to(tmp_path, 2, share=0.0)
    assert run.past_selves is None and run.experience_buffer.own is None
    state = run.metrics_manager.state
    assert state.past_selves == {}
    assert not list(tmp_path.rglob("past-self-*"))
    assert not any("past_selves." in line for line in run.metrics_manager.latest)


def test_a_run_may_begin_and_end_to_play_past_selves(tmp_path: Path) -> None:
    run_to(tmp_path, 3, share=0.0)
    run = run_to(tmp_path, 6, "latest")
    assert run.past_selves is not None
    steps = [one.step for one in run.past_selves.members]
    assert steps and steps[0] > 0, "those from then on"
    run = run_to(tmp_path, 8, "latest", share=0.0)
    assert run.past_selves is None and run.metrics_manager.state.past_selves == {}
    published = run.model_manager.published
    assert published is not None and not list(published.glob("past-self-*"))
    verify(published)


def test_another_number_of_opponents_goes_on_with_the_same_pool(tmp_path: Path) -> None:
    before = run_to(tmp_path, 5)
    assert before.past_selves is not None
    after = run_to(tmp_path, 7, "latest", opponents=4, stay=2, capacity=2, interval=10**6)
    assert after.past_selves is not None
    steps = [one.step for one in before.past_selves.members]
    assert [one.step for one in after.past_selves.members] == steps[-2:]
    assert len(after.metrics_manager.state.past_selves["places"]) == 4


def test_a_run_that_was_stopped_anywhere_plays_the_same_past_selves(tmp_path: Path) -> None:
    """Stopped at each of some points and resumed: the pool, its draws and its figures are those."""
    whole, unbroken = watched(tiny_config(tmp_path / "whole", 40, save_every=1000), 8)
    whole.run_training_loop()
    lines = figures(tmp_path / "whole" / "run")
    for stop in (1, 4):
        root = tmp_path / f"stopped-{stop}"
        settings = tiny_config(root, 40, save_every=1000)
        watched(settings, stop)[0].run_training_loop()
        resumed, again = watched(settings, 8, "latest")
        assert digest(resumed) == unbroken.seen[stop]
        resumed.run_training_loop()
        for number, ours in again.seen.items():
            different = [n for n, part in unbroken.seen[number].items() if ours[n] != part]
            assert not different, f"stopped after {stop}: at {number}: {different}"
        assert figures(root / "run") == lines
        ends = [
            sorted((folder / "run" / "checkpoints").glob("step-*"))[-1]
            for folder in (tmp_path / "whole", root)
        ]
        assert not differences(*map(contents, ends))


def test_a_plugin_network_plays_its_past_selves(tmp_path: Path) -> None:
    settings = tiny_config(tmp_path, 8).model_copy(
        update={"model": ModelConfig(type="plugin_samples:TinyNetwork")}
    )
    run = tiny_trainer(settings)
    assert run.run_training_loop() is True
    assert run.past_selves is not None and len(run.past_selves.members) == 3
    resumed = tiny_trainer(
        settings.model_copy(
            update={"training": settings.training.model_copy(update={"total_timesteps": 320})}
        ),
        "latest",
    )
    assert resumed.run_training_loop() is True


def test_it_learns_to_beat_a_frozen_player(tmp_path: Path) -> None:
    """Games of one ply from where a mate is, all against the weights of the start.

    The learner has the move in half of them; these it comes to win.
    """
    starts = tmp_path / "mates.sfen"
    starts.write_text("".join(f"{position.sfen()}\n" for position in mates_in_one(24)))
    trainer = Trainer(
        AppConfig(
            training=TrainingConfig(
                total_timesteps=6_500,
                rollout_length=2,
                batch_size=128,
                ppo_epochs=4,
                learning_rate=2e-3,
                entropy_coefficient=0.02,
                target_kl=None,
                device="cpu",
                compile=False,
            ),
            env=EnvConfig(num_games=120, max_plies=1, start_positions=str(starts)),
            model=ModelConfig(tower_depth=1, tower_width=16),
            past_selves=PastSelvesConfig(
                share=1.0, opponents=2, interval=10**9, selection="uniform"
            ),
            logging=LoggingConfig(
                run_root=str(tmp_path / "runs"), run_name="run", checkpoint_interval=10**9
            ),
        ),
        SimpleNamespace(resume=None),
        Console(file=io.StringIO()),
    )
    trainer.run_training_loop()
    text = (tmp_path / "runs" / "run" / "metrics.jsonl").read_text()
    scores = [json.loads(line)["past_selves.score"] for line in text.splitlines()]
    first, last = sum(scores[:5]) / 5, sum(scores[-5:]) / 5
    assert 0.4 < first < 0.6, "like against like"
    # It mates where it has the move; the other nearly never does.
    assert last > 0.65
    assert trainer.past_selves is not None
    assert [one.step for one in trainer.past_selves.members] == [0]
