// Squares 0..80, file-major: (file - 1) * 9 + (rank - 1). Nine consecutive bits are one file.
#pragma once

#include "shogi/platform.h"

namespace keisei::shogi {

constexpr int kFiles = 9;
constexpr int kRanks = 9;
constexpr int kSquares = 81;

// Both arguments count from 0.
KEISEI_HD constexpr int make_square(int file, int rank) {
    return file * kRanks + rank;
}
KEISEI_HD constexpr int file_of(int square) {
    return square / kRanks;
}
KEISEI_HD constexpr int rank_of(int square) {
    return square % kRanks;
}

// The same square seen from the other side of the board.
KEISEI_HD constexpr int turned(int square) {
    return kSquares - 1 - square;
}

// The ten ways a piece travels, in the order of the action planes. The mover plays towards rank 1
// (UP), and file 9 is at the mover's left.
enum Direction : int {
    UP,
    UP_LEFT,
    UP_RIGHT,
    LEFT,
    RIGHT,
    DOWN,
    DOWN_LEFT,
    DOWN_RIGHT,
    UP2_LEFT,
    UP2_RIGHT,
};
constexpr int kDirections = 10;
constexpr int kRayDirections = 8;

// Change of the square index along a direction.
KEISEI_HD constexpr int delta_of(int direction) {
    constexpr int kDelta[kDirections] = {-1, 8, -10, 9, -9, 1, 10, -8, 7, -11};
    return kDelta[direction];
}

}  // namespace keisei::shogi
