// Counts the legal move sequences of a length: the fingerprint by which move generators are
// compared. Knows legality only, no repetition and no declaration.
#pragma once

#include "shogi/apply.h"
#include "shogi/legal.h"

namespace keisei::shogi {
inline namespace KEISEI_BITBOARD_FORM {

// 1 for depth 0. On the host; csrc/batch/perft.cu counts on a GPU.
inline uint64_t perft(const Position& position, int depth) {
    if (depth == 0) return 1;
    // The last ply is counted on the bitboards without making the moves.
    if (depth == 1) return static_cast<uint64_t>(count_legal(position));
    uint64_t nodes = 0;
    for_each_legal_plane(position, [&](int plane, Bitboard to) {
        while (to.any()) {
            nodes += perft(apply(position, plane * kSquares + to.pop_lowest()), depth - 1);
        }
    });
    return nodes;
}

}  // namespace KEISEI_BITBOARD_FORM
}  // namespace keisei::shogi
