#include "notation/usi.h"

#include <stdexcept>

#include "notation/quote.h"
#include "notation/sfen.h"
#include "shogi/legal.h"

namespace keisei::notation {
namespace {

using namespace keisei::shogi;

constexpr std::string_view kDropLetters = " PLNSBRG";  // by Kind

[[noreturn]] void malformed(std::string_view usi) {
    throw std::invalid_argument("move: " + quote(usi) +
                                " is not a USI move, expected for example 7g7f, 8h2b+ or P*5e");
}

[[noreturn]] void illegal(const Position& position, std::string_view usi, const std::string& why) {
    // Without the move number, which a position does not know.
    std::string where = to_sfen(position, 1);
    where.resize(where.rfind(' '));
    throw std::invalid_argument("move: " + quote(usi) + " is not legal in '" + where + "'" +
                                (why.empty() ? "" : ": " + why));
}

int parse_square(std::string_view text, std::string_view usi) {
    if (text[0] < '1' || text[0] > '9' || text[1] < 'a' || text[1] > 'i') malformed(usi);
    return make_square(text[0] - '1', text[1] - 'a');
}

// What makes a move illegal, where that can be said in a word.
std::string explain(const Position& position, const Move& move) {
    const auto square = [&](int s) {
        return square_name(position.white_to_move() ? turned(s) : s);
    };
    if (move.from < 0) {
        if (position.hand_count(0, move.kind) == 0) return "there is no such piece in hand";
        if (position.kind_at(move.to) != EMPTY) return square(move.to) + " is not empty";
    } else {
        if (position.kind_at(move.from) == EMPTY) return square(move.from) + " is empty";
        if (!position.own.test(move.from)) {
            return "the piece on " + square(move.from) + " is the opponent's";
        }
        if (position.own.test(move.to)) return "an own piece stands on " + square(move.to);
        if (move.promote && !can_promote(move.kind)) {
            return "the piece on " + square(move.from) + " does not promote";
        }
    }
    return in_check(position) ? "the king is in check" : "";
}

// Reads the text alone; the move need not be possible.
Move parse_move(const Position& position, std::string_view usi) {
    const auto mover_square = [&](std::string_view text) {
        const int square = parse_square(text, usi);
        return static_cast<int8_t>(position.white_to_move() ? turned(square) : square);
    };
    if (usi.size() < 4 || usi.size() > 5) malformed(usi);
    Move move{};
    move.to = mover_square(usi.substr(2, 2));
    if (usi[1] == '*') {
        const auto kind = kDropLetters.find(usi[0]);
        if (usi.size() != 4 || kind == 0 || kind == std::string_view::npos) malformed(usi);
        move.from = -1;
        move.kind = static_cast<uint8_t>(kind);
        return move;
    }
    move.from = mover_square(usi.substr(0, 2));
    move.promote = usi.size() == 5;
    if (move.promote && usi[4] != '+') malformed(usi);
    move.kind = static_cast<uint8_t>(position.kind_at(move.from));
    return move;
}

// -1 if the move is not legal.
int legal_label(const Position& position, const Move& move) {
    const int label = label_of_move(move);
    if (label < 0 || !is_legal(position, label)) return -1;
    // A legal label may still name another piece: the one nearest behind its destination.
    return move_of_label(position, label).from == move.from ? label : -1;
}

}  // namespace

int parse_usi_move(const Position& position, std::string_view usi) {
    const Move move = parse_move(position, usi);
    const int label = legal_label(position, move);
    if (label < 0) illegal(position, usi, explain(position, move));
    return label;
}

std::optional<int> find_usi_move(const Position& position, std::string_view usi) {
    const int label = legal_label(position, parse_move(position, usi));
    return label < 0 ? std::nullopt : std::optional<int>(label);
}

std::string to_usi(const Position& position, int label) {
    const Move move = move_of_label(position, label);
    const auto square = [&](int s) {
        return square_name(position.white_to_move() ? turned(s) : s);
    };
    if (move.from < 0) return std::string(1, kDropLetters[move.kind]) + "*" + square(move.to);
    return square(move.from) + square(move.to) + (move.promote ? "+" : "");
}

std::vector<int> legal_labels(const Position& position) {
    std::vector<int> out;
    for_each_legal_plane(position, [&](int plane, Bitboard to) {
        while (to.any()) out.push_back(plane * kSquares + to.pop_lowest());
    });
    return out;
}

}  // namespace keisei::notation
