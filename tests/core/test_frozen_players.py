"""Opponents that do not learn: their seats, the colours, and that they and no one else choose."""

from __future__ import annotations

import copy

import pytest
import torch
from agents import make_agent

from keisei import ops
from keisei.core.experience_buffer import ExperienceBuffer
from keisei.core.frozen_players import FrozenPlayers, Seats
from keisei.core.ppo_agent import PPOAgent
from keisei.envs import ShogiVectorEnv
from keisei.training.rollout import Collector, collect, rollout_values

CPU = torch.device("cpu")
T = 16
SEATS = Seats(16, 1, 2, 5)
BUFFER = (
    "positions",
    "actions",
    "log_probs",
    "values",
    "rewards",
    "ending",
    "valid",
    "own",
    "learnt",
    "length",
    "advantages",
    "returns",
)


def table(
    device: str = "cpu", greedy: bool = False, **settings: object
) -> tuple[PPOAgent, ShogiVectorEnv, ExperienceBuffer, FrozenPlayers]:
    """16 games, of which two opponents with other weights have five each."""
    agent, env, _ = make_agent(device, **settings)
    players = FrozenPlayers(agent, env, SEATS, greedy=greedy)
    for player in range(2):
        players.put(player, weights(agent, 10 + player))
    return agent, env, ExperienceBuffer(T, 16, agent.device, opponents=True), players


def weights(agent: PPOAgent, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: tensor.cpu() + 0.5 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in agent.model.state_dict().items()
    }


def test_the_last_games_of_each_block_have_opponents() -> None:
    seats = Seats(20, 2, 2, 3)
    games = torch.arange(20)
    assert seats.of(0, games).tolist() == [[4, 5, 6], [14, 15, 16]]
    assert seats.of(1, games).tolist() == [[7, 8, 9], [17, 18, 19]]
    expected = [4, 5, 6, 7, 8, 9, 14, 15, 16, 17, 18, 19]
    by_game = [seats.player(game) for game in range(20)]
    assert by_game == 2 * [None, None, None, None, 0, 0, 0, 1, 1, 1]
    assert seats.any(CPU).nonzero()[:, 0].tolist() == expected
    rows = torch.zeros(20, 3)
    seats.of(1, rows).fill_(1.0)
    assert rows[:, 1].nonzero()[:, 0].tolist() == [7, 8, 9, 17, 18, 19]


def test_one_of_two_ranks_has_one_of_two_blocks() -> None:
    whole, half = Seats(20, 2, 2, 3), Seats(10, 1, 2, 3)
    games = torch.arange(20)
    for player in range(2):
        parts = [half.of(player, games[first : first + 10]) for first in (0, 10)]
        assert torch.equal(torch.cat(parts), whole.of(player, games))


@pytest.mark.parametrize("arguments", [(20, 3, 1, 1), (20, 2, 0, 1), (20, 2, 1, 0), (20, 2, 3, 4)])
def test_seats_that_there_are_not_are_an_error(arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"^Seats: expected \d+ equal blocks"):
        Seats(*arguments)


def test_the_learner_keeps_its_colour_for_a_game_and_has_either_as_often() -> None:
    agent, _, _ = make_agent()
    env = ShogiVectorEnv(1000, max_plies=5, seed=3, check_actions=False)
    players = FrozenPlayers(agent, env, Seats(1000, 1, 1, 900))
    colour = torch.full((1000,), -1)
    seen: list[torch.Tensor] = []
    for _ in range(30):
        own = players.own()
        assert own[:100].all(), "in games against itself each ply is the learner's"
        now = torch.where(own, env.turn, 1 - env.turn)[100:]
        begun = env.ply[100:] == 0
        assert torch.equal(now[~begun], colour[100:][~begun].int()), "within a game"
        seen.append(now[begun].float())
        colour[100:] = now
        env.step(env.sample_uniform())
    colours = torch.cat(seen)
    assert len(colours) > 3000
    assert abs(float(colours.mean()) - 0.5) < 0.03
    changed = (seen[6] != seen[0]).float().mean()  # five plies and the row of the cut game
    assert abs(float(changed) - 0.5) < 0.1, "the next game's colour is drawn anew"


