"""Records are written here and read by others: rsshogi, cshogi and, where it is, tsshogi."""

import dataclasses
import json
import math
import os
import random
import shutil
import subprocess

import cshogi
import cshogi.CSA
import cshogi.KIF
import pytest
from rsshogi.core import Board
from rsshogi.record import Record

from keisei import Position
from keisei.evaluation.game_record import ENDINGS, START_SFEN, UNDECIDED, GameRecord
from keisei.evaluation.kif import _HANDICAPS
from keisei.evaluation.records import (
    RecordError,
    centipawns,
    csa_text,
    kif_text,
    read_csa,
    read_games,
    read_kif,
    read_sfen,
    sfen_text,
    value_of_centipawns,
    write_csa,
    write_kif,
    write_sfen,
)

HANDS = "8l/1l+R2P3/p2pBG1pp/kps1p4/Nn1P2G2/P1P1P2PP/1PS6/1KSG3+r1/LN2+p3L w Sbgn3p 124"
MANY_HANDS = "4k4/9/9/9/9/9/9/9/4K4 b 2R2B4G4S4N4L18P 1"
STARTS = [*_HANDICAPS, HANDS, MANY_HANDS]


def random_game(start, seed, plies=120):
    """A game of random moves that likes captures, promotions and drops, so that all occur."""
    rng = random.Random(seed)
    position = Position.from_sfen(start)
    moves = []
    while len(moves) < plies and position.outcome() is None:
        legal = position.legal_moves()
        board = {token for token in legal if token.endswith("+")}
        last = moves[-1][2:4] if moves else ""
        liked = [move for move in legal if move in board or move[2:4] == last]
        moves.append(rng.choice(liked or legal) if rng.random() < 0.5 else rng.choice(legal))
        position.push(moves[-1])
    outcome = position.outcome()
    ending, winner = "move_limit", None
    if outcome is not None:
        ending = outcome.ending
        winner = None if outcome.winner is None else ("black", "white")[outcome.winner]
    return GameRecord(
        black="keisei 1000",
        white="random",
        start=start,
        moves=tuple(moves),
        ending=ending,
        winner=winner,
        opening_plies=2,
        values=tuple(rng.choice([None, rng.uniform(-1, 1)]) for _ in moves),
        seconds=tuple(rng.randrange(0, 4000) / 4 for _ in moves),
        date="2026-11-22T20:15:00",
        event="a match",
    )


GAMES = [random_game(start, seed) for seed, start in enumerate(STARTS)]
GAMES += [random_game(START_SFEN, seed, 300) for seed in range(100, 110)]


def board_fields(sfen):
    """Board, side and hands; the move number is not kept by KIF and CSA."""
    return sfen.split(" ")[:3]


def positions(game):
    return [board_fields(position.sfen()) for position in game.positions()]


def as_read(game):
    """What is left of a game in KIF and CSA: whole seconds, whole centipawns, no move number."""
    sign = -1 if game.start.split(" ")[1] == "w" else 1
    values = []
    for value in game.values:
        score = None if value is None else sign * centipawns(sign * value)
        values.append(None if score is None else value_of_centipawns(score))
        sign = -sign
    return dataclasses.replace(
        game,
        start=" ".join([*board_fields(game.start), "1"]),
        values=tuple(values),
        seconds=tuple(float(int(second)) for second in game.seconds),
    )


def same(read, written):
    expected = as_read(written)
    assert read.values == pytest.approx(expected.values)
    return dataclasses.replace(read, values=expected.values) == expected


