// Winning by declaration with an entered king: the 27-point rule, and what engines play by besides.
#pragma once

#include "shogi/legal.h"

namespace keisei::shogi {

constexpr int kDeclarationPieces = 10;
constexpr int kDeclarationPointsBlack = 28;
constexpr int kDeclarationPointsWhite = 27;
constexpr int kDeclarationPoints24 = 31;

enum class DeclarationRule : uint8_t {
    none,
    points24,  // 31 points win, for either side; the draw from 24 points on is not declared
    points27,
};

// Points of the mover: rook and bishop kinds 5, the king 0, everything else 1, over the pieces in
// the far ranks and in hand.
KEISEI_HD int declaration_points(const Position& position) {
    const Bitboard entered = position.own & kFarRanks;
    const Movers mine = movers_among(position, entered);
    int points = (entered & ~mine.king).count() +
                 4 * (mine.bishop | mine.rook | mine.horse | mine.dragon).count();
    for (int kind = PAWN; kind <= GOLD; ++kind) {
        points += position.hand_count(0, kind) * (kind == BISHOP || kind == ROOK ? 5 : 1);
    }
    return points;
}

// Whether the mover, who is in check or not as told, can declare and win.
KEISEI_HD bool can_declare(const Position& position, bool in_check,
                           DeclarationRule rule = DeclarationRule::points27) {
    const Bitboard entered = position.own & kFarRanks;
    const Bitboard king = entered & position.pieces(KING);
    if (in_check || !king.any() || entered.count() - 1 < kDeclarationPieces) return false;
    if (rule == DeclarationRule::none) return false;
    const int needed = rule == DeclarationRule::points24 ? kDeclarationPoints24
                       : position.white_to_move()        ? kDeclarationPointsWhite
                                                         : kDeclarationPointsBlack;
    return declaration_points(position) >= needed;
}

KEISEI_HD bool can_declare(const Position& position,
                           DeclarationRule rule = DeclarationRule::points27) {
    return can_declare(position, in_check(position), rule);
}

}  // namespace keisei::shogi
