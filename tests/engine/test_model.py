"""Exported networks in the engine: what is refused, what is computed, what is played."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from engine.driver import Engine, fields, run
from engine.policies import (
    MANIFEST,
    TOLERANCE,
    TORCHSCRIPT_IS_MEANT,
    evaluate_in_python,
    evaluate_natively,
    export_random,
    random_positions,
    save,
)
from torch import Tensor, nn

import keisei
from keisei.core.features import LABELS

Start = Callable[..., Engine]

pytestmark = TORCHSCRIPT_IS_MEANT

# What the network alone says: nothing is known of earlier searches.
ONE_NODE = ("usinewgame", "go nodes 1")


class Fixed(nn.Module):
    """The same logits and value everywhere: label 0 least likely, the last one most."""

    def __init__(self, value: float, scale: float = 1.0, labels: int = LABELS) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.logits = nn.Parameter(torch.arange(labels) * scale)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        zero = planes.flatten(1)[:, :1] * 0
        return zero + self.logits, zero[:, 0] + self.value


class Single(nn.Module):
    """Forgets the value."""

    def forward(self, planes: Tensor) -> Tensor:
        return planes.flatten(1)[:, :LABELS]


def fixed(path: Path, value: float) -> str:
    return str(save(Fixed(value), path / "fixed.pt", json.dumps(MANIFEST)))


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the real kind with random weights, exported."""
    path = tmp_path_factory.mktemp("model") / "policy.pt"
    return export_random(path, depth=2, width=16, se_ratio=4)


@pytest.fixture(scope="module")
def positions() -> list[str]:
    """1,000 SFENs from random games, all stages, both sides to move."""
    return random_positions(1000)


def test_python_and_native_outputs_agree(policy: Path, positions: list[str]) -> None:
    logits, value = evaluate_in_python(policy, positions)
    rows = evaluate_natively(policy, positions)
    assert value.std() > 100 * TOLERANCE and logits.std(axis=0).min() > 10 * TOLERANCE
    assert np.abs(rows[:, 0] - value).max() <= TOLERANCE
    assert np.abs(rows[:, 1:] - logits).max() <= TOLERANCE


def test_bf16_is_close_and_not_the_same(policy: Path, positions: list[str]) -> None:
    logits, value = evaluate_in_python(policy, positions[:100])
    rows = evaluate_natively(policy, positions[:100], "--precision", "bf16")
    error = np.abs(rows[:, 1:] - logits).max() / logits.std()
    assert TOLERANCE < error < 0.2
    assert np.abs(rows[:, 0] - value).max() < 0.1


def test_evaluate_names_bad_sfens_and_goes_on(policy: Path) -> None:
    good = keisei.Position().sfen()
    result = run("--model", str(policy), "--evaluate", text=f"{good}\n\nnonsense\r\n{good}\n")
    assert result.returncode == 1
    first, bad, second = result.stdout.splitlines()
    assert first == second and len(first.split()) == 1 + LABELS
    assert bad.startswith("error sfen")


def test_plays_the_most_probable_legal_move(
    start: Start, policy: Path, positions: list[str]
) -> None:
    """Both sides: planes and labels are turned, and turned back, for white."""
    sample = positions[::25]
    assert {sfen.split()[1] for sfen in sample} == {"b", "w"}
    logits, value = evaluate_in_python(policy, sample)
    engine = start("--model", str(policy), "--device", "cpu")
    lines = engine.ready()
    assert lines[-1] == "readyok"
    assert f"info string model {policy} on cpu in fp32, 9 layers fused" in lines
    # The network alone: some of these positions have mates, which may be found in time or not.
    assert engine.ask("setoption name MateHash value 0") == []
    for sfen, row, v in zip(sample, logits, value, strict=True):
        position = keisei.Position.from_sfen(sfen)
        labels = position.legal_labels()
        if not labels:
            continue
        best = position.move(max(labels, key=lambda label: row[label]))
        answer = engine.think(f"position sfen {sfen}", *ONE_NODE)
        assert answer[-1].split()[1] == best, sfen
        shown = fields(answer[-2], ["score", "pv"])
        assert shown["pv"] == best
        position.push(best)
        if position.in_check and not position.legal_moves():
            assert shown["score"] == "mate 1"
        else:
            cp = 600 * math.log((1 + float(v)) / (1 - float(v)))
            assert abs(int(shown["score"].removeprefix("cp ")) - cp) < 1
    engine.quit()


