"""The tree search with an evaluator that needs no weights, under the thread sanitizer."""

from __future__ import annotations

import pytest
from engine.search_check import Report, SearchCheck

import keisei

MATE_IN_ONE = "8k/9/8P/9/9/9/9/9/4K4 b G 1"
MATE_IN_THREE = "7gk/9/7P1/9/9/9/9/9/4K4 b RG 1"
# White has king moves alone; then black, with 28 points, declares.
DECLARER_TO_COME = "+R+R+B+BKGGSS/SS7/9/9/9/9/9/9/k8 w 2P 2"
SHUFFLE = "5i5h 5a5b 5h5i 5b5a"
# Made once and kept: a change of the search that should change nothing must not change it.
SIGNATURE = "bc792592907130ca"


def legal(sfen: str, moves: str = "") -> set[str]:
    position = keisei.Position.from_sfen(sfen) if sfen else keisei.Position()
    for move in moves.split():
        position.push(move)
    return set(position.legal_moves())


def is_mate(sfen: str, moves: list[str]) -> bool:
    position = keisei.Position.from_sfen(sfen)
    for move in moves:
        position.push(move)
    # Without check too, who has no move has lost.
    return not position.legal_moves()


@pytest.mark.parametrize(("sfen", "plies"), [(MATE_IN_ONE, 1), (MATE_IN_THREE, 3)])
def test_the_tree_proves_mates_by_itself(search: SearchCheck, sfen: str, plies: int) -> None:
    search.position(sfen)
    report = search.go("nodes 20000")
    assert report.proved and report.best.mate >= plies, report.best
    assert report.best.value == 1
    assert len(report.best.pv) == report.best.mate
    assert is_mate(sfen, report.best.pv)
    assert report.nodes < 20000, "a proved root is searched no further"


def test_a_proved_loss_is_told_with_the_longest_defence(search: SearchCheck) -> None:
    search.position(MATE_IN_THREE)
    first = search.go("nodes 20000").best.pv[0]
    search.send("clear")
    search.position(MATE_IN_THREE, first)
    report = search.go("nodes 20000 multipv 10")
    assert report.proved and report.best.mate <= -2 and report.best.value == -1, report.best
    assert all(report.best.mate <= line.mate < 0 for line in report.lines), report.lines
    assert is_mate(MATE_IN_THREE, [first, *report.best.pv])


def test_the_mate_search_beside_the_tree_finds_what_it_does_not(search: SearchCheck) -> None:
    sfen = "7nl/5kP2/3p2g1p/2p1gp3/p6sP/s1BGpN3/4nPSp1/1+r4R2/L1+p3K1L w GSNLPb6p 122"
    search.position(sfen)
    assert not search.go("nodes 1500").proved
    search.set(mate=16)
    search.position(sfen)
    report = search.go("nodes 15000")
    assert report.proved and report.best.mate == len(report.best.pv) >= 11
    # The mate that both sides follow needs no second search.
    search.position(sfen, " ".join(report.best.pv[:2]))
    on = search.go("nodes 10")
    assert on.best.mate == report.best.mate - 2 and on.best.pv == report.best.pv[2:]


def test_a_mate_search_in_leaves_proves_more(search: SearchCheck) -> None:
    search.set(mate=0)
    search.position(MATE_IN_THREE)
    first = search.go("nodes 40")
    assert not first.proved
    search.set(leaf_mate=100)
    search.position(MATE_IN_THREE)
    report = search.go("nodes 40")
    assert report.proved and report.best.mate >= 3 and report.best.value == 1, report.best
    assert is_mate(MATE_IN_THREE, report.best.pv) or len(report.best.pv) < report.best.mate


def test_a_mate_beyond_the_move_limit_is_none(search: SearchCheck) -> None:
    search.set(mate=16)
    for limit, mates in ((3, True), (2, False)):
        search.set(max_moves=limit)
        search.position(MATE_IN_THREE)
        report = search.go("nodes 3000")
        assert (report.best.mate > 0) == mates, (limit, report.best)
        assert report.best.value == 1 if mates else abs(report.best.value) < 0.1


def test_a_mate_in_a_leaf_beyond_the_move_limit_is_none(search: SearchCheck) -> None:
    """Mate in five: two plies down a leaf sees the last three, but the fourth move draws."""
    sfen = "2pss4/lr4G+b1/k1S6/pg+R3Ppl/gp1NPPBn1/P1G4PN/L2+pn3p/2P3K1l/3P4P b 3Psp 1"
    search.set(leaf_mate=500)
    for limit, mates in ((5, True), (4, False)):
        search.set(max_moves=limit)
        search.position(sfen)
        report = search.go("nodes 600")
        assert report.proved == mates, (limit, report.best)
        assert report.best.value == 1 if mates else abs(report.best.value) < 0.5


