"""One whole evaluation: its result, its log, and that it disturbs nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plugin_samples import FirstLegal
from torch import Tensor, nn

from keisei.config_schema import AppConfig, ModelConfig, resolve
from keisei.core.model_file import CheckpointError, save_model
from keisei.core.network import build_network
from keisei.evaluation.evaluate import (
    EvaluationResult,
    OpponentResult,
    append_result,
    execute_full_evaluation_run,
    forget_results_after,
)
from keisei.evaluation.fixed_players import UniformPlayer
from keisei.evaluation.match import MatchCancelledError, MatchResult, play_match
from keisei.evaluation.network_player import NetworkPlayer
from keisei.evaluation.openings import load_openings
from keisei.evaluation.scores import Pairs, Score
from keisei.utils.plugins import PluginError


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    from keisei.core.model_file import load_model

    return load_model(Path(__file__).parent.parent / "data/trained_policy.ckpt").network()


def test_the_result_is_that_of_the_match(trained: nn.Module) -> None:
    result = execute_full_evaluation_run(trained, games=12, seed=3, max_plies=60, step=77)
    match = play_match(
        NetworkPlayer(trained),
        UniformPlayer(),
        games=12,
        seed=3,
        max_plies=60,
        openings=load_openings(),
    )
    assert [one.opponent for one in result.results] == ["random"]
    assert result.results[0].result == match
    assert result.win_rate == match.win_rate > 0.5
    assert result.step == 77 and result.games == 12 and result.seconds > 0


def test_several_opponents_and_the_log(tmp_path: Path, trained: nn.Module) -> None:
    log = tmp_path / "evaluation.jsonl"
    opponents = ["random", "plugin_samples:FirstLegal"]
    results = [
        execute_full_evaluation_run(
            trained, opponents=opponents, games=4, max_plies=40, step=step, log_file=log
        )
        for step in (10, 20)
    ]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines == [result.to_json() for result in results]
    assert lines[0]["step"] == 10 and list(lines[0]["opponents"]) == opponents
    for one in lines[0]["opponents"].values():
        assert one["games"] == 4
        assert one["win_rate"] == (one["black_wins"] + one["white_wins"]) / 4
        for part, games in (("score", 4), ("black", 2), ("white", 2)):
            counts = [one[part][name] for name in ("wins", "draws", "losses")]
            assert sum(counts) == games
            assert one[part]["low"] <= one[part]["rate"] <= one[part]["high"]
        assert sum(sum(counts.values()) for counts in one["endings"].values()) == 4
        assert sum(one["pairs"]) == 2
    rates = [one["win_rate"] for one in lines[0]["opponents"].values()]
    assert lines[0]["win_rate"] == pytest.approx(sum(rates) / 2)


def test_a_checkpoint_by_its_path(tmp_path: Path) -> None:
    config = AppConfig(model=ModelConfig(tower_depth=1, tower_width=8))
    config = resolve(config, device="cpu", compile_network=False)
    torch.manual_seed(0)
    save_model(tmp_path / "model.ckpt", build_network(config.model), config, 123)
    result = execute_full_evaluation_run(tmp_path, games=2, max_plies=6)
    assert result.step == 123 and result.results[0].result.truncated == 2
    again = execute_full_evaluation_run(str(tmp_path / "model.ckpt"), games=2, max_plies=6)
    assert again.results == result.results
    with pytest.raises(CheckpointError):
        execute_full_evaluation_run(tmp_path / "nowhere")


class Drawing(FirstLegal):
    """Draws from every generator there is, and seeds them."""

    def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        random.seed(1), np.random.seed(2), torch.manual_seed(3), torch.rand(4)
        return super().choose(positions, mask, asked)


def test_nothing_of_a_run_is_disturbed(tmp_path: Path) -> None:
    config = AppConfig(model=ModelConfig(tower_depth=1, tower_width=8))
    network = build_network(resolve(config, device="cpu", compile_network=False).model)
    network.train()
    network.tower[0].eval()
    modes = [part.training for part in network.modules()]
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = draws()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    opponents = {"drawing": Drawing()}
    execute_full_evaluation_run(network, opponents=opponents, games=3, max_plies=10)
    assert draws() == expected
    assert [part.training for part in network.modules()] == modes
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert all(bool((p.grad == 1).all()) for p in network.parameters() if p.grad is not None)
    assert torch.is_grad_enabled()


def test_keisei_draws_nothing_that_others_share(trained: nn.Module) -> None:
    """So that it may run beside training, where the generators cannot be kept."""
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    execute_full_evaluation_run(trained, games=3, max_plies=10, greedy=False, in_background=True)
    assert random.getstate() == states[0] and np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_a_failed_evaluation_leaves_the_network_and_writes_nothing(tmp_path: Path) -> None:
    class Broken(FirstLegal):
        def choose(self, positions: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
            raise ValueError("lost")

    network = nn.Module()
    network.forward = lambda planes: (planes.new_zeros(len(planes), 2187), planes[:, 0, 0, 0])
    network.train()
    log = tmp_path / "evaluation.jsonl"
    with pytest.raises(PluginError, match="opponent 'broken': choose failed: ValueError: lost"):
        execute_full_evaluation_run(network, opponents={"broken": Broken()}, log_file=log)
    with pytest.raises(MatchCancelledError):
        execute_full_evaluation_run(network, log_file=log, cancelled=lambda: True)
    assert network.training and not log.exists()
    with pytest.raises(ValueError, match="games: expected at least 1, got 0"):
        execute_full_evaluation_run(network, games=0)
    with pytest.raises(ValueError, match="batch: expected at least 1, got 0"):
        execute_full_evaluation_run(network, batch=0)
    with pytest.raises(ValueError, match="opponents: expected at least one, got none"):
        execute_full_evaluation_run(network, opponents=[])


def test_a_resumed_run_forgets_what_came_after(tmp_path: Path) -> None:
    log = tmp_path / "evaluation.jsonl"
    forget_results_after(log, 5)
    assert not log.exists()
    endings = {"no_legal_move": Score(1, 0, 1)}
    match = MatchResult(Score(1), Score(0, 0, 1), endings, 9.0, Pairs((0, 0, 1, 0, 0)))
    for step in (10, 20, 30):
        append_result(log, EvaluationResult(step, 1.0, (OpponentResult("random", match),)))
    whole = log.read_text()
    with log.open("a") as file:
        file.write('{"step": 4')
    forget_results_after(log, 20)
    assert log.read_text() == "".join(whole.splitlines(keepends=True)[:2])


def test_batches_play_the_same_games_and_may_end_early(trained: nn.Module) -> None:
    def play(**settings: Any) -> MatchResult:
        return (
            execute_full_evaluation_run(
                trained, games=10, max_plies=40, greedy=False, records=5, **settings
            )
            .results[0]
            .result
        )

    whole = play()
    parts = play(batch=3)  # each batch has whole pairs
    moves = [record.moves for record in whole.records]  # values may differ in the last bits
    assert len(moves) == 5 and moves == [record.moves for record in parts.records]
    assert parts.pairs == whole.pairs and parts.endings == whole.endings
    asked: list[int] = []

    def enough(result: MatchResult) -> bool:
        asked.append(result.games)
        return len(asked) == 2

    assert play(batch=4, enough=enough).games == 8
    assert asked == [4, 8]


class Normalised(nn.Module):
    """With all that eval() must and must not touch: running statistics and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(121, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.5)
        self.policy = nn.Conv2d(8, 27, 1)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        x = self.drop(torch.relu(self.norm(self.stem(planes))))
        return self.policy(x).flatten(1), torch.tanh(x.mean(dim=(1, 2, 3)))


@pytest.mark.parametrize("in_background", [False, True])
def test_running_statistics_stay(in_background: bool) -> None:
    torch.manual_seed(0)
    network = Normalised().train()
    network(torch.rand(16, 121, 9, 9))  # statistics that are not those of the beginning
    network.norm.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    execute_full_evaluation_run(network, games=4, max_plies=14, in_background=in_background)
    assert torch.equal(torch.get_rng_state(), state), "dropout drew nothing"
    assert network.drop.training and not network.norm.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
