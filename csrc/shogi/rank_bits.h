// How 81 squares lie in three words of 27 bits, three files a word, and which ranks a step can
// reach. Files never straddle words, so nifu, pawns and lances stay inside one; the five high bits
// of a word are always 0.
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

}  // namespace keisei::shogi
