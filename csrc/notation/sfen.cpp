#include "notation/sfen.h"

#include <array>
#include <charconv>
#include <stdexcept>
#include <vector>

#include "notation/quote.h"
#include "shogi/legal.h"

namespace keisei::notation {
namespace {

using namespace keisei::shogi;

constexpr std::string_view kLetters = " PLNSBRGK";  // by plain Kind
constexpr std::array<const char*, 9> kNames = {"",       "pawn", "lance", "knight", "silver",
                                               "bishop", "rook", "gold",  "king"};
constexpr std::array<Kind, kHandKinds> kHandOrder = {ROOK,   BISHOP, GOLD, SILVER,
                                                     KNIGHT, LANCE,  PAWN};

[[noreturn]] void fail(const std::string& what) {
    throw std::invalid_argument("sfen: " + what);
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_white_letter(char c) {
    return c >= 'a' && c <= 'z';
}
char upper(char c) {
    return is_white_letter(c) ? static_cast<char>(c - 'a' + 'A') : c;
}
char letter(int plain, bool white) {
    const char c = kLetters[static_cast<std::size_t>(plain)];
    return white ? static_cast<char>(c - 'A' + 'a') : c;
}
const char* side_name(bool white) {
    return white ? "white" : "black";
}

// The plain kind that a letter names, EMPTY if it names none.
int kind_of_letter(char c) {
    const auto at = kLetters.find(upper(c));
    return c == ' ' || at == std::string_view::npos ? EMPTY : static_cast<int>(at);
}

std::string name_of(int kind) {
    return kind > KING
               ? std::string("promoted ") + kNames[static_cast<std::size_t>(unpromoted(kind))]
               : kNames[static_cast<std::size_t>(kind)];
}

std::string number(int n) {
    return std::to_string(n);
}

std::string plural(int n, const std::string& noun) {
    return number(n) + " " + noun + (n == 1 ? "" : "s");
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> out;
    for (std::size_t begin = 0;;) {
        const auto end = text.find(separator, begin);
        out.push_back(text.substr(begin, end - begin));
        if (end == std::string_view::npos) return out;
        begin = end + 1;
    }
}

// In all that follows up to `parse_sfen`, `own` means black: the position is built as black sees
// it.

void parse_rank(std::string_view text, int rank, Position& position) {
    const std::string where = "rank " + number(rank + 1) + " (" + quote(text) + ")";
    int squares = 0;
    bool after_digit = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_digit(text[i])) {
            if (text[i] == '0') fail(where + " has a 0, expected a count from 1 to 9");
            if (after_digit) {
                fail(where + " has two counts in a row, expected one digit for adjacent squares");
            }
            squares += text[i] - '0';
            after_digit = true;
            continue;
        }
        after_digit = false;
        const bool plus = text[i] == '+';
        if (plus && ++i == text.size()) fail(where + " ends in '+', expected a piece after it");
        const int plain = kind_of_letter(text[i]);
        if (plain == EMPTY) {
            fail(where + " has " + quote(text.substr(i, 1)) +
                 ", expected a piece (PLNSBRGK or plnsbrgk, '+' before a promoted one) or a digit");
        }
        if (plus && !can_promote(plain)) {
            fail(where + " has a promoted " + name_of(plain) + ", which does not exist");
        }
        if (squares < kFiles) {
            put(position, make_square(kFiles - 1 - squares, rank), plus ? promoted(plain) : plain,
                !is_white_letter(text[i]));
        }
        ++squares;
    }
    if (squares != kFiles) {
        fail(where + " has " + plural(squares, "square") + ", expected 9");
    }
}

void parse_board(std::string_view text, Position& position) {
    const auto ranks = split(text, '/');
    if (ranks.size() != kRanks) {
        fail("the board has " + plural(static_cast<int>(ranks.size()), "rank") +
             ", expected 9 with '/' between them");
    }
    for (int rank = 0; rank < kRanks; ++rank) {
        parse_rank(ranks[static_cast<std::size_t>(rank)], rank, position);
    }
}

void parse_hands(std::string_view text, Position& position) {
    if (text == "-") return;
    const std::string where = "the hands (" + quote(text) + ")";
    if (text.empty()) fail(where + " are empty, expected '-' if nobody holds a piece");
    // Slots in canonical order: black's seven kinds, then white's.
    int next_slot = 0;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t begin = i;
        while (i < text.size() && is_digit(text[i])) ++i;
        const std::string_view digits = text.substr(begin, i - begin);
        if (i == text.size()) {
            fail(where + " end in the count " + quote(digits) + ", expected a piece after it");
        }
        const char c = text[i++];
        const int kind = kind_of_letter(c);
        if (kind == EMPTY || kind == KING) {
            fail(where + " have " + quote(std::string_view(&c, 1)) +
                 ", expected a piece (RBGSNLP or rbgsnlp) with its count before it if that is 2 or "
                 "more, or '-' alone if nobody holds a piece");
        }
        const bool white = is_white_letter(c);
        const std::string what = where + " give " + side_name(white) + "'s " + name_of(kind) + " ";
        int count = 1;
        if (!digits.empty()) {
            if (digits[0] == '0') {
                fail(what + "the count " + quote(digits) +
                     ", expected no zero and no leading zero");
            }
            if (digits == "1") fail(what + "the count 1, expected none written for one piece");
            const int limit = set_size(kind);
            const auto [end, error] =
                std::from_chars(digits.data(), digits.data() + digits.size(), count);
            if (error != std::errc() || count > limit) {
                fail(what + "the count " + quote(digits) + ", expected at most " + number(limit));
            }
        }
        int slot = white ? kHandKinds : 0;
        while (kHandOrder[static_cast<std::size_t>(slot % kHandKinds)] != kind) ++slot;
        if (slot == next_slot - 1) fail(what + "twice");
        if (slot < next_slot) {
            fail(what +
                 "out of order, expected rook bishop gold silver knight lance pawn (RBGSNLP), "
                 "black's first");
        }
        next_slot = slot + 1;
        set_hand_count(position, white ? 1 : 0, kind, count);
    }
}

