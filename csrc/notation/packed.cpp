#include "notation/packed.h"

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include "notation/sfen.h"
#include "notation/usi.h"

namespace keisei::notation {
namespace {

using namespace keisei::shogi;

constexpr int kBits = 8 * static_cast<int>(kPackedBytes);
constexpr int kSquareBits = 7;
constexpr int kMoveDrop = 1 << 14;
constexpr int kMovePromote = 1 << 15;

// Bits of a code, the first one lowest.
struct Code {
    uint32_t bits;
    int length;
};

// One way to write pieces: on the board by kind and colour, in hand by plain kind and colour.
struct Coding {
    const char* name;
    Code (*board)(int kind, bool white);
    Code (*hand)(int kind, bool white);
    std::array<Kind, kHandKinds> hand_order;
};

// Apery: a stem by plain kind; above it stand promotion and then colour. A pawn's and a gold's
// codes leave no gap for what they do not need.
constexpr Code hcp_board(int kind, bool white) {
    constexpr Code kPlain[] = {{0, 1},      {0b1, 4},     {0b11, 6},     {0b111, 6},
                               {0b1011, 6}, {0b11111, 8}, {0b111111, 8}, {0b1111, 6}};
    const int plain = is_promoted(kind) ? unpromoted(kind) : kind;
    Code code = kPlain[plain];
    if (kind == EMPTY) return code;
    const int colour = plain == GOLD ? 5 : plain == PAWN ? 2 : code.length - 2;
    const int promotion = plain == PAWN ? 3 : code.length - 1;
    if (white) code.bits |= 1u << colour;
    if (is_promoted(kind)) code.bits |= 1u << promotion;
    return code;
}
constexpr Code hcp_hand(int kind, bool white) {
    constexpr Code kBlack[] = {{0, 0},     {0, 3},       {0b1, 5},      {0b11, 5},
                               {0b101, 5}, {0b11111, 7}, {0b111111, 7}, {0b111, 5}};
    Code code = kBlack[kind];
    if (white) code.bits |= 1u << (code.length - 1);
    return code;
}

// YaneuraOu: a stem by plain kind, then promotion (not for gold), then colour; in hand the stem
// without its first bit.
constexpr Code kStems[] = {{0, 1},     {0b1, 2},     {0b11, 4},     {0b1011, 4},
                           {0b111, 4}, {0b11111, 6}, {0b111111, 6}, {0b1111, 5}};
constexpr Code packed_sfen_board(int kind, bool white) {
    const int plain = is_promoted(kind) ? unpromoted(kind) : kind;
    Code code = kStems[plain];
    if (kind == EMPTY) return code;
    if (plain != GOLD) code.bits |= static_cast<uint32_t>(is_promoted(kind)) << code.length++;
    code.bits |= static_cast<uint32_t>(white) << code.length++;
    return code;
}
constexpr Code packed_sfen_hand(int kind, bool white) {
    const Code board = packed_sfen_board(kind, white);
    return {board.bits >> 1, board.length - 1};
}

constexpr Coding kHcp = {
    "hcp", hcp_board, hcp_hand, {PAWN, LANCE, KNIGHT, SILVER, GOLD, BISHOP, ROOK}};
constexpr Coding kPackedSfen = {"packed sfen",
                                packed_sfen_board,
                                packed_sfen_hand,
                                {PAWN, LANCE, KNIGHT, SILVER, GOLD, BISHOP, ROOK}};

[[noreturn]] void fail(const char* what, const std::string& text) {
    throw std::invalid_argument(std::string(what) + ": " + text);
}

// The position as black sees it; side 0 is then black.
Position as_black(const Position& position) {
    return position.white_to_move() ? turned(position) : position;
}

PackedPosition pack(const Coding& coding, const Position& position) {
    const Position board = as_black(position);
    const Bitboard kings = board.pieces(KING);
    int pieces = board.occupied().count();
    for (int kind = PAWN; kind <= GOLD; ++kind) {
        pieces += board.hand_count(0, kind) + board.hand_count(1, kind);
    }
    if (pieces != 40 || kings.count() != 2) {
        fail(coding.name, "expected a position with all 40 pieces, got " + std::to_string(pieces) +
                              " in " + to_sfen(position, 1));
    }
    PackedPosition out{};
    int at = 0;
    const auto write = [&](Code code) {
        for (int i = 0; i < code.length; ++i, ++at) {
            const auto bit = static_cast<uint8_t>((code.bits >> i) & 1u);
            out[static_cast<std::size_t>(at / 8)] |= static_cast<uint8_t>(bit << (at % 8));
        }
    };
    write({position.white_to_move() ? 1u : 0u, 1});
    for (const bool white : {false, true}) {
        Bitboard king = white ? kings & ~board.own : kings & board.own;
        write({static_cast<uint32_t>(king.pop_lowest()), kSquareBits});
    }
    for (int square = 0; square < kSquares; ++square) {
        const int kind = board.kind_at(square);
        if (kind != KING) write(coding.board(kind, !board.own.test(square)));
    }
    for (const bool white : {false, true}) {
        for (const int kind : coding.hand_order) {
            const int count = board.hand_count(white ? 1 : 0, kind);
            for (int i = 0; i < count; ++i) write(coding.hand(kind, white));
        }
    }
    return out;
}

// Reads codes bit by bit.
class Reader {
 public:
    Reader(const Coding& coding, std::span<const uint8_t> bytes) : coding_(coding), bytes_(bytes) {}

