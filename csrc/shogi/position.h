// One position, packed into 17 words and always seen by the side to move (the mover), who plays
// towards rank 1. For white to move the board is turned by 180 degrees.
#pragma once

#include "shogi/bitboard.h"
#include "shogi/piece.h"

namespace keisei::shogi {

constexpr int kPositionWords = 17;

// A hand is one word of counts: pawn 5 bits, lance, knight, silver 3, bishop, rook 2, gold 3.
KEISEI_HD constexpr int hand_shift(int kind) {
    // Five bits each, so that no table in memory is read: 0, 0, 5, 8, 11, 14, 16, 18.
    constexpr uint64_t kShifts = 0ull | 0ull << 5 | 5ull << 10 | 8ull << 15 | 11ull << 20 |
                                 14ull << 25 | 16ull << 30 | 18ull << 35;
    return static_cast<int>((kShifts >> (5 * kind)) & 31);
}
KEISEI_HD constexpr uint32_t hand_bits(int kind) {
    constexpr uint32_t kBits[] = {0, 31, 7, 7, 7, 3, 3, 7};
    return kBits[kind];
}
constexpr uint32_t kHandMask = (1u << 21) - 1;
// hand[0] also carries how often the position occurred before in its game, and who moves.
constexpr int kOccurrenceShift = 28;
constexpr uint32_t kOccurrenceMask = 3u << kOccurrenceShift;
constexpr uint32_t kWhiteToMove = 1u << 31;

inline namespace KEISEI_BITBOARD_FORM {

struct Position {
    Bitboard own;      // the mover's pieces
    Bitboard kind[4];  // bit planes of the Kind on each square; 0 is empty
    uint32_t hand[2];  // the mover's, the opponent's

    KEISEI_HD Bitboard occupied() const { return kind[0] | kind[1] | kind[2] | kind[3]; }

    // Both sides' pieces of a kind.
    KEISEI_HD Bitboard pieces(int k) const {
        Bitboard out = (k & 8) ? kind[3] : ~kind[3];
        out = (k & 4) ? out & kind[2] : out & ~kind[2];
        out = (k & 2) ? out & kind[1] : out & ~kind[1];
        return (k & 1) ? out & kind[0] : out & ~kind[0];
    }

    KEISEI_HD int kind_at(int square) const {
        int out = 0;
        for (int i = 0; i < 4; ++i) out |= static_cast<int>(kind[i].test(square)) << i;
        return out;
    }

    KEISEI_HD bool white_to_move() const { return (hand[0] & kWhiteToMove) != 0; }
    KEISEI_HD int occurrence() const {
        return static_cast<int>((hand[0] & kOccurrenceMask) >> kOccurrenceShift);
    }
    // side 0 is the mover, 1 the opponent.
    KEISEI_HD int hand_count(int side, int k) const {
        return static_cast<int>((hand[side] >> hand_shift(k)) & hand_bits(k));
    }
};

// The 17 words of a position: own, the four bit planes, three words each; then the hands. get(w)
// and put(w, value) reach word w, wherever it lies.
template <typename Get>
KEISEI_HD Position position_of_words(Get&& get) {
    const auto bitboard = [&](int w) { return Bitboard::of(get(w), get(w + 1), get(w + 2)); };
    Position out;
    out.own = bitboard(0);
    for (int i = 0; i < 4; ++i) out.kind[i] = bitboard(3 + 3 * i);
    out.hand[0] = get(15);
    out.hand[1] = get(16);
    return out;
}
template <typename Put>
KEISEI_HD void put_words(const Position& position, Put&& put) {
    const auto bitboard = [&](int w, const Bitboard& a) {
        for (int i = 0; i < 3; ++i) put(w + i, a.word(i));
    };
    bitboard(0, position.own);
    for (int i = 0; i < 4; ++i) bitboard(3 + 3 * i, position.kind[i]);
    put(15, position.hand[0]);
    put(16, position.hand[1]);
}

KEISEI_HD bool operator==(const Position& a, const Position& b) {
    bool same = a.own == b.own && a.hand[0] == b.hand[0] && a.hand[1] == b.hand[1];
    for (int i = 0; i < 4; ++i) same = same && a.kind[i] == b.kind[i];
    return same;
}

// hand[0], or a position, with another occurrence. Counts from 3 on are kept as 3: the fourth
// occurrence ends the game.
KEISEI_HD uint32_t with_occurrence(uint32_t hand, int times_before) {
    const uint32_t capped = times_before > 3 ? 3u : static_cast<uint32_t>(times_before);
    return (hand & ~kOccurrenceMask) | (capped << kOccurrenceShift);
}
KEISEI_HD Position with_occurrence(Position position, int times_before) {
    position.hand[0] = with_occurrence(position.hand[0], times_before);
    return position;
}

// Puts a piece (EMPTY: nothing) on a square, whatever stood there.
KEISEI_HD void put(Position& position, int square, int kind, bool own) {
    const Bitboard bit = Bitboard::square(square);
    position.own = own && kind != EMPTY ? position.own | bit : position.own & ~bit;
    for (int i = 0; i < 4; ++i) {
        position.kind[i] = ((kind >> i) & 1) ? position.kind[i] | bit : position.kind[i] & ~bit;
    }
}

KEISEI_HD void set_hand_count(Position& position, int side, int kind, int count) {
    const uint32_t field = hand_bits(kind) << hand_shift(kind);
    position.hand[side] =
        (position.hand[side] & ~field) | (static_cast<uint32_t>(count) << hand_shift(kind));
}

// The same board with the other side to move, seen by that side; its occurrence is 0.
KEISEI_HD Position turned(const Position& position) {
    Position out;
    out.own = turned(position.occupied() & ~position.own);
    for (int i = 0; i < 4; ++i) out.kind[i] = turned(position.kind[i]);
    const uint32_t turn = (position.hand[0] & kWhiteToMove) ^ kWhiteToMove;
    out.hand[0] = (position.hand[1] & kHandMask) | turn;
    out.hand[1] = position.hand[0] & kHandMask;
    return out;
}

KEISEI_HD Position empty_board() {
    Position out;
    out.own = Bitboard::none();
    for (int i = 0; i < 4; ++i) out.kind[i] = Bitboard::none();
    out.hand[0] = out.hand[1] = 0;
    return out;
}

// The even game's start position, black to move.
inline Position startpos() {
    constexpr Kind kBackRank[] = {LANCE, KNIGHT, SILVER, GOLD, KING, GOLD, SILVER, KNIGHT, LANCE};
    Position out = empty_board();
    for (int file = 0; file < kFiles; ++file) {
        put(out, make_square(file, 8), kBackRank[file], true);
        put(out, make_square(file, 6), PAWN, true);
        put(out, make_square(file, 2), PAWN, false);
        put(out, make_square(file, 0), kBackRank[file], false);
    }
    put(out, make_square(1, 7), ROOK, true);
    put(out, make_square(7, 7), BISHOP, true);
    put(out, make_square(7, 1), ROOK, false);
    put(out, make_square(1, 1), BISHOP, false);
    return out;
}

}  // namespace KEISEI_BITBOARD_FORM
}  // namespace keisei::shogi
