"""Checkpoints in the background: nothing is called saved that is not on the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_helpers import CONFIG, snapshot

from keisei.core.model_file import CheckpointError, load_model
from keisei.core.ranks import Ranks
from keisei.training import checkpoint_writer
from keisei.training.checkpoint import Snapshot, load_checkpoint, load_training_states, read_index
from keisei.training.checkpoint_writer import CheckpointWriteError, CheckpointWriter


class Gate:
    """Holds a background write up until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str = "write_rank_files") -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        real = getattr(checkpoint_writer, name)

        def held(*args: Any) -> Any:
            self.reached.set()
            assert self.open.wait(60), "expected the test to open the gate"
            return real(*args)

        monkeypatch.setattr(checkpoint_writer, name, held)


def test_what_is_saved_is_the_moment_of_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    seen: list[tuple[Path, int]] = []
    writer = CheckpointWriter(on_published=lambda path, step: seen.append((path, step)))
    state = snapshot(5)
    expected = {name: t.clone() for name, t in state.network.items()}
    writer.save(tmp_path / "c" / "step-5", state, CONFIG)
    assert gate.reached.wait(60)
    assert writer.busy and writer.published is None and seen == []
    assert not (tmp_path / "c" / "step-5").exists()
    for tensor in (*state.network.values(), *state.state.tensors.values()):
        tensor.zero_()  # training goes on in place
    gate.open.set()
    writer.wait()
    assert not writer.busy and writer.published == tmp_path / "c" / "step-5"
    assert seen == [(tmp_path / "c" / "step-5", 5)]
    model, training = load_checkpoint(tmp_path / "c" / "step-5")
    for name, tensor in expected.items():
        assert torch.equal(model.weights[name], tensor)
        assert torch.equal(training.tensors[f"optimizer.exp_avg.{name}"], tensor)
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["step-5"], "nothing temporary stays"


def test_one_is_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    writer = CheckpointWriter()
    writer.save(tmp_path / "step-1", snapshot(1), CONFIG)
    assert gate.reached.wait(60)
    second = threading.Thread(target=writer.save, args=(tmp_path / "step-2", snapshot(2), CONFIG))
    second.start()
    assert writer.published is None and second.is_alive()
    gate.open.set()
    second.join(60)
    assert (tmp_path / "step-1").is_dir(), "expected the first to be there before the second begins"
    writer.wait()
    assert read_index(tmp_path / "step-2").step == 2


@pytest.mark.parametrize("where", ["clear", "write_rank_files", "write_index", "publish"])
def test_a_failed_write_is_loud_and_the_former_intact(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: str,
) -> None:
    writer = CheckpointWriter()
    writer.save(tmp_path / "step-1", snapshot(1), CONFIG)
    writer.wait()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_writer, where, fail)
    writer.save(tmp_path / "step-2", snapshot(2), CONFIG)
    text = (
        r"step-2: not saved: \[Errno 28\] No space left on device; "
        r"the checkpoint saved last is .*step-1$"
    )
    with pytest.raises(CheckpointWriteError, match=text):
        writer.wait()
    assert [record.levelname for record in caplog.records] == ["ERROR"], "expected one clear line"
    monkeypatch.undo()
    for call in (
        writer.raise_failure,
        writer.wait,
        lambda: writer.save(tmp_path / "step-3", snapshot(3), CONFIG),
    ):
        with pytest.raises(CheckpointWriteError, match=text):
            call()
    assert [p.name for p in tmp_path.iterdir()] == ["step-1"], "nothing half stays"
    assert load_checkpoint(tmp_path / "step-1")[0].manifest["step"] == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["weights", "moments", "average"])
def test_nothing_that_is_not_finite_is_published(tmp_path: Path, value: float, part: str) -> None:
    whole = snapshot(5, **{"ema.x": torch.zeros(3)})
    name, tensor = {
        "weights": next(iter(whole.network.items())),
        "moments": next((n, t) for n, t in whole.state.tensors.items() if "exp_avg" in n),
        "average": ("ema.x", whole.state.tensors["ema.x"]),
    }[part]
    tensor.view(-1)[1] = value
    writer = CheckpointWriter()
    writer.save(tmp_path / "step-5", whole, CONFIG)
    with pytest.raises(
        CheckpointWriteError,
        match=rf"step-5: not saved: .*: {name}: expected finite numbers, got 1 of {tensor.numel()}",
    ):
        writer.wait()
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_is_no_json_number_is_refused(tmp_path: Path) -> None:
    whole = snapshot(5)
    whole = Snapshot(whole.network, 5, type(whole.state)(whole.state.tensors, {"x": float("nan")}))
    writer = CheckpointWriter()
    writer.save(tmp_path / "step-5", whole, CONFIG)
    with pytest.raises(CheckpointWriteError, match="not saved: ValueError: Out of range float"):
        writer.wait()
    assert list(tmp_path.iterdir()) == []