def test_occurrences_reach_the_network(start: Start, tmp_path: Path) -> None:
    """The planes that an SFEN does not hold: the value here is how often the position occurred."""

    class Occurred(Fixed):
        def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
            logits, _ = super().forward(planes)
            return logits, (planes[:, 119, 0, 0] + planes[:, 120, 0, 0]) * 0.25

    path = save(Occurred(0.0), tmp_path / "occurred.pt", json.dumps(MANIFEST))
    engine = start("--model", str(path), "--device", "cpu")
    engine.ready()
    scores = []
    for laps in range(3):
        moves = "5i5h 5a5b 5h5i 5b5a " * laps
        answer = engine.think(f"position startpos moves {moves}", *ONE_NODE)
        scores.append(int(fields(answer[-2], ["score"])["score"].removeprefix("cp ")))
    assert scores[0] == 0 and 0 < scores[1] <= scores[2]
    engine.quit()


@pytest.mark.parametrize(
    ("value", "cp"),
    [(0.0, 0), (0.5, 659), (-0.5, -659), (0.9, 1767), (1.0, 9999), (-1.0, -9999), (-0.001, -1)],
)
def test_centipawns(start: Start, tmp_path: Path, value: float, cp: int) -> None:
    engine = start("--model", fixed(tmp_path, value), "--device", "cpu")
    engine.ready()
    answer = engine.think("position startpos", *ONE_NODE)
    assert fields(answer[-2], ["score"]) == {"score": f"cp {cp}"}
    assert answer[-1].split()[1] in keisei.Position().legal_moves()
    engine.quit()


def test_resign_value(start: Start, tmp_path: Path) -> None:
    engine = start("--model", fixed(tmp_path, -0.9), "--device", "cpu")
    engine.ready()
    best = engine.best("position startpos", *ONE_NODE)
    assert best != "resign"
    assert engine.best("setoption name ResignValue value 1768", *ONE_NODE) == best
    answer = engine.think("setoption name ResignValue value 1767", *ONE_NODE)
    assert answer[-1] == "bestmove resign"
    assert fields(answer[-2], ["score", "pv"]) == {"score": "cp -1767", "pv": best}
    engine.quit()


def test_the_move_at_the_limit_draws(start: Start, tmp_path: Path) -> None:
    engine = start("--model", fixed(tmp_path, -0.9), "--device", "cpu")
    engine.ready()
    engine.ask("setoption name MaxMovesToDraw value 3", "setoption name ResignValue value 1")
    nodes = ("usinewgame", "go nodes 8")  # enough to look at a move that draws
    # Move 2 is not the last one; move 3 is: nobody resigns a drawn game.
    answer = engine.think("position startpos moves 7g7f", *ONE_NODE)
    assert answer[-1] == "bestmove resign"
    answer = engine.think("position startpos moves 7g7f 3c3d", *nodes)
    assert answer[-1] != "bestmove resign"
    assert fields(answer[-2], ["score"]) == {"score": "cp 0"}
    # The move number is that of the SFEN.
    answer = engine.think(f"position sfen {keisei.Position().sfen()[:-1]}3", *nodes)
    assert fields(answer[-2], ["score"]) == {"score": "cp 0"}
    answer = engine.think("setoption name MaxMovesToDraw value 0", *ONE_NODE)
    assert answer[-1] == "bestmove resign"
    # A mate is a mate on the last move too.
    engine.ask("setoption name MaxMovesToDraw value 1")
    answer = engine.think("position sfen 8k/9/8P/9/9/9/9/9/4K4 b G 1", "go searchmoves G*1b")
    assert fields(answer[-2], ["score"]) == {"score": "mate 1"}
    engine.quit()


REFUSED = {
    "no manifest": (None, r"manifest: expected one in the file"),
    "no JSON": ("{", r"JSON: expected"),
    "other JSON": ("[1, 2]", r"manifest format: expected 'keisei-policy', got nothing"),
    "format": ({"format": "other"}, r"manifest format: expected 'keisei-policy', got 'other'"),
    "version": ({"format_version": 2}, r"manifest format_version: expected 1, got 2"),
    "huge version": ({"format_version": 1e300}, r"format_version: expected 1, got 1e\+?300"),
    "version text": ({"format_version": "1"}, r"format_version: expected 1, got '1'"),
    "planes": (
        {"plane_set": {"name": "dlshogi-119", "version": 1}},
        r"manifest plane_set.name: expected 'keisei-121', got 'dlshogi-119'",
    ),
    "planes version": (
        {"plane_set": {"name": "keisei-121", "version": 3}},
        r"manifest plane_set.version: expected 1, got 3",
    ),
    "labels": ({"label_set": None}, r"manifest label_set.name: expected .*, got nothing"),
    "deep": ("[" * 100_000, r"JSON: expected less nesting"),
}