def test_the_sample_has_everything():
    moves = [move for game in GAMES for move in game.moves]
    text = "".join(map(kif_text, GAMES))
    assert {move[0] for move in moves if move[1] == "*"} == set("PLNSGBR")
    for word in ("同　", "成(", "成香(", "成桂(", "成銀(", "と(", "馬(", "龍(", "打", "後手番"):
        assert word in text, word


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.start)
@pytest.mark.parametrize("form", ["kif", "csa"])
def test_rsshogi_reads_every_position(game, form):
    text = kif_text(game) if form == "kif" else csa_text([game])
    record = (Record.from_kif_str if form == "kif" else Record.from_csa_str)(text)
    assert [entry.move.to_usi() for entry in record.moves] == list(game.moves)
    board = Board(record.init_position_sfen)
    seen = [board_fields(board.to_sfen())]
    for entry in record.moves:
        board.apply_move(entry.move)
        seen.append(board_fields(board.to_sfen()))
    assert seen == positions(game)
    assert (record.metadata.black_player, record.metadata.white_player) == (game.black, game.white)
    assert record.metadata.event == "a match"
    assert record.metadata.start_date == "2026/11/22 20:15:00"
    assert [entry.time_ms for entry in record.moves] == [int(s) * 1000 for s in game.seconds]
    assert record.result.is_black_win() == (game.winner == "black")
    assert record.result.is_white_win() == (game.winner == "white")


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.start)
def test_cshogi_reads_every_position_of_csa(game):
    parser = cshogi.CSA.Parser.parse_str(csa_text([game]))[0]
    assert parser.names == [game.black, game.white]
    check_cshogi(parser.sfen, parser.moves, game)
    assert parser.var_info["EVENT"] == "a match"
    assert list(parser.times) == [int(second) for second in game.seconds]
    scores = [0 if score is None else int(score) for score in parser.scores]
    assert [score for score in scores if score] == [score for score in black_scores(game) if score]


def black_scores(game):
    sign = -1 if game.start.split(" ")[1] == "w" else 1
    for value in game.values:
        yield None if value is None else centipawns(sign * value)
        sign = -sign


@pytest.mark.parametrize(
    "game", [g for g in GAMES if g.start in _HANDICAPS], ids=lambda game: game.start
)
def test_cshogi_reads_every_position_of_kif(game):
    # It reads no KIF that draws its first position.
    parser = cshogi.KIF.Parser.parse_str(kif_text(game))
    assert parser.names == [game.black, game.white]
    check_cshogi(parser.sfen, parser.moves, game)
    assert parser.times[: game.plies] == [int(second) for second in game.seconds]


def check_cshogi(sfen, moves, game):
    assert [cshogi.move_to_usi(move) for move in moves] == list(game.moves)
    board = cshogi.Board(sfen)
    seen = [board_fields(board.sfen())]
    for move in moves:
        assert board.is_legal(move)
        board.push(move)
        seen.append(board_fields(board.sfen()))
    assert seen == positions(game)


TSSHOGI = """
const { importKIF, importCSA } = require("tsshogi");
const records = JSON.parse(require("fs").readFileSync(0, "utf8")).map(([form, text]) => {
  const record = (form === "kif" ? importKIF : importCSA)(text);
  if (record instanceof Error) return String(record);
  const sfens = [];
  record.forEach((node) => {
    record.goto(node.ply);
    if (node.ply === 0 || node.move.usi) sfens.push(record.position.sfen);
  });
  const name = (key) => record.metadata.getStandardMetadata(key) || null;
  return {
    sfens, last: record.moves.at(-1).move.type || null,
    times: record.moves.slice(1).map((node) => node.elapsedMs),
    comments: record.moves.map((node) => node.comment),
    names: [name("blackName") || name("shitateName"), name("whiteName") || name("uwateName")],
  };
});
console.log(JSON.stringify(records));
"""


