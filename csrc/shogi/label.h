// Action labels: 27 planes x 81 destinations, in the mover's frame, in the order that dlshogi,
// cshogi and Pgx share. Planes 0-9 are moves by direction of travel, 10-19 the same with
// promotion, 20-26 drops of pawn, lance, knight, silver, bishop, rook, gold.
#pragma once

#include "shogi/position.h"

namespace keisei::shogi {

constexpr int kPlanes = 27;
constexpr int kPromotionPlane = kDirections;
constexpr int kDropPlane = 2 * kDirections;
constexpr int kLabels = kPlanes * kSquares;

// A move in the mover's frame.
struct Move {
    int8_t from;  // -1: a drop
    int8_t to;
    uint8_t kind;  // what moves, before promotion; what is dropped
    bool promote;
};

// The direction of travel between two squares on one line or a knight's jump apart; -1 otherwise.
KEISEI_HD int direction_between(int from, int to) {
    const int left = file_of(to) - file_of(from);
    const int down = rank_of(to) - rank_of(from);
    if (down == -2 && left == 1) return UP2_LEFT;
    if (down == -2 && left == -1) return UP2_RIGHT;
    if (left == 0 && down == 0) return -1;
    if (left != 0 && down != 0 && left != down && left != -down) return -1;
    if (down < 0) return left == 0 ? UP : left > 0 ? UP_LEFT : UP_RIGHT;
    if (down == 0) return left > 0 ? LEFT : RIGHT;
    return left == 0 ? DOWN : left > 0 ? DOWN_LEFT : DOWN_RIGHT;
}

// The label of a move between two squares, or of a drop; -1 where no piece could travel so.
KEISEI_HD int label_of_move(const Move& move) {
    if (move.from < 0) return (kDropPlane + move.kind - PAWN) * kSquares + move.to;
    const int direction = direction_between(move.from, move.to);
    if (direction < 0) return -1;
    return (direction + (move.promote ? kPromotionPlane : 0)) * kSquares + move.to;
}

// The move that a label names in a position. At most one piece can reach a square along one
// direction: the nearest one behind it. `from` is -2 where there is none, and the kind is whatever
// stands there, so ask is_legal first where the label is not known to be legal.
KEISEI_HD Move move_of_label(const Position& position, int label) {
    const int plane = label / kSquares;
    const int to = label - plane * kSquares;
    if (plane >= kDropPlane) {
        return {-1, static_cast<int8_t>(to), static_cast<uint8_t>(plane - kDropPlane + PAWN),
                false};
    }
    const bool promote = plane >= kPromotionPlane;
    const int direction = promote ? plane - kPromotionPlane : plane;
    const Bitboard occupied = position.occupied();
    const int delta = delta_of(direction);
    int file = file_of(to);
    int rank = rank_of(to);
    // Files and ranks change by at most one (a knight: two ranks) a step against the direction.
    const int file_step = delta > 6 ? -1 : delta < -6 ? 1 : 0;
    const int rank_step = -(delta + 9 * file_step);
    const bool slides = direction < kRayDirections;
    int from = -2;
    do {
        file += file_step;
        rank += rank_step;
        if (file < 0 || file >= kFiles || rank < 0 || rank >= kRanks) break;
        const int square = make_square(file, rank);
        if (occupied.test(square)) {
            from = square;
            break;
        }
    } while (slides);
    const int kind = from >= 0 ? position.kind_at(from) : EMPTY;
    return {static_cast<int8_t>(from), static_cast<int8_t>(to), static_cast<uint8_t>(kind),
            promote};
}

// Where the piece stands that a legal label of a board move takes to `to`: on the nearest occupied
// square behind it. Of a label that is not legal, some square.
KEISEI_HD int origin_of_legal(const Bitboard& occupied, int direction, int to) {
    // Six bits each, so that no table in memory is read: the change of the square plus 16.
    constexpr uint64_t kDeltas = [] {
        uint64_t packed = 0;
        for (int d = 0; d < kDirections; ++d) {
            packed |= static_cast<uint64_t>(delta_of(d) + 16) << (6 * d);
        }
        return packed;
    }();
    const int delta = static_cast<int>((kDeltas >> (6 * direction)) & 63) - 16;
    int from = to - delta;
    while (from >= 0 && from < kSquares && !occupied.test(from)) from -= delta;
    return from >= 0 && from < kSquares ? from : to;
}

}  // namespace keisei::shogi