class Together:
    """Ranks as threads of one process: what the writers of several ranks agree on."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size, timeout=60)
        self.slots: list[Any] = [None] * size
        self.ranks = [ThreadRanks(rank, size, rank) for rank in range(size)]
        for one in self.ranks:
            object.__setattr__(one, "together", self)


class ThreadRanks(Ranks):
    together: Together

    def gather_objects(self, value: Any) -> list[Any] | None:
        self.together.slots[self.rank] = value
        self.together.barrier.wait()
        values = list(self.together.slots)
        self.together.barrier.wait()
        return values if self.is_main else None

    def share(self, value: Any) -> Any:
        if self.is_main:
            self.together.slots[0] = value
        self.together.barrier.wait()
        shared = self.together.slots[0]
        self.together.barrier.wait()
        return shared


def test_every_rank_writes_its_own_and_the_first_publishes(tmp_path: Path) -> None:
    writers = [CheckpointWriter(ranks) for ranks in Together(3).ranks]
    target = tmp_path / "step-5"
    for rank, writer in enumerate(writers):
        own = snapshot(5, **{"env.clock": torch.full((4,), rank), "shuffle": torch.tensor(7)})
        writer.save(target, own, CONFIG)
    for writer in writers:
        writer.wait()
        assert writer.published == target
    index = read_index(target)
    assert index.world_size == 3
    assert set(index.files) == {
        "model.ckpt",
        *(f"training-0000{rank}.{kind}" for rank in range(3) for kind in ("json", "safetensors")),
    }
    assert [p.name for p in tmp_path.iterdir()] == ["step-5"]
    states = load_training_states(target)
    for rank, state in enumerate(states):
        assert state.tensors["env.clock"].tolist() == [rank] * 4
        assert state.tensors["shuffle"] == 7 and state.values == {"step": 5, "iteration": 1}
        _, alone = load_checkpoint(target, rank)
        assert alone.tensors.keys() == state.tensors.keys() == states[0].tensors.keys()
        for name, tensor in alone.tensors.items():
            assert torch.equal(tensor, state.tensors[name])
    # What they have in common stands there once.
    sizes = [(target / f"training-0000{rank}.safetensors").stat().st_size for rank in range(3)]
    assert sizes[1] == sizes[2] < sizes[0] / 2
    with pytest.raises(CheckpointError, match="world_size: expected more than 3, got 3"):
        load_checkpoint(target, 3)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_failure_of_one_rank_is_one_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    real: Callable[..., Any] = checkpoint_writer.write_rank_files

    def fail(*args: Any) -> Any:
        if args[3] == rank:
            raise OSError(28, "No space left on device")
        return real(*args)

    monkeypatch.setattr(checkpoint_writer, "write_rank_files", fail)
    writers = [CheckpointWriter(ranks) for ranks in Together(2).ranks]
    for writer in writers:
        writer.save(tmp_path / "step-5", snapshot(5), CONFIG)
    for writer in writers:
        with pytest.raises(
            CheckpointWriteError, match=rf"step-5: not saved: rank {rank}: \[Errno 28\] No space"
        ):
            writer.wait()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
def test_on_cuda_nothing_waits_for_the_device(tmp_path: Path) -> None:
    """A save is enqueued behind long work and returns before that is done."""
    device = torch.device("cuda")
    whole = snapshot(5)
    on_device = {name: t.to(device) for name, t in whole.network.items()}
    flag = torch.zeros((), device=device)
    writer = CheckpointWriter()
    warm = Snapshot(on_device, 4, whole.state)
    writer.save(tmp_path / "step-4", warm, CONFIG)  # allocates pinned memory
    writer.wait()
    torch.cuda.synchronize()
    torch.cuda._sleep(2**31)  # about a second
    flag.add_(1)
    done = torch.cuda.Event()
    done.record()
    writer.save(tmp_path / "step-5", Snapshot(on_device, 5, whole.state), CONFIG)
    assert not done.query(), "expected save() to return while the device is still at work"
    for tensor in on_device.values():
        tensor.zero_()  # enqueued after the copies
    writer.wait()
    weights = load_model(tmp_path / "step-5").weights
    for name, tensor in whole.network.items():
        assert torch.equal(weights[name], tensor)