def refusal(start: Start, *arguments: str) -> str:
    """The one line that `isready` says before the engine ends."""
    engine = start(*arguments)
    engine.send("usi")
    engine.until("usiok")
    engine.send("isready")
    lines = engine.rest()
    assert len(lines) == 1 and lines[0].startswith("info string Error! "), lines
    assert engine.status() == 1
    return lines[0]


@pytest.mark.parametrize("case", REFUSED)
def test_a_manifest_that_does_not_fit(start: Start, tmp_path: Path, case: str) -> None:
    change, expected = REFUSED[case]
    text = json.dumps({**MANIFEST, **change}) if isinstance(change, dict) else change
    path = save(Fixed(0.0), tmp_path / "policy.pt", text)
    line = refusal(start, "--model", str(path))
    assert f"model {path}: " in line
    assert re.search(expected, line), line


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (Fixed(0.0, labels=100), r"forward logits: expected a tensor \[1, 2187\], got \[1, 100\]"),
        (Fixed(math.nan), r"forward value: expected finite numbers, got -?nan"),
        (Fixed(0.0, scale=math.inf), r"forward logits: expected finite numbers, got "),
        (Single(), r"forward: expected a pair \(logits, value\)"),
    ],
)
def test_a_network_that_does_not_fit(
    start: Start, tmp_path: Path, module: nn.Module, expected: str
) -> None:
    path = save(module, tmp_path / "policy.pt", json.dumps(MANIFEST))
    assert re.search(expected, refusal(start, "--model", str(path)))


def test_files_that_are_no_model(start: Start, tmp_path: Path) -> None:
    checkpoint = Path(__file__).parent.parent / "data" / "trained_policy.ckpt"
    program = tmp_path / "policy.pt2"
    with zipfile.ZipFile(program, "w") as archive:
        for name, text in {
            "models/model.json": "{}",
            "version": "3",
            "byteorder": "little",
            "archive_format": "pt2",
            "extra/manifest.json": json.dumps(MANIFEST),
        }.items():
            archive.writestr(f"policy/{name}", text)
    onnx = tmp_path / "policy.onnx"
    onnx.write_bytes(b"\x08\n\x12\x07pytorch")
    nothing = tmp_path / "nothing.pt"
    nothing.touch()
    text_file = tmp_path / "text.pt"
    text_file.write_text("hello")
    for path, got in {
        checkpoint: "a checkpoint, of which keisei-export makes one",
        tmp_path: "a folder; if it is a run, keisei-export makes a file of it",
        program: r"a torch\.export program \(\.pt2\), which is for other programs",
        onnx: "an ONNX file, which is for other programs",
        nothing: "an empty file",
        text_file: "a file of another kind",
    }.items():
        said = refusal(start, "--model", str(path))
        assert re.search(rf"expected a file made by keisei-export .*, got {got}$", said), said
    for path in (tmp_path / "none.pt", tmp_path / ("\N{HIRAGANA LETTER A}.pt")):
        assert "No such file" in refusal(start, "--model", str(path))
    assert "DNN_Model: expected a file" in refusal(start)


def test_damaged_files(start: Start, tmp_path: Path, policy: Path) -> None:
    whole = policy.read_bytes()
    cut = tmp_path / "cut.pt"
    cut.write_bytes(whole[: len(whole) // 2])
    refusal(start, "--model", str(cut))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_where_there_is_none(start: Start, policy: Path) -> None:
    line = refusal(start, "--model", str(policy), "--device", "cuda:0")
    assert "Device: expected a CUDA device for 'cuda:0', got none" in line


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-2), ("bf16", 0.2), ("fp16", 0.1)])
def test_cuda_agrees_with_the_cpu(
    policy: Path, positions: list[str], precision: str, tolerance: float
) -> None:
    cpu = evaluate_natively(policy, positions)
    cuda = evaluate_natively(policy, positions, "--device", "cuda:0", "--precision", precision)
    assert np.abs(cuda - cpu).max() / cpu.std() < tolerance


