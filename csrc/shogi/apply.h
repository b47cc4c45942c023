// Making a move.
#pragma once

#include "shogi/label.h"

namespace keisei::shogi {

namespace detail {

// The kind that stands on the one square of `at`, as four words of all ones or zeros.
struct KindBits {
    uint32_t bit[4];

    KEISEI_HD static KindBits on(const Position& position, const Bitboard& at) {
        KindBits out;
        for (int i = 0; i < 4; ++i) out.bit[i] = (position.kind[i] & at).any() ? ~0u : 0u;
        return out;
    }
    KEISEI_HD static KindBits of(int kind) {
        KindBits out;
        for (int i = 0; i < 4; ++i) out.bit[i] = ((kind >> i) & 1) ? ~0u : 0u;
        return out;
    }
    // Without the promotion.
    KEISEI_HD int plain_kind() const {
        return static_cast<int>((bit[0] & 1u) | (bit[1] & 2u) | (bit[2] & 4u));
    }
};

}  // namespace detail

// The position after a legal label, seen by the next mover, its occurrence 0.
KEISEI_HD Position apply(const Position& position, int label) {
    const int plane = label / kSquares;
    const int to = label - plane * kSquares;
    const Bitboard target = Bitboard::square(to);
    Position next = position;
    detail::KindBits moved;
    Bitboard changed = target;
    if (plane >= kDropPlane) {
        const int kind = plane - kDropPlane + PAWN;
        next.hand[0] -= 1u << hand_shift(kind);
        moved = detail::KindBits::of(kind);
    } else {
        const bool promote = plane >= kPromotionPlane;
        const Bitboard origin = Bitboard::square(
            origin_of_legal(position.occupied(), promote ? plane - kPromotionPlane : plane, to));
        const detail::KindBits captured = detail::KindBits::on(position, target);
        // A king is never captured, so a plain kind of 0 is an empty square.
        const int kind = captured.plain_kind();
        next.hand[0] += kind == EMPTY ? 0u : 1u << hand_shift(kind);
        moved = detail::KindBits::on(position, origin);
        if (promote) moved.bit[3] = ~0u;
        changed = target | origin;
    }
    next.own = without(next.own, changed) | target;
    for (int i = 0; i < 4; ++i) {
        next.kind[i] = without(next.kind[i], changed) | (target & moved.bit[i]);
    }
    return turned(next);
}

}  // namespace keisei::shogi
