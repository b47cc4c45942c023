// Set-wise movement: all pieces of a set step, or slide, in one direction at once.
#pragma once

#include "shogi/position.h"

namespace keisei::shogi {

// The same way seen from the other side of the board. Knights have none in this list.
KEISEI_HD constexpr int opposite(int direction) {
    constexpr int kOpposite[kRayDirections] = {DOWN, DOWN_RIGHT, DOWN_LEFT, RIGHT,
                                               LEFT, UP,         UP_RIGHT,  UP_LEFT};
    return kOpposite[direction];
}

template <int kDirection>
KEISEI_HD Bitboard step(const Bitboard& a) {
    return shifted<delta_of(kDirection), unreachable_ranks(kDirection)>(a);
}

// Two ranks on: a knight's jump before it goes aside.
KEISEI_HD Bitboard two_up(const Bitboard& a) {
    return shifted < -2, rank_bits(7) | rank_bits(8) > (a);
}
KEISEI_HD Bitboard two_down(const Bitboard& a) {
    return shifted < 2, rank_bits(0) | rank_bits(1) > (a);
}
// The squares left and right of a set.
KEISEI_HD Bitboard sideways(const Bitboard& a) {
    return step<LEFT>(a) | step<RIGHT>(a);
}
// a where `which` is set, b elsewhere.
KEISEI_HD Bitboard select(const Bitboard& which, const Bitboard& a, const Bitboard& b) {
    return (which & a) | without(b, which);
}

// One side's pieces grouped by how they move; a promoted minor piece is a gold.
inline namespace KEISEI_BITBOARD_FORM {
struct Movers {
    Bitboard pawn, lance, knight, silver, gold, bishop, rook, horse, dragon, king;
};
}  // namespace KEISEI_BITBOARD_FORM

KEISEI_HD Movers movers_among(const Position& position, const Bitboard& side) {
    const Bitboard& a = position.kind[0];
    const Bitboard& b = position.kind[1];
    const Bitboard& c = position.kind[2];
    const Bitboard& d = position.kind[3];
    const Bitboard plain = without(side, d);
    const Bitboard high = side & d;
    Movers out;
    out.pawn = without(plain & a, b | c);
    out.lance = without(plain & b, a | c);
    out.knight = without(plain & a & b, c);
    out.silver = without(plain & c, a | b);
    out.bishop = without(plain & a & c, b);
    out.rook = without(plain & b & c, a);
    // GOLD is 7; the promoted minor pieces are 9 to 12.
    out.gold = (plain & a & b & c) | (high & ((a | b) ^ c));
    out.king = without(high, a | b | c);
    out.horse = without(high & a & c, b);
    out.dragon = without(high & b & c, a);
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
