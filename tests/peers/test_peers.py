"""keisei_play against other programs: no fault on our side, whatever they do."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path

import pytest
from engine.driver import KEISEI_PLAY
from peers.table import PATIENCE, PEERS, Peer

from keisei.evaluation.arena import play_engines
from keisei.evaluation.match import MatchResult
from keisei.evaluation.openings import load_openings
from keisei.evaluation.usi_player import UsiSettings
from keisei.export import main as export

_log = logging.getLogger(__name__)
FAULTS = ("illegal_move", "crash", "stall", "time")
QUICK = [peer for peer in PEERS if peer.name in ("GPS Shogi", "Fairy-Stockfish")]
TRAINED = Path(__file__).parent.parent / "data" / "trained_policy.ckpt"
FULL_GAMES = 40


def keisei(model: str, go: str, **options: str) -> UsiSettings:
    command = shlex.join([str(KEISEI_PLAY), "--model", model, "--device", "cpu"])
    return UsiSettings(command, {"Threads": "1", **options}, go, PATIENCE)


def play(peer: Peer, ours: UsiSettings, clock: bool, games: int, **options: int) -> MatchResult:
    """How the games ended is logged: ``--log-cli-level info`` shows it."""
    result = play_engines(
        ours,
        peer.settings(),
        games=games,
        control=peer.clock if clock else None,
        openings=load_openings(),
        names=("keisei", peer.name),
        **{"max_plies": 320} | options,  # type: ignore[arg-type]
    )
    endings = {name: str(score) for name, score in result.endings.items()}
    _log.info("against %s: %s; %s", peer.name, result.score, endings)
    return result


def assert_no_fault_of_ours(result: MatchResult) -> None:
    ours = {name: one.losses for name, one in result.endings.items() if name in FAULTS}
    assert not any(ours.values()), f"faults of ours: {ours}"


def skip_if_absent(peer: Peer) -> None:
    if peer.why_absent is not None:
        pytest.skip(peer.why_absent)


@pytest.mark.parametrize("clock", [False, True], ids=["nodes", "clock"])
@pytest.mark.parametrize("peer", QUICK, ids=lambda peer: peer.name)
def test_two_games(peer: Peer, clock: bool) -> None:
    skip_if_absent(peer)
    # In time each move must be made; so that this is quick, nobody thinks for long.
    ours = keisei("uniform", "nodes 8", NodesLimit="8")
    result = play(peer, ours, clock, games=2, max_plies=80)
    assert result.games == 2
    assert_no_fault_of_ours(result)
    assert min(record.plies - record.opening_plies for record in result.records) > 10


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "policy.pt"
    assert export([str(TRAINED), str(path)]) == 0
    return path


@pytest.mark.slow
@pytest.mark.parametrize("clock", [False, True], ids=["nodes", "clock"])
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_forty_games(peer: Peer, clock: bool, policy: Path) -> None:
    """Some minutes each."""
    skip_if_absent(peer)
    ours = keisei(str(policy), "nodes 50", NodesLimit="50")
    result = play(peer, ours, clock, games=FULL_GAMES, parallel=2)
    assert result.games == FULL_GAMES
    assert_no_fault_of_ours(result)


@pytest.mark.slow
def test_forty_games_by_the_clock_alone(policy: Path) -> None:
    """Fairy-Stockfish, and all of our own time management: no limit of nodes."""
    (peer,) = (peer for peer in PEERS if peer.name == "Fairy-Stockfish")
    skip_if_absent(peer)
    result = play(peer, keisei(str(policy), ""), True, games=FULL_GAMES, parallel=2)
    assert result.games == FULL_GAMES
    assert_no_fault_of_ours(result)
