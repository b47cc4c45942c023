// Kinds of pieces. A promoted kind is the plain kind + 8; a piece in hand is always plain.
#pragma once

#include "shogi/platform.h"

namespace keisei::shogi {

enum Kind : uint8_t {
    EMPTY = 0,
    PAWN,
    LANCE,
    KNIGHT,
    SILVER,
    BISHOP,
    ROOK,
    GOLD,
    KING,
    PRO_PAWN,
    PRO_LANCE,
    PRO_KNIGHT,
    PRO_SILVER,
    HORSE,
    DRAGON,
};
constexpr int kKinds = 14;     // PAWN .. DRAGON
constexpr int kHandKinds = 7;  // PAWN .. GOLD
constexpr int kPromotion = 8;  // added to a kind by promotion

KEISEI_HD constexpr bool can_promote(int kind) {
    return kind >= PAWN && kind <= ROOK;
}
KEISEI_HD constexpr bool is_promoted(int kind) {
    return kind > KING;
}
// Not for KING.
KEISEI_HD constexpr int promoted(int kind) {
    return kind + kPromotion;
}
KEISEI_HD constexpr int unpromoted(int kind) {
    return kind & (kPromotion - 1);
}

// How many of a plain kind a whole set holds (both sides, board and hands).
KEISEI_HD constexpr int set_size(int kind) {
    constexpr int kSize[] = {0, 18, 4, 4, 4, 2, 2, 4, 2};
    return kSize[kind];
}

}  // namespace keisei::shogi