int parse_move_number(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    if (!whole || !is_digit(text[0]) || text[0] == '0' || value > kMaxMoveNumber) {
        fail("the move number is " + quote(text) + ", expected a whole number from 1 to " +
             number(kMaxMoveNumber) + " without sign or leading zeros");
    }
    return value;
}

void check_piece_counts(const Position& position) {
    for (int kind = PAWN; kind <= GOLD; ++kind) {
        int total = position.pieces(kind).count();
        if (can_promote(kind)) total += position.pieces(promoted(kind)).count();
        total += position.hand_count(0, kind) + position.hand_count(1, kind);
        if (total > set_size(kind)) {
            fail(plural(total, name_of(kind)) +
                 " on the board and in the hands, expected at most " + number(set_size(kind)));
        }
    }
}

void check_kings(const Position& position, bool white_to_move, bool tsume) {
    const Bitboard kings = position.pieces(KING);
    for (const bool white : {false, true}) {
        const int count = (white ? kings & ~position.own : kings & position.own).count();
        if (count == 1) continue;
        const bool may_lack = white == white_to_move;
        if (count == 0 && may_lack && tsume) continue;
        std::string expected = ", expected 1";
        if (tsume && may_lack) expected = ", expected 0 or 1";
        if (!tsume && may_lack && count == 0) {
            expected += " (a mate problem without the attacker's king needs tsume)";
        }
        fail(std::string(side_name(white)) + " has " + plural(count, "king") + expected);
    }
}

void check_pawn_files(const Position& position) {
    for (const bool white : {false, true}) {
        Bitboard pawns = position.pieces(PAWN) & (white ? ~position.own : position.own);
        int last = -1;
        while (pawns.any()) {
            const int square = pawns.pop_lowest();
            if (last >= 0 && file_of(last) == file_of(square)) {
                fail("file " + number(file_of(square) + 1) + " has two unpromoted " +
                     side_name(white) + " pawns (" + square_name(last) + " and " +
                     square_name(square) + "), expected at most one");
            }
            last = square;
        }
    }
}

void check_dead_ends(const Position& position) {
    Bitboard all = position.occupied();
    while (all.any()) {
        const int square = all.pop_lowest();
        const int kind = position.kind_at(square);
        const bool white = !position.own.test(square);
        const int ahead = white ? kRanks - 1 - rank_of(square) : rank_of(square);
        const int needed = kind == PAWN || kind == LANCE ? 1 : kind == KNIGHT ? 2 : 0;
        if (ahead < needed) {
            fail(std::string("the ") + side_name(white) + " " + name_of(kind) + " on " +
                 square_name(square) + " could never move");
        }
    }
}

