// The board seen in a mirror that exchanges left and right: file 1 and file 9, 2 and 8, and so on.
// The rules do not tell the two boards apart, so the mirrored moves are the moves of the mirrored
// position, and the game goes on to the mirrored end.
#pragma once

#include "shogi/label.h"

namespace keisei::shogi {

// A direction of travel; what is not sideways stays.
KEISEI_HD constexpr int mirrored_direction(int direction) {
    constexpr int kMirrored[kDirections] = {UP,   UP_RIGHT,   UP_LEFT,   RIGHT,     LEFT,
                                            DOWN, DOWN_RIGHT, DOWN_LEFT, UP2_RIGHT, UP2_LEFT};
    return kMirrored[direction];
}

KEISEI_HD constexpr int mirrored_square(int square) {
    return make_square(kFiles - 1 - file_of(square), rank_of(square));
}

// The label of the mirrored move; a number that is no label stays.
KEISEI_HD constexpr int64_t mirrored_label(int64_t label) {
    if (label < 0 || label >= kLabels) return label;
    const int plane = static_cast<int>(label) / kSquares;
    const int to = static_cast<int>(label) - plane * kSquares;
    const int first = plane - plane % kDirections;  // of the ten planes that promote, or do not
    const int mirrored = plane >= kDropPlane ? plane : first + mirrored_direction(plane - first);
    return mirrored * kSquares + mirrored_square(to);
}

// A word has three files of nine bits; the first and the last change places.
KEISEI_HD constexpr uint32_t mirrored_word(uint32_t word) {
    constexpr uint32_t kFile = (1u << kRanks) - 1;
    return (word & (kFile << kRanks)) | (word & kFile) << (2 * kRanks) | word >> (2 * kRanks);
}

inline namespace KEISEI_BITBOARD_FORM {

KEISEI_HD Bitboard mirrored(const Bitboard& a) {
    return Bitboard::of(mirrored_word(a.word(2)), mirrored_word(a.word(1)),
                        mirrored_word(a.word(0)));
}

// Hands, side to move and occurrence stay.
KEISEI_HD Position mirrored(const Position& position) {
    Position out = position;
    out.own = mirrored(position.own);
    for (int i = 0; i < 4; ++i) out.kind[i] = mirrored(position.kind[i]);
    return out;
}

}  // namespace KEISEI_BITBOARD_FORM
}  // namespace keisei::shogi
