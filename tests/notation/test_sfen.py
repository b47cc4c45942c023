"""SFEN in and out: every malformed text is refused by name, every accepted one round-trips."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keisei

STARTPOS = "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1"
KINGS = "4k4/9/9/9/9/9/9/9/4K4"
FULL_HANDS = "RBGSNLPrbgsnlp"

CANONICAL = [
    STARTPOS,
    f"{KINGS} b - 1",
    f"{KINGS} w 2R2B4G4S4N4L18P 1",
    f"{KINGS} b 2r2b4g4s4n4l18p 1000000",
    f"{KINGS} b RB2G2S2N2L9Prb2g2s2n2l9p 1",
    f"{KINGS} w {FULL_HANDS} 42",
    "8l/1l+R2P3/p2pBG1pp/kps1p4/Nn1P2G2/P1P1P2PP/1PS6/1KSG3+r1/LN2+p3L w Sbgn3p 124",
    "l6nl/5+P1gk/2np1S3/p1p4Pp/3P2Sp1/1PPb2P1P/P5GS1/R8/LN4bKL w RGgsn5p 1",
    "R8/2K1S1SSk/4B4/9/9/9/9/9/1L1L1L3 b RBGSNLP3g3n17p 1",
    # The dead ends of one side are ordinary squares of the other.
    "4k2pn/8l/9/9/9/9/9/NL7/P3K4 b - 1",
    "+P+L+N+S+B+R3/9/3k5/9/9/9/5K3/9/3+r+b+s+n+l+p w - 7",
]

# (what is wrong, the text, what the message must say)
MALFORMED = [
    ("empty", "", "has 1 field, expected 4"),
    ("no hands", f"{KINGS} b 1", "has 3 fields, expected 4"),
    ("no move number", f"{KINGS} b -", "has 3 fields, expected 4"),
    ("a field more", f"{KINGS} b - 1 1", "has 5 fields, expected 4"),
    ("leading space", f" {STARTPOS}", "has 5 fields, expected 4"),
    ("trailing space", f"{STARTPOS} ", "has 5 fields, expected 4"),
    ("two spaces", f"{KINGS}  b - 1", "has 5 fields, expected 4"),
    ("tab", f"{KINGS}\tb - 1", r"4K4\x09b - 1' has 3 fields"),
    ("startpos", "startpos", "has 1 field"),
    ("8 ranks", "4k4/9/9/9/9/9/9/4K4 b - 1", "the board has 8 ranks, expected 9"),
    ("10 ranks", "4k4/9/9/9/9/9/9/9/9/4K4 b - 1", "the board has 10 ranks, expected 9"),
    ("rank missing", "4k4//9/9/9/9/9/9/4K4 b - 1", "rank 2 ('') has 0 squares, expected 9"),
    (
        "10 squares by digit",
        "4k4/9/ppppppppp1/9/9/9/9/9/4K4 b - 1",
        "rank 3 ('ppppppppp1') has 10 squares, expected 9",
    ),
    ("10 squares", "4k4/9/9/9/9/9/9/9/4K4P b - 1", "rank 9 ('4K4P') has 10 squares"),
    ("8 squares", "4k3/9/9/9/9/9/9/9/4K4 b - 1", "rank 1 ('4k3') has 8 squares, expected 9"),
    ("1 square", "4k4/9/9/9/P/9/9/9/4K4 b - 1", "rank 5 ('P') has 1 square, expected 9"),
    ("a zero", "4k4/9/90/9/9/9/9/9/4K4 b - 1", "rank 3 ('90') has a 0"),
    ("two counts", "4k4/9/45/9/9/9/9/9/4K4 b - 1", "rank 3 ('45') has two counts in a row"),
    ("unknown letter", "4k4/9/4X4/9/9/9/9/9/4K4 b - 1", "rank 3 ('4X4') has 'X', expected a piece"),
    ("unknown sign", "4k4/9/4-4/9/9/9/9/9/4K4 b - 1", "rank 3 ('4-4') has '-'"),
    ("not ASCII", "4k4/9/4歩4/9/9/9/9/9/4K4 b - 1", r"rank 3 ('4\xe6\xad\xa94') has '\xe6'"),
    ("plus at the end", "4k4/9/8+/9/9/9/9/9/4K4 b - 1", "rank 3 ('8+') ends in '+'"),
    ("plus before a digit", "4k4/9/+9/9/9/9/9/9/4K4 b - 1", "rank 3 ('+9') has '9'"),
    ("two pluses", "4k4/9/++P8/9/9/9/9/9/4K4 b - 1", "rank 3 ('++P8') has '+'"),
    ("promoted gold", "4k4/9/+G8/9/9/9/9/9/4K4 b - 1", "has a promoted gold, which does not exist"),
    ("promoted king", "4k4/9/9/9/9/9/9/9/4+K4 b - 1", "has a promoted king, which does not exist"),
    ("side in capitals", f"{KINGS} B - 1", "the side to move is 'B', expected 'b'"),
    ("side in words", f"{KINGS} black - 1", "the side to move is 'black'"),
    ("no side", f"{KINGS}  - 1", "the side to move is ''"),
    ("empty hands", f"{KINGS} b  1", "the hands ('') are empty, expected '-'"),
    ("dash and pieces", f"{KINGS} b -P 1", "the hands ('-P') have '-'"),
    ("pieces and dash", f"{KINGS} b P- 1", "the hands ('P-') have '-'"),
    ("two dashes", f"{KINGS} b -- 1", "the hands ('--') have '-'"),
    ("king in hand", f"{KINGS} b K 1", "the hands ('K') have 'K'"),
    ("promoted in hand", f"{KINGS} b +P 1", "the hands ('+P') have '+'"),
    ("unknown in hand", f"{KINGS} b X 1", "the hands ('X') have 'X'"),
    ("count alone", f"{KINGS} b P2 1", "the hands ('P2') end in the count '2'"),
    ("count zero", f"{KINGS} b 0P 1", "give black's pawn the count '0', expected no zero"),
    ("leading zero", f"{KINGS} b 02p 1", "give white's pawn the count '02', expected no zero"),
    ("count one", f"{KINGS} b 1P 1", "give black's pawn the count 1, expected none written"),
    ("19 pawns in hand", f"{KINGS} b 19P 1", "the count '19', expected at most 18"),
    ("3 rooks in hand", f"{KINGS} b 3r 1", "white's rook the count '3', expected at most 2"),
    ("count of 30 digits", f"{KINGS} b {'9' * 30}P 1", "expected at most 18"),
    ("hand order", f"{KINGS} b PR 1", "give black's rook out of order, expected rook bishop"),
    ("white first", f"{KINGS} b rR 1", "give black's rook out of order"),
    ("a kind twice", f"{KINGS} b PP 1", "give black's pawn twice"),
    ("a kind twice with counts", f"{KINGS} b 2p2p 1", "give white's pawn twice"),
    ("number zero", f"{KINGS} b - 0", "the move number is '0', expected a whole number from 1"),
    ("number empty", f"{KINGS} b - ", "the move number is ''"),
    ("number negative", f"{KINGS} b - -1", "the move number is '-1'"),
    ("number with plus", f"{KINGS} b - +1", "the move number is '+1'"),
    ("number with zero", f"{KINGS} b - 01", "the move number is '01'"),
    ("number with fraction", f"{KINGS} b - 1.0", "the move number is '1.0'"),
    ("number in words", f"{KINGS} b - one", "the move number is 'one'"),
    ("number with line end", f"{KINGS} b - 1\n", r"the move number is '1\x0a'"),
    ("number too large", f"{KINGS} b - 1000001", "expected a whole number from 1 to 1000000"),
    ("number far too large", f"{KINGS} b - {'9' * 30}", "expected a whole number from 1 to"),
    (
        "3 rooks",
        "4k4/9/9/9/R+r7/9/9/9/4K4 b r 1",
        "3 rooks on the board and in the hands, expected at most 2",
    ),
    ("3 bishops", "4k4/9/9/9/BB7/9/9/9/4K4 b b 1", "3 bishops on the board"),
    ("5 golds", "4k4/9/9/9/GGGG5/9/9/9/4K4 b g 1", "5 golds on the board"),
    ("5 silvers", "4k4/9/9/9/+SSSS5/9/9/9/4K4 b S 1", "5 silvers on the board"),
    ("5 knights", "4k4/9/9/9/NNNNN4/9/9/9/4K4 b - 1", "5 knights on the board"),
    ("5 lances", "4k4/9/9/9/LL+LL5/9/9/9/4K4 b l 1", "5 lances on the board"),
    ("19 pawns", "4k4/9/9/9/P+P7/9/9/9/4K4 b 9P8p 1", "19 pawns on the board"),
    ("no black king", "4k4/9/9/9/9/9/9/9/9 b - 1", "black has 0 kings, expected 1 (a mate problem"),
    ("no white king", "9/9/9/9/9/9/9/9/4K4 b - 1", "white has 0 kings, expected 1"),
    ("no king", "9/9/9/9/9/9/9/9/9 b - 1", "black has 0 kings, expected 1"),
    ("2 black kings", "4k4/9/9/9/9/9/9/9/3KK4 b - 1", "black has 2 kings, expected 1"),
    ("2 white kings", "4k4/4k4/9/9/9/9/9/9/4K4 b - 1", "white has 2 kings, expected 1"),
    (
        "two black pawns on a file",
        "4k4/9/9/2P6/9/9/2P6/9/4K4 b - 1",
        "file 7 has two unpromoted black pawns (7d and 7g), expected at most one",
    ),
    (
        "two white pawns on a file",
        "4k3p/8p/9/9/9/9/9/9/4K4 b - 1",
        "file 1 has two unpromoted white pawns (1a and 1b)",
    ),
    ("black pawn", "P3k4/9/9/9/9/9/9/9/4K4 b - 1", "the black pawn on 9a could never move"),
    ("white pawn", "4k4/9/9/9/9/9/9/9/p3K4 b - 1", "the white pawn on 9i could never move"),
    ("black lance", "4k3L/9/9/9/9/9/9/9/4K4 b - 1", "the black lance on 1a could never move"),
    ("white lance", "4k4/9/9/9/9/9/9/9/4K3l b - 1", "the white lance on 1i could never move"),
    ("black knight 1", "N3k4/9/9/9/9/9/9/9/4K4 b - 1", "the black knight on 9a could never move"),
    ("black knight 2", "4k4/N8/9/9/9/9/9/9/4K4 b - 1", "the black knight on 9b could never move"),
    ("white knight 1", "4k4/9/9/9/9/9/9/9/4K3n w - 1", "the white knight on 1i could never move"),
    ("white knight 2", "4k4/9/9/9/9/9/9/8n/4K4 w - 1", "the white knight on 1h could never move"),
    (
        "white in check, black to move",
        "4k4/9/9/9/4R4/9/9/9/4K4 b - 1",
        "white's king on 5a is in check though it is black's move",
    ),
    (
        "black in check, white to move",
        "4k4/9/9/9/9/9/9/4p4/4K4 w - 1",
        "black's king on 5i is in check though it is white's move",
    ),
    (
        "kings side by side",
        "9/9/9/4k4/4K4/9/9/9/9 b - 1",
        "white's king on 5d is in check though it is black's move",
    ),
]


@pytest.mark.parametrize("sfen", CANONICAL)
def test_canonical_text_round_trips(sfen: str) -> None:
    assert keisei.Position.from_sfen(sfen).sfen() == sfen


@pytest.mark.parametrize(
    ("sfen", "message"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED]
)
def test_malformed_text_is_refused_by_name(sfen: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^sfen: ") as caught:
        keisei.Position.from_sfen(sfen)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_long_foreign_text_is_cut_in_the_message() -> None:
    with pytest.raises(ValueError, match=r"^sfen: ") as caught:
        keisei.Position.from_sfen("x" * 100_000)
    assert len(str(caught.value)) < 300


def test_start_position() -> None:
    assert keisei.Position().sfen() == STARTPOS
    assert keisei.Position.from_sfen(STARTPOS) == keisei.Position()


def test_tsume_admits_a_missing_king_of_the_side_to_move() -> None:
    for sfen in ("4k4/9/4P4/9/9/9/9/9/9 b G2r 1", "9/9/9/9/9/9/9/9/4K4 w 2g 30"):
        with pytest.raises(ValueError, match=r"0 kings, expected 1 \(.*needs tsume\)"):
            keisei.Position.from_sfen(sfen)
        assert keisei.Position.from_sfen(sfen, tsume=True).sfen() == sfen


def test_tsume_admits_both_kings() -> None:
    assert keisei.Position.from_sfen(STARTPOS, tsume=True).sfen() == STARTPOS


@pytest.mark.parametrize(
    ("sfen", "message"),
    [
        ("9/9/9/9/9/9/9/9/4K4 b G 1", "white has 0 kings, expected 1"),
        ("4k4/9/9/9/9/9/9/9/9 w g 1", "black has 0 kings, expected 1"),
        ("9/9/9/9/9/9/9/9/9 b G 1", "white has 0 kings, expected 1"),
        ("4k4/9/9/9/9/9/9/9/3KK4 b - 1", "black has 2 kings, expected 0 or 1"),
        ("4k4/4G4/9/9/9/9/9/9/9 b - 1", "white's king on 5a is in check"),
        ("4k4/9/9/9/9/9/9/9/9 b PP 1", "twice"),
    ],
)
def test_tsume_is_as_strict_otherwise(sfen: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^sfen: ") as caught:
        keisei.Position.from_sfen(sfen, tsume=True)
    assert message in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), plies=st.integers(1, 300))
def test_positions_of_random_play_round_trip(seed: int, plies: int) -> None:
    choose = random.Random(seed)
    position = keisei.Position()
    for _ in range(plies):
        moves = position.legal_moves()
        if not moves:
            break
        position.push(choose.choice(moves))
        text = position.sfen()
        again = keisei.Position.from_sfen(text)
        assert again.sfen() == text
        assert again == position
        assert (again.turn, again.ply, again.in_check) == (
            position.turn,
            position.ply,
            position.in_check,
        )


@settings(max_examples=500, deadline=None)
@given(
    base=st.sampled_from(CANONICAL),
    at=st.floats(0, 1, exclude_max=True),
    cut=st.integers(0, 2),
    inserted=st.text("123456789+/PLNSGBRKplnsgbrkbw- 0xP", max_size=2),
)
def test_whatever_is_accepted_is_canonical(base: str, at: float, cut: int, inserted: str) -> None:
    index = int(at * len(base))
    text = base[:index] + inserted + base[index + cut :]
    try:
        position = keisei.Position.from_sfen(text)
    except ValueError:
        return
    assert position.sfen() == text


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_foreign_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"^sfen: "):
        keisei.Position.from_sfen(text)