@pytest.fixture(scope="module")
def tsshogi():
    """Reads records with tsshogi, the library of ShogiHome, if Node.js finds it."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    found = subprocess.run([node, "-e", "require('tsshogi')"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip("Node.js finds no tsshogi (npm install tsshogi, NODE_PATH=.../node_modules)")

    def read(texts):
        answer = subprocess.run(
            [node, "-e", TSSHOGI],
            input=json.dumps(texts),
            capture_output=True,
            check=True,
            text=True,
            env=os.environ,
        )
        return json.loads(answer.stdout)

    return read


def test_tsshogi_reads_every_position(tsshogi):
    texts = [["kif", kif_text(game)] for game in GAMES]
    texts += [["csa", csa_text([game])] for game in GAMES]
    for game, record in zip(GAMES + GAMES, tsshogi(texts), strict=True):
        assert isinstance(record, dict), (game.start, record)
        assert [board_fields(sfen) for sfen in record["sfens"]] == positions(game)
        assert record["names"] == [game.black, game.white]
        assert record["times"][: game.plies] == [int(s) * 1000 for s in game.seconds]
        scores = [comment.strip() for comment in record["comments"][1 : game.plies + 1]]
        expected = ["" if s is None else f"* {s}" for s in black_scores(game)]
        assert scores == expected
        assert record["last"] is not None


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.start)
@pytest.mark.parametrize("suffix", [".kif", ".kifu", ".csa", ".KIF"])
def test_a_game_survives_a_file(game, suffix, tmp_path):
    path = tmp_path / f"game{suffix}"
    if suffix == ".csa":
        write_csa(path, [game])
    else:
        write_kif(path, game)
    (read,) = read_games(path)
    assert same(read, game)


def test_sfen_lines_are_what_engines_take(tmp_path):
    lines = sfen_text(GAMES).splitlines()
    for game, line in zip(GAMES, lines, strict=True):
        record = Record.from_usi_position(line)
        assert [entry.move.to_usi() for entry in record.moves] == list(game.moves)
        other = cshogi.Board()
        other.set_position(line)
        assert board_fields(other.sfen()) == positions(game)[-1]
    path = tmp_path / "games.sfen"
    write_sfen(path, GAMES)
    read = read_sfen(path)
    assert [(game.start, game.moves) for game in read] == [(g.start, g.moves) for g in GAMES]
    endings = [(g.ending, g.winner) for g in GAMES]
    assert [(game.ending, game.winner) for game in read] == [
        ("unfinished", None) if ending == "move_limit" else (ending, winner)
        for ending, winner in endings
    ]


def test_sfen_lines_with_comments_hold_everything(tmp_path):
    path = tmp_path / "games.sfen"
    write_sfen(path, GAMES, comments=True)
    assert list(read_games(path)) == GAMES


def test_many_games_in_one_csa_file(tmp_path):
    path = tmp_path / "games.csa"
    write_csa(path, GAMES)
    for read, game in zip(read_csa(path), GAMES, strict=True):
        assert same(read, game)
    assert len(cshogi.CSA.Parser.parse_str(path.read_text())) == len(GAMES)
    assert len(Record.from_csa_games_str(path.read_text())) == len(GAMES)


KIF = """\
# KIF version=2.0 encoding=UTF-8
# keisei {"ending": "resignation", "opening_plies": 1}
開始日時：2026/11/22 20:15:00
棋戦：test
手合割：平手
先手：alpha
後手：beta
手数----指手---------消費時間--
   1 ７六歩(77)     ( 0:01/00:00:01)
** 120
   2 ３四歩(33)     ( 1:02/00:01:02)
   3 ２二角成(88)   ( 0:01/00:00:02)
   4 同　銀(31)     ( 0:02/00:01:04)
** -60
   5 ４五角打       ( 0:01/00:00:03)
   6 投了           ( 0:00/00:01:04)