def test_colours_are_the_same_however_ranks_share_the_games() -> None:
    agent, _, _ = make_agent()
    env = ShogiVectorEnv(16, max_plies=5, seed=3)
    whole = FrozenPlayers(agent, env, Seats(16, 2, 1, 4)).own()
    parts = [
        FrozenPlayers(agent, ShogiVectorEnv(8, seed=3, first_game=first), Seats(8, 1, 1, 4)).own()
        for first in (0, 8)
    ]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("mirror", [False, True])
def test_each_choice_is_that_of_whose_turn_it_is(greedy: bool, mirror: bool) -> None:
    agent, env, buffer, players = table(greedy=greedy, mirror=mirror)
    opponents = []
    for player in range(2):
        opponents.append(copy.deepcopy(agent.model))
        opponents[-1].load_state_dict(weights(agent, 10 + player))
    collect(env, agent, buffer, players=players)
    assert buffer.own is not None
    games = torch.arange(16)
    lost = 0
    for t in range(T):
        seen = buffer.positions[t]
        planes, mask = ops.planes(seen), ops.unpack_mask(ops.legal_mask(seen))
        for who, model in [(-1, agent.model), (0, opponents[0]), (1, opponents[1])]:
            theirs = torch.zeros(16, dtype=torch.bool)
            if who < 0:
                theirs |= buffer.own[t]
            else:
                theirs[SEATS.of(who, games)] = True
                theirs &= ~buffer.own[t]
            with torch.no_grad():
                logits, values = model(planes)
            chosen = torch.log_softmax(logits.masked_fill(~mask, -torch.inf), dim=1)
            labels = buffer.actions[t].long()
            expected = chosen.gather(1, labels[:, None])[:, 0]
            rows = theirs & buffer.valid[t]
            torch.testing.assert_close(buffer.log_probs[t][rows], expected[rows], rtol=0, atol=1e-4)
            if who < 0:
                torch.testing.assert_close(buffer.values[t], values, rtol=0, atol=1e-5)
            elif greedy:
                assert torch.equal(labels[rows], chosen.argmax(dim=1)[rows])
            else:
                lost += int((labels != chosen.argmax(dim=1))[rows].sum())
    assert greedy or lost > 0, "what is drawn is not always the most probable"
    assert torch.equal(buffer.learnt, buffer.valid & buffer.own)
    share = float((~buffer.own[:, 6:]).float().mean())
    assert buffer.own[:, :6].all() and 0.4 < share < 0.6


def test_games_without_opponents_are_as_they_would_be_alone() -> None:
    agent, env, buffer, players = table()
    alone_agent, alone_env, alone = make_agent()
    collect(env, agent, buffer, players=players)
    collect(alone_env, alone_agent, alone)
    for name in ("positions", "actions", "log_probs", "values", "rewards", "ending", "valid"):
        assert torch.equal(getattr(buffer, name)[:T, :6], getattr(alone, name)[:T, :6]), name