// The kind on a square as its owner and SFEN write it; empty for an empty square.
std::string piece_text(const Position& black_view, int square) {
    const int kind = black_view.kind_at(square);
    if (kind == EMPTY) return "";
    const bool plus = is_promoted(kind);
    return std::string(plus ? "+" : "") +
           letter(plus ? unpromoted(kind) : kind, !black_view.own.test(square));
}

std::string hand_text(const Position& black_view, int side, const char* separator) {
    std::string out;
    for (const Kind kind : kHandOrder) {
        const int count = black_view.hand_count(side, kind);
        if (count == 0) continue;
        if (!out.empty()) out += separator;
        if (count > 1) out += number(count);
        out += letter(kind, side == 1);
    }
    return out;
}

Position as_black_sees(const Position& position) {
    return position.white_to_move() ? turned(position) : position;
}

}  // namespace

std::string square_name(int square) {
    return {static_cast<char>('1' + file_of(square)), static_cast<char>('a' + rank_of(square))};
}

Position parse_sfen(std::string_view sfen, int* move_number, bool tsume) {
    const auto fields = split(sfen, ' ');
    if (fields.size() != 4) {
        fail(quote(sfen) + " has " + plural(static_cast<int>(fields.size()), "field") +
             ", expected 4 (board, side to move, hands, move number) with one space between them");
    }
    Position position = empty_board();
    parse_board(fields[0], position);
    if (fields[1] != "b" && fields[1] != "w") {
        fail("the side to move is " + quote(fields[1]) + ", expected 'b' (black) or 'w' (white)");
    }
    const bool white_to_move = fields[1] == "w";
    parse_hands(fields[2], position);
    const int parsed_number = parse_move_number(fields[3]);

    check_piece_counts(position);
    check_kings(position, white_to_move, tsume);
    check_pawn_files(position);
    check_dead_ends(position);
    // Turning gives the move to white, so it also makes the view of the side that does not move.
    const Position other = turned(position);
    if (in_check(white_to_move ? position : other)) {
        const bool white = !white_to_move;
        const Bitboard king = position.pieces(KING) & (white ? ~position.own : position.own);
        fail(std::string(side_name(white)) + "'s king on " + square_name(king.lowest()) +
             " is in check though it is " + side_name(white_to_move) + "'s move");
    }
    if (move_number) *move_number = parsed_number;
    return white_to_move ? other : position;
}

std::string to_sfen(const Position& position, int move_number) {
    const Position view = as_black_sees(position);
    std::string out;
    for (int rank = 0; rank < kRanks; ++rank) {
        if (rank > 0) out += '/';
        int empty = 0;
        const auto flush = [&] {
            if (empty > 0) out += number(empty);
            empty = 0;
        };
        for (int file = kFiles - 1; file >= 0; --file) {
            const std::string piece = piece_text(view, make_square(file, rank));
            if (piece.empty()) {
                ++empty;
                continue;
            }
            flush();
            out += piece;
        }
        flush();
    }
    out += position.white_to_move() ? " w " : " b ";
    const std::string hands = hand_text(view, 0, "") + hand_text(view, 1, "");
    out += hands.empty() ? "-" : hands;
    return out + " " + number(move_number);
}

std::string to_diagram(const Position& position, int move_number) {
    const Position view = as_black_sees(position);
    const auto hand = [&](int side) {
        const std::string text = hand_text(view, side, " ");
        return text.empty() ? std::string("-") : text;
    };
    std::string out = "white in hand: " + hand(1) + "\n";
    out += "  9  8  7  6  5  4  3  2  1\n";
    for (int rank = 0; rank < kRanks; ++rank) {
        for (int file = kFiles - 1; file >= 0; --file) {
            const std::string piece = piece_text(view, make_square(file, rank));
            const std::string cell = piece.empty() ? "." : piece;
            out += std::string(3 - cell.size(), ' ') + cell;
        }
        out += std::string("  ") + static_cast<char>('a' + rank) + "\n";
    }
    out += "black in hand: " + hand(0) + "\n";
    return out + side_name(position.white_to_move()) + " to move, move " + number(move_number);
}

}  // namespace keisei::notation
