// Making a move.
#pragma once

#include "shogi/label.h"

namespace keisei::shogi {

// The position after a legal label, seen by the next mover, its occurrence 0.
KEISEI_HD Position apply(const Position& position, int label) {
    const Move move = move_of_label(position, label);
    Position next = position;
    if (move.from < 0) {
        next.hand[0] -= 1u << hand_shift(move.kind);
        put(next, move.to, move.kind, true);
    } else {
        const int captured = position.kind_at(move.to);
        if (captured != EMPTY) next.hand[0] += 1u << hand_shift(unpromoted(captured));
        put(next, move.from, EMPTY, true);
        put(next, move.to, move.promote ? promoted(move.kind) : move.kind, true);
    }
    return turned(next);
}

}  // namespace keisei::shogi
