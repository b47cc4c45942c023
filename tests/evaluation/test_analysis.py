"""What is made of an engine's values: losses, marks, summaries, the table and the KIF."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence

import pytest

from keisei.evaluation.analysis import Line, Summary, Value, judge, summary
from keisei.evaluation.analysis_text import rows, summary_rows, title, to_json, write_annotated_kif
from keisei.evaluation.game_record import START_SFEN, GameRecord
from keisei.evaluation.kif import kif_line, kif_text
from keisei.evaluation.records import read_games
from keisei.evaluation.usi_engine import BadAnswer, BestMove, SearchInfo

GAME = GameRecord(
    "Ada", "羽生", START_SFEN, ("7g7f", "3c3d", "8h2b+", "3a2b"), "resignation", "black",
    seconds=(1.0, 2.0, 3.0, 4.0), date="2026-11-22", event="a match",
)  # fmt: skip
MATE = "4k4/9/4P4/9/9/9/9/9/4K4 b G2r2b3g4s4n4l17p 1"
LANCE_DOWN = "lnsgkgsn1/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1"


class Scripted:
    """An engine that has its answers from a list: the score as its mover sees it, and a line."""

    def __init__(self, *answers: tuple[str, str] | BestMove) -> None:
        self.answers = list(answers)
        self.heard: list[tuple[str, ...]] = []

    def new_game(self) -> None:
        self.heard.append(("new game",))

    def position(self, start: str, moves: Sequence[str] = ()) -> None:
        self.heard.append((start, *moves))

    def go(self, limits: str, seconds: float) -> BestMove:
        assert (limits, seconds) == ("nodes 7", 60.0)
        answer = self.answers.pop(0)
        if isinstance(answer, BestMove):
            return answer
        return BestMove(answer[1].split()[0], None, info(*answer), 0.0)


def info(score: str, line: str) -> SearchInfo:
    kind, number = score.split()
    cp, mate = (int(number), None) if kind == "cp" else (None, int(number))
    return SearchInfo(1, 7, cp, mate, tuple(line.split()))


def judged(engine: Scripted, game: GameRecord):
    return list(judge(engine, game, "nodes 7", 60.0))


def chance(cp: int) -> float:
    return 1 / (1 + math.exp(-cp / 600))  # docs/usi.md: cp = 600 ln(p / (1 - p))


def sample() -> list:
    return judged(
        Scripted(
            ("cp 100", "2g2f 8c8d"),  # black to move: +100 for black
            ("cp 60", "3c3d 2g2f"),  # -60
            ("cp 250", "2g2f 8c8d"),  # +250
            ("cp 800", "3a2b 2g2f"),  # -800
            ("mate 3", "P*2c 2b2c"),  # black mates
        ),
        GAME,
    )


def test_the_loss_is_the_winning_chance_given_away() -> None:
    moves = sample()
    assert [move.value.centipawns for move in moves] == [-60, 250, -800, 9999]
    # 7g7f was not the best move; 3c3d was, whatever is thought later; 8h2b+ was a blunder.
    assert [move.loss for move in moves] == [
        pytest.approx(chance(100) - chance(-60)),
        0.0,
        pytest.approx(chance(250) - chance(-800)),
        0.0,
    ]
    assert [move.is_best for move in moves] == [False, True, False, True]
    assert [move.mark and move.mark.sign for move in moves] == ["?!", None, "??", None]
    assert moves[3].value == Value(1.0, 3)


def test_white_loses_what_black_gains() -> None:
    answers = ("cp 0", "2g2f"), ("cp 300", "8c8d"), ("cp 200", "2g2f")
    moves = judged(Scripted(*answers), dataclasses.replace(GAME, moves=GAME.moves[:2], seconds=()))
    assert moves[1].loss == pytest.approx(chance(200) - chance(-300))
    assert moves[0].loss == pytest.approx(chance(0) - chance(-300))


def test_a_move_that_is_better_than_thought_loses_nothing() -> None:
    game = dataclasses.replace(GAME, moves=("7g7f",), seconds=())
    (move,) = judged(Scripted(("cp 0", "2g2f"), ("cp -500", "8c8d")), game)
    assert (move.value.centipawns, move.loss, move.mark) == (500, 0.0, None)


@pytest.mark.parametrize(
    ("loss", "sign"),
    [(0.0499, None), (0.0501, "?!"), (0.0999, "?!"), (0.1001, "?"), (0.1999, "?"), (0.2001, "??")],
)
def test_marks(loss: float, sign: str | None) -> None:
    (move, *_) = sample()
    best = Line(Value(move.value.expected + 2 * loss), ("2g2f",))
    move = dataclasses.replace(move, lines=(best,))
    assert move.loss == pytest.approx(loss)
    assert (move.mark and move.mark.sign) == sign


def test_the_engine_is_told_the_whole_game() -> None:
    engine = Scripted(*[("cp 0", "1g1f")] * 5)
    judged(engine, GAME)
    expected = [("new game",), *((START_SFEN, *GAME.moves[:n]) for n in range(5))]
    assert engine.heard == expected


def test_an_end_by_the_rules_needs_no_engine() -> None:
    mated = GameRecord("", "", MATE, ("G*5b",), "no_legal_move", "black")
    (move,) = judged(Scripted(("mate 1", "G*5b")), mated)
    assert (move.value, move.loss) == (Value(1.0, is_over=True), 0.0)
    assert rows(move)[0].split() == ["1", "▲G*5b", "won", "100.0%", "0.0%", "mate", "+1", "G*5b"]

    moves = ("5i5h", "5a5b", "5h5i", "5b5a") * 3
    drawn = GameRecord("", "", START_SFEN, moves, "repetition", None)
    last = judged(Scripted(*[("cp 600", "1g1f")] * 12), drawn)[-1]
    assert last.value == Value(0.0, is_over=True)
    assert last.loss == pytest.approx(chance(600) - 0.5)


def test_a_missed_mate() -> None:
    game = GameRecord("", "", MATE, ("5i5h",), "unfinished", None)
    (move,) = judged(Scripted(("mate 1", "G*5b"), ("cp 600", "5a4a")), game)
    assert move.loss == pytest.approx(1 - chance(-600))
    assert rows(move)[0].split()[5:7] == ["??", "mate"]


def test_a_declaration_and_further_lines() -> None:
    answer = BestMove("win", None, SearchInfo(mate=1), 0.0, (info("cp 50", "1g1f 1c1d"),))
    game = dataclasses.replace(GAME, moves=("7g7f",), seconds=())
    (move,) = judged(Scripted(answer, ("cp 0", "3c3d")), game)
    assert [line.moves for line in move.lines] == [("win",), ("1g1f", "1c1d")]
    assert rows(move)[1].split() == ["+50", "1g1f", "1c1d"]


def test_a_game_without_a_move() -> None:
    empty = GameRecord("", "", START_SFEN, (), "unfinished", None)
    assert judged(Scripted(), empty) == []
    assert summary([], False) == Summary(0, 0, 0.0, (0, 0, 0))
    assert title(empty) == "black - white: 0 plies, unfinished, nobody won"


def test_an_engine_without_a_value() -> None:
    engine = Scripted(BestMove("7g7f", None, SearchInfo(), 0.0))
    with pytest.raises(BadAnswer, match=r"no value after 0 plies, only '7g7f'"):
        judged(engine, GAME)


def test_summaries_leave_out_the_opening() -> None:
    moves = sample()
    assert summary(moves, False) == Summary(
        2, 0, pytest.approx((moves[0].loss + moves[2].loss) / 2), (1, 0, 1)
    )
    assert summary(moves, True) == Summary(2, 2, 0.0, (0, 0, 0))
    assert summary_rows(moves)[0] == (
        "black: 2 moves, 0 the engine's, mean loss 23.0%; "
        "1 inaccuracy (?!), 0 mistakes (?), 1 blunder (??)"
    )
    given = Scripted(*[("cp 0", "1g1f")] * 5)
    moves = judged(given, dataclasses.replace(GAME, opening_plies=2))
    assert [move.is_given for move in moves] == [True, True, False, False]
    assert summary(moves, False).moves == 1


def test_the_json_has_everything() -> None:
    moves = sample()
    data = json.loads(json.dumps(to_json(GAME, moves)))
    assert GameRecord.from_json(data["game"]) == GAME
    assert data["moves"][2] == {
        "ply": 3,
        "side": "black",
        "move": "8h2b+",
        "score": -800,
        "mate": None,
        "chance": moves[2].value.chance,
        "loss": moves[2].loss,
        "mark": "??",
        "lines": [
            {
                "score": 250,
                "mate": None,
                "chance": moves[2].lines[0].value.chance,
                "moves": ["2g2f", "8c8d"],
            }
        ],
    }
    assert data["black"]["marks"] == {"??": 1, "?": 0, "?!": 1}
    assert data["moves"][3]["mate"] == 3


@pytest.mark.parametrize("suffix", ["kif", "kifu"])
def test_rsshogi_reads_the_annotated_kif(tmp_path, suffix) -> None:
    rsshogi = pytest.importorskip("rsshogi.record")
    path = tmp_path / f"out.{suffix}"
    moves = sample()
    write_annotated_kif(path, GAME, moves, "keisei_play mock")
    text = path.read_bytes().decode("cp932" if suffix == "kif" else "utf-8")
    record = rsshogi.Record.from_kif_str(text)
    assert [entry.move.to_usi() for entry in record.moves] == list(GAME.moves)
    assert record.initial_comment.splitlines()[:1] == ["解析：keisei_play mock"]
    assert "悪手1、疑問手0、緩手1" in record.initial_comment.splitlines()[1]
    comments = [entry.comment.splitlines() for entry in record.moves]
    assert comments[2] == [
        "-800",
        "先手の勝率20.9%",
        f"悪手 ??、損失{100 * moves[2].loss:.1f}%",
        "最善、勝率60.3%：▲２六歩(27)△８四歩(83)",
    ]
    assert comments[3][1:] == [
        "先手の勝率100.0%、3手で先手の勝ち",
        "一致、勝率20.9%：△同　銀(31)▲２六歩(27)",
    ]
    (read,) = read_games(path)
    assert dataclasses.replace(read, values=()) == GAME
    # Behind each move stands what it led to, as its mover sees it.
    expected = [move.value.expected * (-1 if move.is_white else 1) for move in moves]
    assert read.values == pytest.approx(expected, abs=1e-3)


def test_a_handicap_game_has_its_own_names(tmp_path) -> None:
    game = GameRecord("甲", "乙", LANCE_DOWN, ("3c3d", "7g7f"), "resignation", "white")
    moves = judged(Scripted(("cp 0", "3c3d"), ("cp 600", "2g2f"), ("mate 5", "8c8d")), game)
    assert [move.is_white for move in moves] == [True, False]
    assert [move.value.centipawns for move in moves] == [600, -9999]
    assert moves[1].loss == pytest.approx(chance(600))
    path = tmp_path / "out.kifu"
    write_annotated_kif(path, game, moves, "x")
    assert "*下手の勝率73.1%\n" in path.read_text(encoding="utf-8")
    assert "*下手の勝率0.0%、5手で上手の勝ち\n" in path.read_text(encoding="utf-8")


def test_lines_in_kif() -> None:
    assert kif_line(GAME, 3, ("3a2b", "B*4e")) == "△同　銀(31)▲４五角打"
    with pytest.raises(ValueError, match="ply 1"):
        kif_line(GAME, 0, ("7g7e",))
    with pytest.raises(ValueError, match="comments: expected none or 5, got 1"):
        kif_text(GAME, comments=[["x"]])