まで5手で先手の勝ち
"""
CSA = """\
V2.2
N+alpha
N-beta
$EVENT:test
$START_TIME:2026/11/22 20:15:00
'keisei {"ending": "resignation", "opening_plies": 1}
PI
+
+7776FU
T1
'** 120
-3334FU
T62
+8822UM
T1
-3122GI
T2
'** -60
+0045KA
T1
%TORYO
'summary:toryo:alpha win:beta lose
"""
SHORT = GameRecord(
    black="alpha",
    white="beta",
    start=START_SFEN,
    moves=("7g7f", "3c3d", "8h2b+", "3a2b", "B*4e"),
    ending="resignation",
    winner="black",
    opening_plies=1,
    values=(value_of_centipawns(120), None, None, value_of_centipawns(60), None),
    seconds=(1.0, 62.5, 1.0, 2.0, 1.0),
    date="2026-11-22T20:15:00",
    event="test",
)


def test_the_text_of_a_game():
    assert kif_text(SHORT) == KIF
    assert csa_text([SHORT]) == CSA
    assert sfen_text([SHORT]) == "startpos moves 7g7f 3c3d 8h2b+ 3a2b B*4e\n"
    bare = GameRecord("a", "b", HANDS, (), "unfinished", None)
    assert sfen_text([bare]) == f"sfen {HANDS}\n"


def test_the_board_of_a_first_position():
    game = GameRecord("a", "b", HANDS, (), "unfinished", None)
    lines = kif_text(game).splitlines()
    assert lines[2:16] == [
        "手合割：その他",
        "後手の持駒：角　金　桂　歩三",
        "  ９ ８ ７ ６ ５ ４ ３ ２ １",
        "+---------------------------+",
        "| ・ ・ ・ ・ ・ ・ ・ ・v香|一",
        "| ・v香 龍 ・ ・ 歩 ・ ・ ・|二",
        "|v歩 ・ ・v歩 角 金 ・v歩v歩|三",
        "|v玉v歩v銀 ・v歩 ・ ・ ・ ・|四",
        "| 桂v桂 ・ 歩 ・ ・ 金 ・ ・|五",
        "| 歩 ・ 歩 ・ 歩 ・ ・ 歩 歩|六",
        "| ・ 歩 銀 ・ ・ ・ ・ ・ ・|七",
        "| ・ 玉 銀 金 ・ ・ ・v龍 ・|八",
        "| 香 桂 ・ ・vと ・ ・ ・ 香|九",
        "+---------------------------+",
    ]
    assert lines[16:18] == ["先手の持駒：銀", "後手番"]
    many = kif_text(GameRecord("a", "b", MANY_HANDS, (), "unfinished", None))
    assert "先手の持駒：飛二　角二　金四　銀四　桂四　香四　歩十八\n" in many
    assert "後手の持駒：なし\n" in many
    assert "\nP+" + "00HI" * 2 + "00KA" * 2 + "00KI" * 4 in csa_text(
        [GameRecord("a", "b", MANY_HANDS, (), "unfinished", None)]
    )


def ended(ending, mover_wins, plies=2):
    winner = None
    if ending not in UNDECIDED:
        winner = ("black", "white")[(plies % 2 == 1) == mover_wins]
    return dataclasses.replace(
        SHORT, moves=SHORT.moves[:plies], values=(), seconds=(), ending=ending, winner=winner
    )


@pytest.mark.parametrize("plies", [2, 3])
@pytest.mark.parametrize("mover_wins", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_is_read_back(ending, mover_wins, plies, tmp_path):
    game = ended(ending, mover_wins, plies)
    write_kif(tmp_path / "game.kifu", game)
    write_csa(tmp_path / "game.csa", [game])
    assert read_kif(tmp_path / "game.kifu") == game
    assert read_csa(tmp_path / "game.csa") == (game,)
    for record in (Record.from_kif_str(kif_text(game)), Record.from_csa_str(csa_text([game]))):
        assert record.result.is_black_win() == (game.winner == "black")
        assert record.result.is_white_win() == (game.winner == "white")
    wins = {None: cshogi.DRAW, "black": cshogi.BLACK_WIN, "white": cshogi.WHITE_WIN}
    parser = cshogi.CSA.Parser.parse_str(csa_text([game]))[0]
    if parser.endgame != "%TSUMI":
        assert parser.win == wins[game.winner]
    elif ending == "no_legal_move":  # docs/evaluation.md says what to do about it
        assert parser.win == cshogi.DRAW, "cshogi knows %TSUMI now: say so in docs/evaluation.md"
        assert cshogi.KIF.Parser.parse_str(kif_text(game)).win == wins[game.winner]


OUTE = "oute_sennichite"


@pytest.mark.parametrize(
    ("ending", "mover_wins", "kif", "summary", "csa", "floodgate"),
    [
        ("no_legal_move", False, "詰み", "後手の勝ち", "%TSUMI", "tsumi"),
        ("declaration", True, "入玉勝ち", "先手の入玉勝ち", "%KACHI", "kachi"),
        ("repetition", False, "千日手", "千日手", "%SENNICHITE", "sennichite"),
        ("perpetual_check", True, "反則勝ち", "先手の反則勝ち", "%-ILLEGAL_ACTION", OUTE),
        ("perpetual_check", False, "反則負け", "先手の反則負け", "%ILLEGAL_MOVE", OUTE),
        ("move_limit", False, "持将棋", "持将棋", "%JISHOGI", "max_moves"),
        ("resignation", False, "投了", "後手の勝ち", "%TORYO", "toryo"),
        ("time", False, "切れ負け", "時間切れにより後手の勝ち", "%TIME_UP", "time_up"),
        ("illegal_move", False, "反則負け", "先手の反則負け", "%ILLEGAL_MOVE", "illegal_move"),
        ("crash", False, "反則負け", "先手の反則負け", "%ILLEGAL_MOVE", "abnormal"),
        ("stall", False, "切れ負け", "時間切れにより後手の勝ち", "%TIME_UP", "time_up"),
        ("unfinished", False, "中断", "中断", "%CHUDAN", "chudan"),
    ],
)  # fmt: skip
def test_the_words_for_endings(ending, mover_wins, kif, summary, csa, floodgate):
    game = ended(ending, mover_wins)
    last, line = kif_text(game).splitlines()[-2:]
    assert last.split() == ["3", kif]
    assert line == f"まで2手で{summary}"
    *_, last, words = csa_text([game]).splitlines()
    assert last == csa
    assert words.startswith(f"'summary:{floodgate}:alpha ")


@pytest.mark.parametrize("value", [-1, -0.99, -0.2, 0, 0.001, 0.5, 1])
def test_values_are_the_engines_centipawns(value):
    score = centipawns(value)
    if abs(value) == 1:
        assert score == 9999 * value
    else:
        assert score == round(600 * math.log((1 + value) / (1 - value)))
    assert value_of_centipawns(score) == pytest.approx(value, abs=1 / 1200)


def test_what_shift_jis_lacks_is_replaced(tmp_path):
    game = dataclasses.replace(SHORT, black="keisei 形勢", white="naïve ♞")
    write_kif(tmp_path / "a.kif", game)
    assert read_kif(tmp_path / "a.kif") == as_read(dataclasses.replace(game, white="na?ve ?"))
    write_kif(tmp_path / "a.kifu", game)
    assert read_kif(tmp_path / "a.kifu") == as_read(game)


FLOODGATE = """\
V2
N+gikou
N-ponanza
'Max_Moves:256
$EVENT:wdoor+floodgate-600-10F+gikou+ponanza+20261122201500
$START_TIME:2026/11/22 20:15:01
P1-KY-KE-GI-KI-OU-KI-GI-KE-KY
P2 * -HI *  *  *  *  * -KA * \x20
P3-FU-FU-FU-FU-FU-FU-FU-FU-FU
P4 *  *  *  *  *  *  *  *  * \x20
P5 *  *  *  *  *  *  *  *  * \x20
P6 *  *  *  *  *  *  *  *  * \x20
P7+FU+FU+FU+FU+FU+FU+FU+FU+FU
P8 * +KA *  *  *  *  * +HI * \x20
P9+KY+KE+GI+KI+OU+KI+GI+KE+KY
+
'rating:gikou+0:ponanza+0
+2726FU
T1
'** 39 -8384FU +2625FU
-3334FU
T8
'** 52 +7776FU -4344FU
+7776FU
T0
%TORYO
'summary:toryo:gikou win:ponanza lose
'$END_TIME:2026/11/22 20:15:12
"""


def test_a_floodgate_record_is_read(tmp_path):
    path = tmp_path / "wdoor.csa"
    path.write_text(FLOODGATE)
    (game,) = read_csa(path)
    assert game == GameRecord(
        black="gikou",
        white="ponanza",
        start=START_SFEN,
        moves=("2g2f", "3c3d", "7g7f"),
        ending="resignation",
        winner="black",
        values=(value_of_centipawns(39), -value_of_centipawns(52), None),
        seconds=(1.0, 8.0, 0.0),
        date="2026-11-22T20:15:01",
        event="wdoor+floodgate-600-10F+gikou+ponanza+20261122201500",
    )


FROM_A_GUI = """\
# ---- Kifu for Windows ----\r
開始日時：1999/07/15(木) 19:07:12\r
手合割：香落ち\u3000\u3000\r
下手：山田\r
上手：田中\r
手数----指手---------消費時間--\r
   1 ３四歩(33)   ( 0:16/00:00:16)\r