def test_who_wants_a_draw_repeats_and_who_does_not_plays_on(search: SearchCheck) -> None:
    """Black, to move, can complete the fourth occurrence of a position by 5h5i: after the start
    it was there after 3, 7 and 11 moves."""
    moves, again = f"{SHUFFLE} {SHUFFLE} {SHUFFLE} 5i5h 5a5b", "5h5i"
    position = keisei.Position()
    for move in f"{moves} {again}".split():
        position.push(move)
    assert "repetition" in str(position.outcome())
    for worth in (0.9, -0.9):
        search.set(draw_black=worth, draw_white=-worth)
        search.position("", moves)
        report = search.go("nodes 2000 multipv 40")
        (repeating,) = [line for line in report.lines if line.pv[0] == again]
        assert repeating.draw and repeating.value == pytest.approx(worth, abs=1e-6)
        assert (report.best.pv[0] == again) == (worth > 0)


# Black's rook can check on ranks a and b for ever: the fourth occurrence of a position loses.
CHASE = "4k4/9/9/9/9/9/9/9/R7K b r2b4g4s4n4l18p 1"


def test_perpetual_check_is_not_completed_by_who_checks(search: SearchCheck) -> None:
    position = keisei.Position.from_sfen(CHASE)
    played: list[str] = []
    # Check on rank a, step down, check on rank b, step up: until one move more ends the game.
    for losing in ["9i9a", "5a5b", *["9a9b", "5b5a", "9b9a", "5a5b"] * 4]:
        position.push(losing)
        if position.outcome() is not None:
            break
        played.append(losing)
    assert "perpetual_check" in str(position.outcome())
    search.position(CHASE, " ".join(played))
    report = search.go("nodes 1000 multipv 60")
    (line,) = [line for line in report.lines if line.pv[0] == losing]
    if len(played) % 2 == 0:
        assert line.mate == -1 and line.value == -1
        assert report.best.pv[0] != losing
    else:
        # The position comes again by the move of who was checked: it wins.
        assert line.mate == 1 and report.best.pv[0] == losing


def test_declaration_is_found_in_the_tree(search: SearchCheck) -> None:
    search.position(DECLARER_TO_COME)
    search.set(rule=2)
    report = search.go("nodes 5000")
    assert report.best.mate == -2, "whatever white plays, black declares"
    assert report.proved and len(report.best.pv) == 1
    # Without the rule, or by the one that asks for 31 points, the game goes on.
    for rule in (0, 1):
        search.set(rule=rule)
        search.position(DECLARER_TO_COME)
        assert search.go("nodes 500").best.mate != -2


def test_the_move_limit_is_a_draw_in_the_tree(search: SearchCheck) -> None:
    search.set(max_moves=100)
    search.position("4k4/9/4P4/9/9/9/9/9/4K4 b G 100")
    report = search.go("nodes 3000 multipv 100")
    best, *rest = report.lines
    assert best.pv == ["G*5b"] and best.mate == 1, "mating comes before the limit"
    assert rest and all(line.draw and line.value == 0 for line in rest)
    search.position("4k4/9/9/9/9/9/9/9/4K4 b G 100")
    report = search.go("nodes 3000")
    assert report.proved and report.best.draw


@pytest.mark.parametrize("threads", [1, 3])
def test_memory_stays_within_its_bound(search: SearchCheck, threads: int) -> None:
    search.set(hash=1, threads=threads)
    search.position()
    report = search.go("nodes 40000 report 1")
    assert report.nodes == 40000
    # One mebibyte holds about 3,000 nodes: the rest was given up on the way, again and again.
    assert 0 < report.hashfull <= 1000
    assert report.best.pv[0] in legal("")
    assert sum(line.visits for line in report.lines) > 1000


def test_the_tree_is_kept_between_moves(search: SearchCheck) -> None:
    search.position()
    first = search.go("nodes 3000 multipv 3")
    mine, theirs = first.best.pv[:2]
    search.position("", f"{mine} {theirs}")
    kept = search.go("nodes 1 multipv 40")
    visits = sum(line.visits for line in kept.lines)
    assert visits > 50, "the subtree of the expected moves was searched already"
    search.send("clear")
    search.position("", f"{mine} {theirs}")
    fresh = search.go("nodes 1 multipv 40")
    assert sum(line.visits for line in fresh.lines) == 0
    # A position that is no continuation begins anew.
    search.position()
    assert search.go("nodes 1").best.visits == 0


def test_one_thread_gives_the_same_search_every_time(search: SearchCheck) -> None:
    def once() -> list[Report]:
        search.send("clear")
        out = []
        for moves in ("", "7g7f 3c3d"):
            search.position("", moves)
            out.append(search.go("nodes 1500 multipv 4"))
        return out

    search.set(mate=4)
    assert once() == once()


def test_the_signature_has_not_changed(search: SearchCheck) -> None:
    """Should a change of the search change it, say so, and store the new one."""
    search.set(mate=64, leaf_mate=20, hash=1024)
    signature = next(line for line in search.send("bench") if line.startswith("signature "))
    assert signature.split()[1] == SIGNATURE


def test_only_the_named_moves_are_searched(search: SearchCheck) -> None:
    search.position()
    search.go("nodes 500")
    report = search.go("nodes 500 multipv 5 only 9g9f 1g1f 5i5h")
    assert {line.pv[0] for line in report.lines} == {"9g9f", "1g1f", "5i5h"}