class Watchful(nn.Module):
    """Looks at its numbers on the way, which no recording on a GPU can follow."""

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        logits = planes.flatten(1)[:, :1] * 0 + torch.arange(2187, device=planes.device)
        if float(planes.sum()) > 0.0:
            return logits, planes[:, 0, 0, 0] * 0 + 0.5
        return logits, planes[:, 0, 0, 0] * 0 - 0.5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_network_that_cannot_be_recorded_is_run_as_it_is(
    start: Start, tmp_path: Path, policy: Path
) -> None:
    path = tmp_path / "watchful.pt"
    manifest = {"manifest.json": json.dumps(MANIFEST)}
    torch.jit.save(torch.jit.script(Watchful()), str(path), _extra_files=manifest)
    engine = start("--model", str(path), "--device", "cuda:0")
    lines = engine.ready()
    assert lines[-1] == "readyok"
    (said,) = [line for line in lines if "started one by one" in line]
    assert said.startswith("info string the network's kernels are started one by one, slowly: ")
    for nodes in (1, 200):  # batches of several sizes
        answer = engine.think("usinewgame", "position startpos", f"go nodes {nodes}")
        assert answer[-1].split()[1] in keisei.Position().legal_moves()
    assert fields(engine.think(*ONE_NODE)[-2], ["score"]) == {"score": "cp 659"}
    assert not [line for line in answer if "one by one" in line]
    # Another one after it is run in the same way.
    assert engine.ask(f"setoption name DNN_Model value {policy}") == []
    (said,) = [line for line in engine.ready() if "started one by one" in line]
    assert said.endswith(": an earlier network could not be recorded")
    answer = engine.think("usinewgame", "position startpos", "go nodes 200")
    assert answer[-1].split()[1] in keisei.Position().legal_moves()
    engine.quit()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_is_recorded_gives_the_same_again(policy: Path, positions: list[str]) -> None:
    """A batch is computed, and recorded; two more are replays, of other positions and of those."""
    batch = 64  # of --evaluate
    first, other = positions[:batch], positions[batch : 2 * batch]
    rows = evaluate_natively(policy, [*first, *other, *first], "--device", "cuda:0")
    assert np.abs(rows[:batch] - rows[2 * batch :]).max() / rows.std() < 1e-5
    cpu = evaluate_natively(policy, other)
    assert np.abs(rows[batch : 2 * batch] - cpu).max() / cpu.std() < 1e-2


def test_options_choose_the_model(start: Start, tmp_path: Path, policy: Path) -> None:
    """As GUIs do it: after `usi`, before `isready`; and another one for the next game."""
    path = tmp_path / "a name with blanks.pt"
    path.write_bytes(policy.read_bytes())
    engine = start()
    engine.send("usi")
    engine.until("usiok")
    assert engine.ask(f"setoption name DNN_Model value {path}") == []
    assert engine.ask("setoption name Device value cpu") == []
    said = f"info string model {path} on cpu in"
    assert engine.ready() == [f"{said} fp32, 9 layers fused", "readyok"]
    assert engine.ready() == ["readyok"]  # nothing changed, nothing to load
    assert engine.ask("setoption name Precision value bf16") == []
    assert engine.ready() == [f"{said} bf16, 9 layers fused", "readyok"]
    # The same name, a new file: a run that goes on exports again.
    path.unlink()
    save(Fixed(0.5), path, json.dumps(MANIFEST))
    assert engine.ready() == [f"{said} bf16", "readyok"]
    answer = engine.think("position startpos", *ONE_NODE)
    assert fields(answer[-2], ["score"]) == {"score": "cp 659"}
    assert engine.ask("setoption name DNN_Model value uniform") == []
    assert engine.ready() == ["readyok"]
    engine.quit()


def test_the_command_line_model_is_the_empty_option(start: Start, tmp_path: Path) -> None:
    engine = start("--model", "uniform")
    engine.ask(f"setoption name DNN_Model value {tmp_path}/nothing.pt")
    assert engine.ask("setoption name DNN_Model value <empty>") == []
    assert engine.ready() == ["readyok"]
    engine.quit()


def test_a_go_that_cannot_load_resigns(start: Start, tmp_path: Path) -> None:
    engine = start("--model", str(tmp_path / "nothing.pt"))
    answer = engine.think("position startpos", *ONE_NODE)
    assert answer[0].startswith("info string Error! model ")
    assert answer[1:] == ["bestmove resign"]
    engine.quit()


def test_a_go_plays_on_with_what_is_loaded(start: Start, tmp_path: Path, policy: Path) -> None:
    """Files and options that change during a game are for the next `isready`."""
    path = tmp_path / "policy.pt"
    path.write_bytes(policy.read_bytes())
    engine = start("--model", str(path), "--device", "cpu")
    assert engine.ready()[-1] == "readyok"
    best = engine.best("position startpos", *ONE_NODE)
    path.unlink()
    assert engine.ask(f"setoption name DNN_Model value {tmp_path}/nothing.pt") == []
    assert engine.ask("setoption name Precision value bf16") == []
    assert engine.best("position startpos", *ONE_NODE) == best != "resign"
    engine.send("isready")
    assert engine.rest()[-1].startswith("info string Error! model ")
    assert engine.status() == 1


def test_relative_paths_are_relative_to_the_working_folder(start: Start, policy: Path) -> None:
    engine = start("--model", policy.name, "--device", "cpu", cwd=policy.parent)
    assert engine.ready()[-1] == "readyok"
    engine.quit()