*互角\r
*#評価値=-77\r
   2 ７六歩(77)+\r
   3 中断\r
変化：2手\r
   2 ２六歩(27)\r
*#評価値=500\r
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_a_record_of_a_gui_is_read(encoding, tmp_path):
    path = tmp_path / "game.kif"
    path.write_bytes(FROM_A_GUI.encode(encoding))
    game = read_kif(path)
    assert (game.black, game.white, game.date) == ("山田", "田中", "1999-07-15T19:07:12")
    assert game.start == "lnsgkgsn1/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1"
    assert game.moves == ("3c3d", "7g7f")
    assert (game.ending, game.winner) == ("unfinished", None)
    assert game.values == (value_of_centipawns(77), None)
    assert game.seconds == (16.0, 0.0)


PERPETUAL = (
    "sfen 4k4/9/9/9/9/9/9/9/R3K4 b - 1 moves 9i9a 5a5b 9a9b 5b5a "
    + "9b9a 5a5b 9a9b 5b5a " * 2
    + "9b9a"
)


def test_the_order_of_pieces_in_hand_is_free(tmp_path):
    path = tmp_path / "lines.sfen"
    path.write_text(f"sfen {HANDS.replace('Sbgn3p', '3pngbS')}\n")
    assert read_sfen(path)[0].start == HANDS


