// A set of squares as three words of 27 bits, three files a word. Files never straddle words, so
// nifu, pawns and lances stay inside one; the five high bits of each word are always 0.
#pragma once

#include "shogi/square.h"

namespace keisei::shogi {

constexpr int kWordBits = 27;
constexpr uint32_t kWordMask = (1u << kWordBits) - 1;

// The squares of one rank (counted from 0) within any word.
KEISEI_HD constexpr uint32_t rank_bits(int rank) {
    return 0x40201u << rank;
}
// The three far ranks of the mover, where pieces promote and kings enter.
constexpr uint32_t kFarRanks = rank_bits(0) | rank_bits(1) | rank_bits(2);

struct Bitboard {
    uint32_t word[3];

    KEISEI_HD static constexpr Bitboard none() { return {{0, 0, 0}}; }
    KEISEI_HD static constexpr Bitboard all() { return {{kWordMask, kWordMask, kWordMask}}; }
    // Every word masked alike: whole ranks.
    KEISEI_HD static constexpr Bitboard ranks(uint32_t bits) { return {{bits, bits, bits}}; }

    KEISEI_HD static Bitboard square(int square) {
        const int w = square / kWordBits;
        const uint32_t bit = 1u << (square - w * kWordBits);
        return {{w == 0 ? bit : 0u, w == 1 ? bit : 0u, w == 2 ? bit : 0u}};
    }

    KEISEI_HD bool test(int square) const {
        const int w = square / kWordBits;
        const uint32_t bits = w == 0 ? word[0] : w == 1 ? word[1] : word[2];
        return (bits >> (square - w * kWordBits)) & 1u;
    }

    KEISEI_HD bool any() const { return (word[0] | word[1] | word[2]) != 0; }
    KEISEI_HD int count() const {
        return popcount(word[0]) + popcount(word[1]) + popcount(word[2]);
    }
    // The lowest square of the set; the set must not be empty.
    KEISEI_HD int lowest() const {
        if (word[0]) return lowest_bit(word[0]);
        if (word[1]) return kWordBits + lowest_bit(word[1]);
        return 2 * kWordBits + lowest_bit(word[2]);
    }
    // Removes and returns the lowest square.
    KEISEI_HD int pop_lowest() {
        const int square = lowest();
        const int w = square / kWordBits;
        word[w] &= word[w] - 1;
        return square;
    }
};

KEISEI_HD constexpr Bitboard operator&(const Bitboard& a, const Bitboard& b) {
    return {{a.word[0] & b.word[0], a.word[1] & b.word[1], a.word[2] & b.word[2]}};
}
KEISEI_HD constexpr Bitboard operator|(const Bitboard& a, const Bitboard& b) {
    return {{a.word[0] | b.word[0], a.word[1] | b.word[1], a.word[2] | b.word[2]}};
}
KEISEI_HD constexpr Bitboard operator^(const Bitboard& a, const Bitboard& b) {
    return {{a.word[0] ^ b.word[0], a.word[1] ^ b.word[1], a.word[2] ^ b.word[2]}};
}
KEISEI_HD constexpr Bitboard operator~(const Bitboard& a) {
    return {{a.word[0] ^ kWordMask, a.word[1] ^ kWordMask, a.word[2] ^ kWordMask}};
}
KEISEI_HD constexpr Bitboard operator&(const Bitboard& a, uint32_t bits) {
    return {{a.word[0] & bits, a.word[1] & bits, a.word[2] & bits}};
}
KEISEI_HD constexpr bool operator==(const Bitboard& a, const Bitboard& b) {
    return ((a.word[0] ^ b.word[0]) | (a.word[1] ^ b.word[1]) | (a.word[2] ^ b.word[2])) == 0;
}

// The set seen from the other side of the board.
KEISEI_HD Bitboard turned(const Bitboard& a) {
    constexpr int kUnused = 32 - kWordBits;
    return {{reverse_bits(a.word[2]) >> kUnused, reverse_bits(a.word[1]) >> kUnused,
             reverse_bits(a.word[0]) >> kUnused}};
}

// All nine squares of every file that holds a member.
KEISEI_HD Bitboard whole_files(const Bitboard& a) {
    constexpr uint32_t kTop = rank_bits(8);
    constexpr uint32_t kLow = kWordMask ^ kTop;
    Bitboard out = Bitboard::none();
    for (int w = 0; w < 3; ++w) {
        // Adding 255 to a file's low eight bits carries into its ninth exactly if one is set.
        const uint32_t hit = (((a.word[w] & kLow) + kLow) | a.word[w]) & kTop;
        out.word[w] = (hit << 1) - (hit >> 8);
    }
    return out;
}

}  // namespace keisei::shogi