    int position() const { return at_; }

    uint32_t bits(int length) {
        uint32_t out = 0;
        for (int i = 0; i < length; ++i) out |= next() << i;
        return out;
    }

    // The first of the `count` candidates whose code comes next; codes are free of prefixes.
    template <typename CodeOf>
    int choose(int count, CodeOf&& code_of) {
        uint32_t seen = 0;
        const int begin = at_;
        for (int length = 1; length <= 8; ++length) {
            seen |= next() << (length - 1);
            for (int candidate = 0; candidate < count; ++candidate) {
                const Code code = code_of(candidate);
                if (code.length == length && code.bits == seen) return candidate;
            }
        }
        fail(coding_.name, "expected the code of a piece at bit " + std::to_string(begin));
    }

 private:
    uint32_t next() {
        if (at_ == kBits)
            fail(coding_.name, "expected the position to fill its 256 bits, it goes on");
        const uint32_t bit = (bytes_[static_cast<std::size_t>(at_ / 8)] >> (at_ % 8)) & 1u;
        ++at_;
        return bit;
    }

    const Coding& coding_;
    std::span<const uint8_t> bytes_;
    int at_ = 0;
};

Position unpack(const Coding& coding, std::span<const uint8_t> bytes) {
    if (bytes.size() != kPackedBytes) {
        fail(coding.name, "expected 32 bytes, got " + std::to_string(bytes.size()));
    }
    Reader reader(coding, bytes);
    Position board = empty_board();
    const bool white_to_move = reader.bits(1) != 0;
    int kings[2] = {-1, -1};
    for (const bool white : {false, true}) {
        const int square = static_cast<int>(reader.bits(kSquareBits));
        if (square >= kSquares || (white && square == kings[0])) {
            fail(coding.name, "expected two kings on squares of their own, got square " +
                                  std::to_string(square));
        }
        kings[white ? 1 : 0] = square;
        put(board, square, KING, !white);
    }
    // Candidates are numbered kind + 16 * white; an empty square has one colour.
    constexpr int kCandidates = 32;
    for (int square = 0; square < kSquares; ++square) {
        if (square == kings[0] || square == kings[1]) continue;
        const int found = reader.choose(kCandidates, [&](int candidate) {
            const int kind = candidate % 16;
            const int plain = is_promoted(kind) ? unpromoted(kind) : kind;
            const bool exists = kind <= DRAGON && kind != KING &&
                                (kind != EMPTY || candidate == 0) &&
                                (!is_promoted(kind) || can_promote(plain));
            return exists ? coding.board(kind, candidate >= 16) : Code{0, 0};
        });
        put(board, square, found % 16, found < 16);
    }
    while (reader.position() < kBits) {
        const int found = reader.choose(kCandidates, [&](int candidate) {
            const int kind = candidate % 16;
            const bool exists = kind >= PAWN && kind <= GOLD;
            return exists ? coding.hand(kind, candidate >= 16) : Code{0, 0};
        });
        const int side = found / 16;
        const int kind = found % 16;
        const int count = board.hand_count(side, kind) + 1;
        if (count > set_size(kind)) fail(coding.name, "expected a set of pieces, got too many");
        set_hand_count(board, side, kind, count);
    }
    const Position position = white_to_move ? turned(board) : board;
    try {
        parse_sfen(to_sfen(position, 1), nullptr);  // the one judge of positions
    } catch (const std::invalid_argument& error) {
        fail(coding.name, std::string("no valid position: ") + error.what());
    }
    return position;
}

void put_16(std::span<uint8_t> bytes, std::size_t at, int value) {
    bytes[at] = static_cast<uint8_t>(value & 255);
    bytes[at + 1] = static_cast<uint8_t>((value >> 8) & 255);
}
int get_16(std::span<const uint8_t> bytes, std::size_t at) {
    return bytes[at] | bytes[at + 1] << 8;
}

int square_at(const std::string& usi, std::size_t at) {
    return make_square(usi[at] - '1', usi[at + 1] - 'a');
}

// YaneuraOu's move of 16 bits: destination, origin (of a drop: the kind), drop, promotion.
constexpr std::string_view kDropLetters = " PLNSBRG";
int move_16(const std::string& usi) {
    if (usi[1] == '*') {
        const auto kind = static_cast<int>(kDropLetters.find(usi[0]));
        return kMoveDrop | kind << kSquareBits | square_at(usi, 2);
    }
    const int promotion = usi.size() == 5 ? kMovePromote : 0;
    return promotion | square_at(usi, 0) << kSquareBits | square_at(usi, 2);
}

int label_of_move_16(const Position& position, int move) {
    for (const int label : legal_labels(position)) {
        if (move_16(to_usi(position, label)) == move) return label;
    }
    fail("psv",
         "move: expected a legal one in " + to_sfen(position, 1) + ", got " + std::to_string(move));
}

void require(bool good, const std::string& name, const std::string& expected, int got) {
    if (!good) fail("psv", name + ": expected " + expected + ", got " + std::to_string(got));
}

}  // namespace

PackedPosition to_hcp(const shogi::Position& position) {
    return pack(kHcp, position);
}
PackedPosition to_packed_sfen(const shogi::Position& position) {
    return pack(kPackedSfen, position);
}
shogi::Position parse_hcp(std::span<const uint8_t> bytes) {
    return unpack(kHcp, bytes);
}
shogi::Position parse_packed_sfen(std::span<const uint8_t> bytes) {
    return unpack(kPackedSfen, bytes);
}

std::array<uint8_t, kPsvBytes> to_psv(const shogi::Position& position, const PsvFacts& facts) {
    require(facts.score >= -32768 && facts.score <= 32767, "score", "-32768 to 32767", facts.score);
    require(facts.move_number >= 1 && facts.move_number <= 65535, "move number", "1 to 65535",
            facts.move_number);
    require(facts.result >= -1 && facts.result <= 1, "result", "-1, 0 or 1", facts.result);
    std::array<uint8_t, kPsvBytes> out{};
    const PackedPosition packed = to_packed_sfen(position);
    std::copy(packed.begin(), packed.end(), out.begin());
    put_16(out, 32, facts.score);
    put_16(out, 34, facts.label ? move_16(to_usi(position, *facts.label)) : 0);
    put_16(out, 36, facts.move_number);
    out[38] = static_cast<uint8_t>(facts.result);
    return out;
}

shogi::Position parse_psv(std::span<const uint8_t> bytes, PsvFacts& facts) {
    if (bytes.size() != kPsvBytes) {
        fail("psv", "expected 40 bytes, got " + std::to_string(bytes.size()));
    }
    const Position position = parse_packed_sfen(bytes.first(kPackedBytes));
    PsvFacts read;
    read.score = static_cast<int16_t>(get_16(bytes, 32));
    if (const int move = get_16(bytes, 34); move != 0)
        read.label = label_of_move_16(position, move);
    read.move_number = get_16(bytes, 36);
    require(read.move_number >= 1, "move number", "1 to 65535", read.move_number);
    read.result = static_cast<int8_t>(bytes[38]);
    require(read.result >= -1 && read.result <= 1, "result", "-1, 0 or 1", read.result);
    facts = read;
    return position;
}

}  // namespace keisei::notation