def test_lines_end_as_the_rules_say(tmp_path):
    path = tmp_path / "lines.sfen"
    path.write_text(f"position startpos\n\n# a comment\n{PERPETUAL}\n")
    plain, perpetual = read_sfen(path)
    assert (plain.ending, plain.winner) == ("unfinished", None)
    assert (perpetual.ending, perpetual.winner) == ("perpetual_check", "white")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.kif", "garbage\n", "expected a KIF record, got none"),
        ("a.kif", "手合割：平手\n   1 ７五歩(77)\n", "ply 1: illegal move"),
        ("a.kif", "手合割：平手\n   1 ７六歩(77)\n# keisei {]\n", "a.kif"),
        ("a.csa", "garbage\n", "expected a CSA record, got none"),
        ("a.csa", "V2.2\nPI\n+\n+7775FU\n", "ply 1: illegal move"),
        ("a.sfen", "", "expected a game, got none"),
        ("a.sfen", "startpos\nlishogi\n", "line 2: expected 'startpos' or 'sfen'"),
        ("a.sfen", "startpos 7g7f\n", "line 1: expected 'moves', got '7g7f'"),
        ("a.sfen", "startpos moves 7g7f 7g7f\n", "line 1: ply 2: .*7g7f"),
        ("a.sfen", "sfen 9/9 b - 1 moves 7g7f\n", "line 1: "),
        ("a.sfen", f"sfen {MANY_HANDS.replace('L', 'Q')}\n", "line 1: sfen: .*Q"),
        ("a.sfen", f"sfen {MANY_HANDS.replace('18P', '9P9P')}\n", "line 1: sfen: .*9P9P"),
        ("a.sfen", '# {"black": 1}\nstartpos\n', "line 2: game: missing"),
        ("a.txt", "", "expected .kif, .kifu, .csa, .sfen or .usi, got '.txt'"),
    ],
)
def test_what_cannot_be_read_is_refused(name, text, words, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(RecordError, match=words) as caught:
        read_games(path)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "a.csa"
    path.write_bytes(b"PI\n\x85\x81\n")
    with pytest.raises(RecordError, match="expected UTF-8 or Shift-JIS, got neither"):
        read_games(path)


def test_without_rsshogi_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rsshogi.record", None)
    write_csa(tmp_path / "a.csa", [SHORT])
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'keisei\[records\]'"):
        read_games(tmp_path / "a.csa")
    write_sfen(tmp_path / "a.sfen", [SHORT])
    assert read_games(tmp_path / "a.sfen")[0].moves == SHORT.moves


def test_an_illegal_move_or_a_wrong_date_is_not_written():
    with pytest.raises(ValueError, match="ply 2"):
        kif_text(dataclasses.replace(ended("unfinished", False), moves=("7g7f", "7g7f")))
    with pytest.raises(ValueError, match="date: expected ISO 8601, got 'yesterday'"):
        csa_text([dataclasses.replace(SHORT, date="yesterday")])
