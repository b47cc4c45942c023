import json
import math

import pytest

import keisei.evaluation.ladder as ladder_module
from keisei.evaluation.ladder import Ladder, LadderError
from keisei.evaluation.ratings import Score, bradley_terry


def filled(path=None):
    ladder = Ladder(path)
    ladder.add("step 1000", "random", Score(60, 30, 10), step=1000)
    ladder.add("step 2000", "random", Score(90, 10, 0), step=2000)
    ladder.add("step 2000", "step 1000", Score(50, 20, 30), step=2000)
    return ladder


def test_a_ladder_survives_its_file(tmp_path):
    path = tmp_path / "ladder.json"
    ladder = filled(path)
    again = Ladder(path)
    assert again.to_json() == ladder.to_json()
    assert again.results == ladder.results
    assert [file.name for file in tmp_path.iterdir()] == ["ladder.json"]
    data = json.loads(path.read_text())
    assert data["format"] == 1
    assert data["anchors"] == {"random": 0}
    assert data["scores"][0] == {
        "a": "step 1000", "b": "random", "wins": 60, "draws": 30, "losses": 10, "step": 1000,
    }  # fmt: skip


def test_games_add_up():
    ladder = filled()
    ladder.add("step 1000", "random", Score(1, 2, 3), step=1000)
    ladder.add("step 1000", "random", Score(1, 0, 0))
    assert ladder.results["step 1000", "random"] == Score(62, 32, 13)
    assert ladder.ratings() == bradley_terry(ladder.results, {"random": 0})


def test_what_was_played_later_is_forgotten(tmp_path):
    path = tmp_path / "ladder.json"
    ladder = filled(path)
    ladder.add("usi", "random", Score(5, 0, 0))
    ladder.forget_after(1999)
    expected = {("step 1000", "random"): Score(60, 30, 10), ("usi", "random"): Score(5, 0, 0)}
    assert ladder.results == Ladder(path).results == expected
    # Played again, it is as if the run had never died.
    ladder.add("step 2000", "random", Score(90, 10, 0), step=2000)
    ladder.add("step 2000", "step 1000", Score(50, 20, 30), step=2000)
    whole = filled()
    whole.add("usi", "random", Score(5, 0, 0))
    assert ladder.ratings() == whole.ratings()


def test_ratings_are_reckoned_once_for_the_same_games(monkeypatch):
    reckoned = []

    def reckon(results, anchors, confidence):
        reckoned.append(len(results))
        return bradley_terry(results, anchors, confidence)

    monkeypatch.setattr(ladder_module, "bradley_terry", reckon)
    ladder = Ladder()
    ladder.add("a", "random", Score(3, 0, 1), step=1)
    before = ladder.ratings()
    before.clear()  # what a caller does with its copy is no matter
    assert ladder.ratings() and ladder.rows() and ladder.text()
    assert reckoned == [1]
    ladder.add("b", "random", Score(1, 0, 1), step=2)
    assert set(ladder.ratings()) == {"a", "b", "random"}
    ladder.forget_after(1)
    assert set(ladder.ratings()) == {"a", "random"}
    assert ladder.ratings(0.5)["a"].high < ladder.ratings()["a"].high
    assert reckoned == [1, 2, 1, 1]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "ladder.json"
    ladder = filled(path)
    before = path.read_text()
    monkeypatch.setattr("json.dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ladder.add("a", "random", Score(1))
    assert path.read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ["ladder.json"]


def test_rows_and_text():
    ladder = filled()
    ladder.add("x", "y", Score(1))
    rows = ladder.rows()
    assert [(row.rank, row.name) for row in rows] == [
        (1, "step 2000"),
        (2, "step 1000"),
        (3, "random"),
    ]
    assert rows[0].rating.games == 200
    lines = ladder.text().splitlines()
    assert lines[0].split() == ["#", "player", "Elo", "95%", "games", "score"]
    assert lines[3].split() == ["3", "random", "+0", "anchor", "200", "15.0%"]
    assert lines[4] == "no games connect with an anchor: x, y"
    assert len({len(line) for line in lines[:4]}) == 1


def test_infinite_bounds_have_a_sign():
    ladder = Ladder()
    ladder.add("a", "random", Score(10, 0, 0))
    rating = ladder.rows()[0].rating
    assert rating.high == math.inf
    assert " ".join(ladder.text().splitlines()[1].split()) == "1 a +529 +166 .. +∞ 10 100.0%"


def test_an_empty_ladder():
    ladder = Ladder()
    assert ladder.ratings() == {}
    assert ladder.rows() == ()
    ladder.add("a", "random", Score())
    assert ladder.rows() == ()
    ladder.add("a", "b", Score(1))
    assert ladder.rows() == ()
    assert "no games connect with an anchor: a, b" in ladder.text()


def test_the_file_keeps_its_anchors(tmp_path):
    path = tmp_path / "ladder.json"
    Ladder(path, {"peer": 1500.0}).add("a", "peer", Score(1, 0, 1))
    assert Ladder(path).anchors == {"peer": 1500}
    assert Ladder(path).ratings()["a"].elo == pytest.approx(1500)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"format": 2}', '{"format": 1, "anchors": {}, "scores": [{"a": "x"}]}', '{"form'],
)
def test_what_is_no_ladder_is_refused(tmp_path, text):
    path = tmp_path / "ladder.json"
    path.write_text(text)
    with pytest.raises(LadderError, match=r"ladder\.json: no ladder"):
        Ladder(path)


def test_nobody_plays_himself():
    ladder = Ladder()
    with pytest.raises(ValueError, match="ladder: expected two players, got 'a' against itself"):
        ladder.add("a", "a", Score(1))
    assert ladder.results == {}
