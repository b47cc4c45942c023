// Set-wise movement: all pieces of a set step, or slide, in one direction at once.
#pragma once

#include "shogi/position.h"

namespace keisei::shogi {

// Ranks on which nothing that travelled along the direction can stand; masking them off a shifted
// set removes what left the board over the top or bottom edge into the neighbouring file.
KEISEI_HD constexpr uint32_t unreachable_ranks(int direction) {
    switch (direction) {
        case UP:
        case UP_LEFT:
        case UP_RIGHT:
            return rank_bits(8);
        case DOWN:
        case DOWN_LEFT:
        case DOWN_RIGHT:
            return rank_bits(0);
        case UP2_LEFT:
        case UP2_RIGHT:
            return rank_bits(7) | rank_bits(8);
        default:
            return 0;
    }
}

// The same way seen from the other side of the board. Knights have none in this list.
KEISEI_HD constexpr int opposite(int direction) {
    constexpr int kOpposite[kRayDirections] = {DOWN, DOWN_RIGHT, DOWN_LEFT, RIGHT,
                                               LEFT, UP,         UP_RIGHT,  UP_LEFT};
    return kOpposite[direction];
}

// Moves every square of the set by `kDelta`; `kGone` are the ranks to clear afterwards.
template <int kDelta, uint32_t kGone>
KEISEI_HD Bitboard shifted(const Bitboard& a) {
    constexpr uint32_t kKeep = kWordMask & ~kGone;
    if constexpr (kDelta == 1) {
        return {{(a.word[0] << 1) & kKeep, (a.word[1] << 1) & kKeep, (a.word[2] << 1) & kKeep}};
    } else if constexpr (kDelta == -1) {
        return {{(a.word[0] >> 1) & kKeep, (a.word[1] >> 1) & kKeep, (a.word[2] >> 1) & kKeep}};
    } else if constexpr (kDelta > 0) {
        constexpr int kBack = kWordBits - kDelta;
        return {{(a.word[0] << kDelta) & kKeep,
                 ((a.word[1] << kDelta) | (a.word[0] >> kBack)) & kKeep,
                 ((a.word[2] << kDelta) | (a.word[1] >> kBack)) & kKeep}};
    } else {
        constexpr int kAhead = kWordBits + kDelta;
        return {{((a.word[0] >> -kDelta) | (a.word[1] << kAhead)) & kKeep,
                 ((a.word[1] >> -kDelta) | (a.word[2] << kAhead)) & kKeep,
                 (a.word[2] >> -kDelta) & kKeep}};
    }
}

template <int kDirection>
KEISEI_HD Bitboard step(const Bitboard& a) {
    return shifted<delta_of(kDirection), unreachable_ranks(kDirection)>(a);
}

// The knight's jumps of the opponent, who plays down the board.
KEISEI_HD Bitboard opponent_knight_steps_left(const Bitboard& a) {
    return shifted < 11, rank_bits(0) | rank_bits(1) > (a);
}
KEISEI_HD Bitboard opponent_knight_steps_right(const Bitboard& a) {
    return shifted < -7, rank_bits(0) | rank_bits(1) > (a);
}

// The squares that sliders attack along one ray direction: through `empty` up to and with the
// first square that is not in it.
template <int kDirection>
KEISEI_HD Bitboard slide(const Bitboard& sliders, const Bitboard& empty) {
    static_assert(kDirection < kRayDirections);
    constexpr int kDelta = delta_of(kDirection);
    constexpr uint32_t kKeep = kWordMask & ~unreachable_ranks(kDirection);
    Bitboard g = sliders;
    if constexpr (kDelta == 1 || kDelta == -1) {
        // Within a file: three doubling steps cover eight squares.
        for (int w = 0; w < 3; ++w) {
            uint32_t pass = empty.word[w] & kKeep;
            uint32_t x = g.word[w];
            if constexpr (kDelta == 1) {
                x |= pass & (x << 1);
                pass &= pass << 1;
                x |= pass & (x << 2);
                pass &= pass << 2;
                x |= pass & (x << 4);
            } else {
                x |= pass & (x >> 1);
                pass &= pass >> 1;
                x |= pass & (x >> 2);
                pass &= pass >> 2;
                x |= pass & (x >> 4);
            }
            g.word[w] = x;
        }
    } else if constexpr (kDelta > 0) {
        // From file to file: two steps inside a word, one into the next.
        uint32_t carry = 0;
        for (int w = 0; w < 3; ++w) {
            const uint32_t pass = empty.word[w] & kKeep;
            uint32_t x = g.word[w] | (carry & pass);
            x |= pass & (x << kDelta);
            x |= pass & (x << kDelta);
            g.word[w] = x;
            carry = x >> (kWordBits - kDelta);
        }
    } else {
        uint32_t carry = 0;
        for (int w = 2; w >= 0; --w) {
            const uint32_t pass = empty.word[w] & kKeep;
            uint32_t x = g.word[w] | (carry & pass);
            x |= pass & (x >> -kDelta);
            x |= pass & (x >> -kDelta);
            g.word[w] = x;
            carry = x << (kWordBits + kDelta);
        }
    }
    return step<kDirection>(g);
}

// One side's pieces grouped by how they move; a promoted minor piece is a gold.
struct Movers {
    Bitboard pawn, lance, knight, silver, gold, bishop, rook, horse, dragon, king;
};

KEISEI_HD Movers movers_among(const Position& position, const Bitboard& side) {
    Movers out;
    for (int w = 0; w < 3; ++w) {
        const uint32_t a = position.kind[0].word[w];
        const uint32_t b = position.kind[1].word[w];
        const uint32_t c = position.kind[2].word[w];
        const uint32_t d = position.kind[3].word[w];
        const uint32_t plain = side.word[w] & ~d;
        const uint32_t high = side.word[w] & d;
        out.pawn.word[w] = plain & a & ~b & ~c;
        out.lance.word[w] = plain & ~a & b & ~c;
        out.knight.word[w] = plain & a & b & ~c;
        out.silver.word[w] = plain & ~a & ~b & c;
        out.bishop.word[w] = plain & a & ~b & c;
        out.rook.word[w] = plain & ~a & b & c;
        // GOLD is 7; the promoted minor pieces are 9 to 12.
        out.gold.word[w] = (plain & a & b & c) | (high & ((a | b) ^ c));
        out.king.word[w] = high & ~a & ~b & ~c;
        out.horse.word[w] = high & a & ~b & c;
        out.dragon.word[w] = high & ~a & b & c;
    }
    return out;
}

// The pieces that may take one step along a ray direction, as the mover sees it; sliders that go
// this way are not among them. Kings are.
template <int kDirection>
KEISEI_HD Bitboard steppers(const Movers& m) {
    if constexpr (kDirection == UP) return m.pawn | m.silver | m.gold | m.horse | m.king;
    if constexpr (kDirection == UP_LEFT || kDirection == UP_RIGHT)
        return m.silver | m.gold | m.dragon | m.king;
    if constexpr (kDirection == LEFT || kDirection == RIGHT || kDirection == DOWN)
        return m.gold | m.horse | m.king;
    return m.silver | m.dragon | m.king;
}

// The pieces that slide along a ray direction, as the mover sees it.
template <int kDirection>
KEISEI_HD Bitboard sliders(const Movers& m) {
    if constexpr (kDirection == UP) return m.lance | m.rook | m.dragon;
    if constexpr (kDirection == LEFT || kDirection == RIGHT || kDirection == DOWN)
        return m.rook | m.dragon;
    return m.bishop | m.horse;
}

// Calls f with each ray direction as a compile-time constant: f.template operator()<D>().
template <typename F>
KEISEI_HD void for_each_ray(F&& f) {
    f.template operator()<UP>();
    f.template operator()<UP_LEFT>();
    f.template operator()<UP_RIGHT>();
    f.template operator()<LEFT>();
    f.template operator()<RIGHT>();
    f.template operator()<DOWN>();
    f.template operator()<DOWN_LEFT>();
    f.template operator()<DOWN_RIGHT>();
}

}  // namespace keisei::shogi