def test_lines_come_best_first_and_as_many_as_asked_for(search: SearchCheck) -> None:
    search.position()
    report = search.go("nodes 2000 multipv 5")
    assert len(report.lines) == 5
    visits = [line.visits for line in report.lines]
    assert visits == sorted(visits, reverse=True)
    assert sum(visits) < 2000
    for line in report.lines:
        position = keisei.Position()
        for move in line.pv:
            position.push(move)
    assert report.depth == len(report.best.pv) <= report.seldepth


def test_depth_limits_the_best_line(search: SearchCheck) -> None:
    search.position()
    report = search.go("depth 5")
    assert report.depth >= 5
    assert report.nodes < 5000


def test_moves_that_should_promote_are_left_out_on_demand(search: SearchCheck) -> None:
    sfen = "4k4/9/9/P7B/9/9/9/9/4K4 b - 1"
    search.position(sfen)
    everything = search.go("nodes 3000 multipv 100")
    search.set(generate_all=0)
    search.position(sfen)
    some = search.go("nodes 3000 multipv 100")
    left_out = {line.pv[0] for line in everything.lines} - {line.pv[0] for line in some.lines}
    assert "9d9c" in left_out and "9d9c+" not in left_out
    assert all(f"{move}+" in legal(sfen) for move in left_out), left_out
    # Who asks for one of them gets it.
    assert search.go("nodes 50 only 9d9c").best.pv[0] == "9d9c"


def test_a_stop_ends_what_nothing_else_would(search: SearchCheck) -> None:
    search.set(threads=3, batch=8)
    search.position()
    # How many playouts come behind it depends on when the threads get a processor.
    report = search.go("report 1 stop_at 300")
    assert report.stopped_at is not None and report.nodes >= report.stopped_at >= 300
    assert not report.proved


def test_a_stop_is_answered_while_an_evaluation_does_not_end(search: SearchCheck) -> None:
    stopped, after = search.reports("held")
    assert stopped.best.pv, "the tree of the search before still answers"
    assert after.nodes == 100


def test_gumbel_spends_a_small_budget_by_halving(search: SearchCheck) -> None:
    search.set(root=2, batch=1)
    search.position()
    report = search.go("nodes 33 multipv 40")
    visits = [line.visits for line in report.lines]
    # 32 playouts after the root's own: one for each of 8 moves, then 2 for each of the 4 that look
    # best, then the rest for the two best of these.
    assert sorted(visits, reverse=True) == [11, 11, 3, 3, 1, 1, 1, 1]


def test_one_node_is_the_policy(search: SearchCheck) -> None:
    search.position()
    report = search.go("nodes 1")
    assert report.nodes == 1 and report.evaluations == 1
    every = search.go("nodes 400 multipv 40")
    assert report.best.policy == max(line.policy for line in every.lines)


def test_a_walk_ends_somewhere(search: SearchCheck) -> None:
    """Each ply takes some stack, and a network that is sure of everything goes on for ever."""
    search.set(batch=1, temperature=0.1)
    search.send("evaluator deep")
    search.position()
    report = search.go("nodes 1100")
    assert report.seldepth == 1000, report


@pytest.mark.parametrize(
    ("how", "settings"),
    [
        ("threads 1 nodes 2000", {}),
        ("threads 4 batch 16 walks 32 nodes 6000", {}),
        ("threads 4 batch 16 walks 8 nodes 6000 fail_each 7", {}),  # an evaluator that throws
        ("threads 8 batch 32 walks 32 nodes 4000", {"max_moves": 6, "leaf_mate": 20}),
        ("threads 3 batch 64 walks 64 nodes 100000 mib 1", {}),  # until the memory is full
        ("threads 8 batch 64 walks 64 nodes 3", {}),
    ],
)
def test_every_count_in_the_tree_fits(
    search: SearchCheck, how: str, settings: dict[str, int]
) -> None:
    """No walk stays pending, none is lost or counted twice, whatever came of it."""
    search.set(**settings)
    for sfen in ("", MATE_IN_THREE):
        search.position(sfen)
        (report,) = search.send(f"playouts {how}")
        words = report.split()
        assert words[0] == "sound:", report
        nodes, failures, full = (int(words[i]) for i in (2, 4, 6))
        wanted = int(how.split("nodes ")[1].split()[0])
        assert nodes == wanted or full, report
        assert (failures > 0) == ("fail_each" in how), report


def test_threads_share_a_tree_without_races(search: SearchCheck) -> None:
    """Batches, reports, reuse, a full memory and mates at once; the sanitizer watches."""
    search.set(threads=4, batch=16, hash=1, mate=4)
    search.position()
    assert search.go("nodes 6000 report 1").nodes == 6000
    search.position("", "7g7f 3c3d")
    assert search.go("nodes 6000 report 1").nodes == 6000
    search.position(MATE_IN_THREE)
    assert search.go("nodes 6000 report 1").best.mate >= 3
    search.set(root=2)
    search.position()
    assert search.go("nodes 64").nodes == 64
