"""Each benchmark runs at tiny sizes on the CPU, and its check refuses a wrong result."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from benchmarks import __main__ as program
from benchmarks import games, host, iteration, learning, measure, peers, report
from benchmarks.measure import Row, Settings, WrongResultError
from keisei import ops

CPU = torch.device("cpu")
SMALL = Settings(CPU, small=True)
# Those others start processes.
RUN_HERE = [name for name in program.ENTRIES if name not in ("startup", "display")]


@pytest.fixture(autouse=True)
def short_runs(monkeypatch):
    """Times are not what is tested."""

    def once(calls, device, *, then=None, before=None, **_):
        if before is not None:
            before()
        for call in calls:
            call()
        return measure.Timing(1.0, 0.5, 1.5)

    for module in (games, host, iteration, learning, measure):
        if hasattr(module, "time_calls"):
            monkeypatch.setattr(module, "time_calls", once)


@pytest.mark.parametrize("name", RUN_HERE)
def test_runs_and_gives_rows(name):
    rows = list(program.ENTRIES[name].bench(SMALL))
    assert rows
    for line in rows:
        assert line.bench == name or name.startswith("curves")
        assert line.rate > 0 or "all else" in line.what
        assert line.unit


def broken(op):
    """The op, wrong in its first result."""

    def wrong(*args):
        out = op(*args)
        return (out[0] + 1, *out[1:]) if isinstance(out, tuple) else 1 - out

    return wrong


@pytest.mark.parametrize(
    ("name", "op"),
    [("masks", "legal_mask"), ("planes", "planes"), ("gae", "gae"), ("cpu-env", "planes")],
)
def test_wrong_result_is_not_timed(name, op, monkeypatch):
    monkeypatch.setattr(ops, op, broken(getattr(ops, op)))
    with pytest.raises(WrongResultError):
        list(program.ENTRIES[name].bench(SMALL))


def test_wrong_loss_and_gradient_are_not_timed(monkeypatch):
    inputs = learning._loss_inputs(32, CPU, 1)
    right = learning._forward_backward(ops.ppo_loss, inputs)
    learning.expect_loss(right, inputs)
    for part, name in enumerate(("got", "logits", "values")):
        wrong = list(right)
        wrong[part] = right[part] * 1.1
        with pytest.raises(WrongResultError, match=name):
            learning.expect_loss(tuple(wrong), inputs)


def test_wrong_sample_is_not_timed():
    env = games.played(64, CPU, plies=4)
    logits = torch.randn(64, ops.LABELS)
    action, log_prob, entropy = ops.masked_sample(logits, env.mask, env.clock, 1)
    learning.expect_sample((action, log_prob, entropy), logits, env.mask)
    illegal = (~ops.unpack_mask(env.mask)).int().argmax(1)
    for wrong in (
        (illegal, log_prob, entropy),
        (action, log_prob + 0.1, entropy),
        (action, log_prob, entropy * 1.1),
    ):
        with pytest.raises(WrongResultError, match="masked_sample"):
            learning.expect_sample(wrong, logits, env.mask)


def test_network_that_works_wrongly_is_not_timed(monkeypatch):
    job = iteration.job_for(SMALL, 1, 8)
    trainer = iteration.make_trainer(job, CPU)
    right = trainer.agent.network

    class Wrong:
        padded = False

        def refresh(self):
            right.refresh()

        def __call__(self, planes):
            return right(planes.flip(2))

    monkeypatch.setattr(trainer.agent, "network", Wrong())
    with pytest.raises(WrongResultError, match="logits are wrong"):
        iteration.Alone(trainer, job, CPU)


def test_iteration_that_skips_steps_is_not_timed(monkeypatch):
    job = iteration.job_for(SMALL, 1, 8)
    trainer = iteration.make_trainer(job, CPU)
    monkeypatch.setattr(iteration, "steps_of", lambda _: 3)
    with pytest.raises(WrongResultError, match="expected 3 gradient steps, got 2"):
        iteration.run_iterations(trainer, job, CPU)


def test_recorded_games_that_go_astray_are_found():
    recorded = games.Recorded(32, 1, 3, CPU)
    recorded.restore()
    for call in recorded.calls()[:-1]:
        call()
    with pytest.raises(WrongResultError, match="other positions"):
        recorded.check("step")
    recorded.restore()
    for call in recorded.calls():
        call()
    recorded.check("step")


def test_recorded_games_are_those_of_the_cpu(monkeypatch):
    env = games.played(16, CPU, seed=1)
    with pytest.raises(WrongResultError, match="differ from the CPU"):
        games.expect_same_games(env, games.PLIES_OF_PLAY, 2, "step")


def test_wrong_perft_is_found(monkeypatch):
    monkeypatch.setitem(host.PERFT, 3, 25_471)
    with pytest.raises(WrongResultError, match="expected 25471, got 25470"):
        list(host.cpu_perft(SMALL))


def test_peers_that_are_not_there_are_named(monkeypatch):
    monkeypatch.setattr(peers, "ask", lambda *_, **__: {"missing": "no module of that name"})
    rows = list(host.cpu_env(Settings(CPU, small=True, compare=True)))
    named = {line.by for line in rows if line.note == "missing: no module of that name"}
    assert named == {"Pgx", "EnvPool", "cshogi"}
    rows = list(host.cpu_perft(Settings(CPU, small=True, compare=True)))
    assert rows[-1].note == "missing: no --cshogi-source"


def test_a_peer_that_fails_tells_why():
    found = peers.ask("cshogi_perft", source="nowhere", depth=1)
    assert "expected cshogi's sources" in found["missing"]


def test_ratio_is_of_rates():
    ours = Row("cpu-env", "step", "", 1000.0, "plies", 1.0)
    found = {"rate": 10.0, "unit": "plies", "seconds": 1.0, "version": "1"}
    assert peers.peer_row("cpu-env", "step", "", "other", found, ours).ratio == 100.0


def test_plain_torch_forms_agree_with_the_ops():
    data = learning.rollout(32, 256, CPU, 3)
    assert set(data[2].unique().tolist()) == {0, 1, 2, 3, 4, 5}  # every kind of end
    for form in learning.GAE_FORMS:
        learning.expect_gae(ops.gae(*data, learning.GAMMA, learning.LAMBDA, form), data, form)
    env = games.played(64, CPU, plies=4)
    logits = torch.randn(64, ops.LABELS)
    found = learning.plain.masked_sample(logits, env.mask)
    learning.expect_sample(found, logits, env.mask)


def make_report() -> report.Report:
    made = report.new_report(CPU)
    made.ceilings = {"copy": 2e9, "matmul": 1e12}
    made.add(Row("masks", "a", "64 games", 4.512e9, "positions", 0.5, bytes=5e8, ceiling="copy"))
    made.add(Row("masks", "b", "", 25e6, "plies", 2e-3, flops=1e9, ceiling="matmul", spread=0.02))
    made.add(Row("step", "c", "", 10.0, "plies", 1.0, by="other", ratio=123.4, note="slow"))
    return made


def test_shares_of_ceilings():
    rows = make_report().rows
    assert [line.share for line in rows] == [0.5, 0.5, None]


def test_table_shows_the_row():
    text = report.tables(make_report())
    assert "### masks" in text and "### step" in text
    lines = [re.sub(r"\s+", " ", line) for line in text.splitlines()]
    assert "| a | 64 games | 4.51 G positions/s | 500 ms | 1.00 GB/s | 50% of copy | |" in lines
    assert "| b | | 25.0 M plies/s | 2 ms | 500 GFLOP/s | 50% of matmul | 2% |" in lines
    assert "| c | other | 10.0 plies/s | 1 s | 123 times as fast | slow |" in lines


def test_report_is_read_as_written(tmp_path):
    made = make_report()
    made.write(tmp_path / "run.json")
    assert report.Report.read(tmp_path / "run.json") == made
    assert json.loads((tmp_path / "run.json").read_text())["commit"] == made.commit


def test_tables_are_put_into_a_document(tmp_path):
    path, document = tmp_path / "run.json", tmp_path / "doc.md"
    make_report().write(path)
    document.write_text("before\n<!-- begin run.json -->\nold\n<!-- end run.json -->\nafter\n")
    assert program.main(["table", str(path), "--into", str(document)]) == 0
    once = document.read_text()
    assert "### masks" in once and "old" not in once
    assert once.startswith("before\n") and once.endswith("after\n")
    program.main(["table", str(path), "--into", str(document)])
    assert document.read_text() == once
    with pytest.raises(ValueError, match="begin other"):
        report.insert(once, "other", "")


def test_the_program_writes_json_and_names_what_failed(tmp_path, monkeypatch, capsys):
    def fails(_):
        yield Row("masks", "right", "", 1.0, "plies", 1.0)
        raise WrongResultError("wrong")

    entries = {
        "masks": program.Entry(fails),
        "step": program.Entry(lambda _: iter([Row("step", "x", "", 1.0, "plies", 1.0)])),
    }
    monkeypatch.setattr(program, "ENTRIES", entries)
    path: Path = tmp_path / "run.json"
    command = ["all", "--device", "cpu", "--small", "--json", str(path)]
    assert program.main(command) == 1
    kept = report.Report.read(path)
    assert [line.what for line in kept.rows] == ["right", "failed", "x"]
    assert "WrongResultError: wrong" in kept.rows[1].note
    assert "failed: masks" in capsys.readouterr().err


def test_curves_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    made = make_report()
    with pytest.raises(ValueError, match="expected rows of curves"):
        report.plot([made], tmp_path / "none.svg")
    for count, rate in ((1024, 1e9), (4096, 2e9)):
        made.add(Row("curves", "step", "", rate, "plies", 1.0, count=count))
    report.plot([made], tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").read_text().startswith("<?xml")


DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"


def test_tables_of_the_documentation_are_those_of_its_figures():
    text = DOCUMENT.read_text()
    for name in re.findall(r"<!-- begin (\S+) -->", text):
        kept = DOCUMENT.with_name("performance") / name
        shown = report.insert(text, name, report.tables(report.Report.read(kept)))
        assert shown == text, f"python -m benchmarks table {kept} --into {DOCUMENT}"