def test_what_opponents_compute_reaches_no_loss_and_no_figure() -> None:
    """Opponents whose every output is not a number, against the same rollout without the poison."""
    agent, env, buffer, players = table(target_kl=None, ema_decay=0.9)
    poison = {name: torch.full_like(t, torch.nan) for name, t in weights(agent, 1).items()}
    for player in range(2):
        players.put(player, poison)
    collect(env, agent, buffer, players=players)
    assert buffer.own is not None
    theirs = buffer.valid & ~buffer.own
    assert int(theirs.sum()) > 50 and buffer.log_probs[theirs].isnan().all()
    assert buffer.log_probs[buffer.learnt].isfinite().all()
    assert float(buffer.lost) == 0.0
    assert buffer.advantages.isfinite().all() and buffer.returns.isfinite().all()
    clean = copy.deepcopy(buffer)
    clean.log_probs[theirs] = -1.0
    clean.actions[theirs] = 0
    clean.advantages[theirs] = 7.0
    clean.returns[theirs] = 7.0
    expected = rollout_values(clean)
    assert rollout_values(buffer) == expected and len(expected) == 3
    other, _, _ = make_agent(target_kl=None, ema_decay=0.9)
    figures = agent.learn(buffer, torch.Generator().manual_seed(0))
    assert figures == other.learn(clean, torch.Generator().manual_seed(0))
    assert figures["skipped_updates"] == 0 and figures["gradient_steps"] == 8
    for name, tensor in other.model.state_dict().items():
        assert torch.equal(agent.model.state_dict()[name], tensor), name


def test_a_broken_learner_is_still_told_of() -> None:
    agent, env, buffer, players = table()
    with torch.no_grad():
        agent.model.policy_out.bias.fill_(torch.nan)  # type: ignore[attr-defined]
    collect(env, agent, buffer, players=players)
    assert float(buffer.lost) == 1.0


def test_opponents_neither_learn_nor_change() -> None:
    agent, env, buffer, players = table()
    before = [copy.deepcopy(model.state_dict()) for model in players._models]
    for _ in range(2):
        collect(env, agent, buffer, players=players)
        agent.learn(buffer, torch.Generator().manual_seed(0))
    for model, weights_before in zip(players._models, before, strict=True):
        assert not any(parameter.requires_grad for parameter in model.parameters())
        for name, tensor in weights_before.items():
            assert torch.equal(model.state_dict()[name], tensor), name


def test_weights_that_do_not_fit_are_an_error() -> None:
    players = table()[3]
    with pytest.raises(RuntimeError, match="stem"):
        players.put(0, {"stem.weight": torch.zeros(1)})


@pytest.mark.gpu
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("greedy", [False, True])
def test_a_recorded_rollout_is_the_one_ply_by_ply(
    precision: str, fused: bool, greedy: bool
) -> None:
    """With opponents that change between rollouts; nothing waits for the device, but to change."""
    settings = {"precision": precision, "mirror": True, "greedy": greedy}
    agent, env, buffer, players = table("cuda:0", **settings)  # type: ignore[arg-type]
    other_agent, other_env, other, others = table("cuda:0", **settings)  # type: ignore[arg-type]
    if fused:
        agent.compile_network()
        other_agent.compile_network()
    collector = Collector(env, agent, buffer, players)
    for rollout in range(6):
        if rollout == 3:  # in place: the recording holds
            for one in (players, others):
                one.put(1, weights(agent, 99))
        torch.cuda.set_sync_debug_mode("error" if rollout > 1 else "default")
        try:
            collector.start()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert collector.recorded == (rollout > 0)
        env.raise_errors()
        collect(other_env, other_agent, other, players=others)
        for name in BUFFER:
            assert torch.equal(getattr(buffer, name), getattr(other, name)), (rollout, name)
    assert buffer.own is not None and 0 < int((~buffer.own).sum()) < buffer.own.numel()


@pytest.mark.gpu
def test_a_gpu_plays_the_opponents_as_a_processor_does() -> None:
    """The same choices but for near ties, in float32 proper."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        runs = [table(device) for device in ("cpu", "cuda:0")]
        for agent, env, buffer, players in runs:
            collect(env, agent, buffer, players=players)
    finally:
        torch.backends.cudnn.allow_tf32 = before
    (_, _, ours, _), (_, _, theirs, _) = runs
    assert ours.own is not None and theirs.own is not None
    assert torch.equal(ours.own, theirs.own.cpu())
    same = ours.actions == theirs.actions.cpu()
    # A game in which one choice differs is another game from then on.
    assert float(same.float().mean()) > 0.9
