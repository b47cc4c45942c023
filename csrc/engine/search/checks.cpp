#include "engine/search/checks.h"

#include "shogi/apply.h"
#include "shogi/legal.h"
#include "shogi/planes.h"

namespace keisei::engine {
namespace {

using namespace keisei::shogi;

// By kind: the squares on which a piece of the mover attacks the opponent's king.
struct CheckSquares {
    Bitboard of[kKinds + 1];

    template <int... kKind>
    CheckSquares(const Bitboard& king, const Bitboard& empty,
                 std::integer_sequence<int, kKind...>) {
        of[EMPTY] = Bitboard::none();
        // Where the opponent's own piece of that kind, put on the king's square, would reach.
        ((of[kKind + PAWN] =
              kKind + PAWN == KING
                  ? Bitboard::none()
                  : shogi::detail::attacks_of_kind<false, kKind + PAWN>(king, empty)),
         ...);
    }
};

// The mover's pieces that stand between the opponent's king and a slider of the mover's.
Bitboard discoverers(const Position& position, const Bitboard& king, const Bitboard& empty) {
    const Movers mine = movers_among(position, position.own);
    Bitboard out = Bitboard::none();
    for_each_ray([&]<int D>() {
        const Bitboard first = slide<D>(king, empty) & position.own;
        if (!first.any()) return;
        const Bitboard behind = slide<D>(king, empty | first);
        if ((behind & sliders<opposite(D)>(mine)).any()) out = out | first;
    });
    return out;
}

}  // namespace

void list_checks(const Position& position, std::vector<uint16_t>& labels) {
    const Bitboard occupied = position.occupied();
    const Bitboard empty = ~occupied;
    const Bitboard king = without(position.pieces(KING), position.own);
    const CheckSquares squares(king, empty, std::make_integer_sequence<int, kKinds>());
    const Bitboard hiding = discoverers(position, king, empty);
    const bool any_hiding = hiding.any();
    Bitboard any_square = Bitboard::none();
    for (const auto& of_kind : squares.of) any_square = any_square | of_kind;
    for_each_legal_plane(position, [&](int plane, const Bitboard& to) {
        if (plane >= kDropPlane) {
            Bitboard drops = to & squares.of[plane - kDropPlane + PAWN];
            while (drops.any()) {
                labels.push_back(static_cast<uint16_t>(plane * kSquares + drops.pop_lowest()));
            }
            return;
        }
        Bitboard moves = any_hiding ? to : to & any_square;
        while (moves.any()) {
            const int square = moves.pop_lowest();
            const int label = plane * kSquares + square;
            const Move move = move_of_label(position, label);
            const int kind = move.promote ? promoted(move.kind) : static_cast<int>(move.kind);
            const bool direct = squares.of[kind].test(square);
            // Off its line, or along it: applying the move tells.
            if (direct || (hiding.test(move.from) && in_check(apply(position, label)))) {
                labels.push_back(static_cast<uint16_t>(label));
            }
        }
    });
}

}  // namespace keisei::engine
