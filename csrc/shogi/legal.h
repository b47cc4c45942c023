// Legal moves, set-wise: the legal destinations of each of the 27 action planes are one bitboard.
// Nothing here loops over pieces. Move lists are made from the mask where somebody needs them.
#pragma once

#include "shogi/attacks.h"
#include "shogi/label.h"

namespace keisei::shogi {

constexpr int kMaskWords = kPlanes * 3;

// Bit b of word w is label 27 * w + b.
struct LegalMask {
    uint32_t word[kMaskWords];

    KEISEI_HD bool test(int label) const {
        return (word[label / kWordBits] >> (label % kWordBits)) & 1u;
    }
};

namespace detail {

// The four lines through a square, by the ray directions that lie on them.
KEISEI_HD constexpr int line_of(int direction) {
    constexpr int kLine[kRayDirections] = {0, 1, 2, 3, 3, 0, 2, 1};
    return kLine[direction];
}

// What the mover's king allows: everything that generation needs to know of the opponent.
inline namespace KEISEI_BITBOARD_FORM {
struct KingSafety {
    Bitboard danger;     // attacked by the opponent, the mover's king being transparent
    Bitboard pinned[4];  // own pieces that may move only along this line
    Bitboard targets;    // where pieces other than the king may land: all, capture-or-block, none
    bool in_check;
};
}  // namespace KEISEI_BITBOARD_FORM

KEISEI_HD KingSafety king_safety(const Position& position, const Movers& mine,
                                 const Bitboard& occupied) {
    const Movers theirs = movers_among(position, occupied & ~position.own);
    const Bitboard empty = ~occupied;
    const Bitboard seen_through = empty | mine.king;
    KingSafety out;
    out.danger = Bitboard::none();
    for (auto& line : out.pinned) line = Bitboard::none();
    Bitboard answer = Bitboard::none();
    int checkers = 0;

    for_each_ray([&]<int D>() {
        // The opponent moves along D as we see it, which is the opposite of D as they do.
        constexpr int kTheirs = opposite(D);
        const Bitboard attackers = sliders<kTheirs>(theirs);
        const Bitboard attacked = slide<D>(attackers, seen_through);
        const Bitboard near = steppers<kTheirs>(theirs);
        out.danger = out.danger | attacked | step<D>(near);

        const Bitboard from_king = slide<kTheirs>(mine.king, empty);
        out.pinned[line_of(D)] = out.pinned[line_of(D)] | (position.own & attacked & from_king);
        const Bitboard next_to_king = step<kTheirs>(mine.king) & near;
        if ((from_king & attackers).any()) {
            answer = answer | from_king;
            ++checkers;
        } else if (next_to_king.any()) {
            answer = answer | next_to_king;
            ++checkers;
        }
    });
    out.danger = out.danger | opponent_knight_steps_left(theirs.knight) |
                 opponent_knight_steps_right(theirs.knight);
    // The opponent's knights that attack a square stand where the mover's knight from it lands.
    const Bitboard knights =
        (step<UP2_LEFT>(mine.king) | step<UP2_RIGHT>(mine.king)) & theirs.knight;
    if (knights.any()) {
        answer = answer | knights;
        checkers += knights.count();
    }
    out.in_check = checkers > 0;
    out.targets = checkers == 0 ? Bitboard::all() : checkers == 1 ? answer : Bitboard::none();
    return out;
}

// Pieces that no pin keeps from moving along direction D.
template <int D>
KEISEI_HD Bitboard free_along(const KingSafety& safety) {
    constexpr int kLine = line_of(D);
    return ~(safety.pinned[(kLine + 1) & 3] | safety.pinned[(kLine + 2) & 3] |
             safety.pinned[(kLine + 3) & 3]);
}

KEISEI_HD Bitboard pinned_at_all(const KingSafety& safety) {
    return safety.pinned[0] | safety.pinned[1] | safety.pinned[2] | safety.pinned[3];
}

// Whether any piece on the board has a legal move. Promotion never decides that, and a piece that
// may not stay unpromoted on the last ranks can go there promoted.
KEISEI_HD_COLD bool has_board_move(const Position& position) {
    const Bitboard occupied = position.occupied();
    const Bitboard empty = ~occupied;
    const Movers mine = movers_among(position, position.own);
    const KingSafety safety = king_safety(position, mine, occupied);
    const Bitboard targets = safety.targets & ~position.own;
    const Bitboard king_targets = ~(safety.danger | position.own);
    Bitboard reached = Bitboard::none();
    for_each_ray([&]<int D>() {
        const Bitboard free = free_along<D>(safety);
        const Bitboard near = steppers<D>(mine) & ~mine.king & free;
        reached = reached | (step<D>(mine.king) & king_targets) |
                  ((step<D>(near) | slide<D>(sliders<D>(mine) & free, empty)) & targets);
    });
    const Bitboard knights = mine.knight & ~pinned_at_all(safety);
    reached = reached | ((step<UP2_LEFT>(knights) | step<UP2_RIGHT>(knights)) & targets);
    return reached.any();
}

// Whether a pawn dropped on `square`, right in front of the opponent's king, leaves no answer.
// Only moves of pieces on the board can answer a check at contact.
KEISEI_HD_COLD bool pawn_drop_mates(const Position& position, int square) {
    Position next = position;
    put(next, square, PAWN, true);
    return !has_board_move(turned(next));
}

// A square next to the opponent's king that it could go to whatever pawn is dropped: cheap proof
// that the drop is no mate. The drop can only take attacked squares away from us.
KEISEI_HD bool opponent_king_has_flight(const Position& position, const Movers& mine,
                                        const Bitboard& their_king, const Bitboard& occupied) {
    const Bitboard empty = ~occupied | their_king;
    Bitboard around = Bitboard::none();
    Bitboard attacked = step<UP2_LEFT>(mine.knight) | step<UP2_RIGHT>(mine.knight);
    for_each_ray([&]<int D>() {
        around = around | step<D>(their_king);
        attacked = attacked | step<D>(steppers<D>(mine)) | slide<D>(sliders<D>(mine), empty);
    });
    const Bitboard theirs = occupied & ~position.own;
    return (around & ~theirs & ~attacked).any();
}

}  // namespace detail

// Calls sink(plane, destinations) for each of the 27 planes in order, every plane once, the plane a
// compile-time constant after inlining. Returns whether the mover is in check.
template <typename Sink>
KEISEI_HD bool for_each_legal_plane(const Position& position, Sink&& sink) {
    constexpr uint32_t kLastRank = rank_bits(0);
    constexpr uint32_t kLastTwo = rank_bits(0) | rank_bits(1);
    const Bitboard occupied = position.occupied();
    const Bitboard empty = ~occupied;
    const Movers mine = movers_among(position, position.own);
    const detail::KingSafety safety = detail::king_safety(position, mine, occupied);
    const Bitboard targets = safety.targets & ~position.own;
    const Bitboard king_targets = ~(safety.danger | position.own);

    // What travels along D and may promote: to the far ranks from anywhere, and anywhere from them.
    const auto promoting = [&]<int D>() {
        const Bitboard free = detail::free_along<D>(safety);
        const auto reach = [&](const Bitboard& from) {
            if constexpr (D == UP) {
                return step<D>((mine.pawn | mine.silver) & from) |
                       slide<D>((mine.lance | mine.rook) & from, empty);
            } else if constexpr (D == UP_LEFT || D == UP_RIGHT || D == DOWN_LEFT ||
                                 D == DOWN_RIGHT) {
                return step<D>(mine.silver & from) | slide<D>(mine.bishop & from, empty);
            } else {
                return slide<D>(mine.rook & from, empty);
            }
        };
        Bitboard out = reach(free) & kFarRanks;
        // Only downward moves leave the far ranks.
        if constexpr (D == DOWN || D == DOWN_LEFT || D == DOWN_RIGHT) {
            out = out | reach(free & kFarRanks);
        }
        return out & targets;
    };

    for_each_ray([&]<int D>() {
        const Bitboard free = detail::free_along<D>(safety);
        Bitboard reached;
        if constexpr (D == UP) {
            const Bitboard forward_only =
                step<D>(mine.pawn & free) | slide<D>(mine.lance & free, empty);
            reached = (forward_only & (kWordMask & ~kLastRank)) |
                      step<D>((mine.silver | mine.gold | mine.horse) & free) |
                      slide<D>((mine.rook | mine.dragon) & free, empty);
        } else {
            reached = step<D>(steppers<D>(mine) & ~mine.king & free) |
                      slide<D>(sliders<D>(mine) & free, empty);
        }
        sink(static_cast<int>(D), (reached & targets) | (step<D>(mine.king) & king_targets));
    });
    const Bitboard knights = mine.knight & ~detail::pinned_at_all(safety);
    const Bitboard jumps_left = step<UP2_LEFT>(knights) & targets;
    const Bitboard jumps_right = step<UP2_RIGHT>(knights) & targets;
    sink(static_cast<int>(UP2_LEFT), jumps_left & (kWordMask & ~kLastTwo));
    sink(static_cast<int>(UP2_RIGHT), jumps_right & (kWordMask & ~kLastTwo));

    for_each_ray([&]<int D>() { sink(kPromotionPlane + D, promoting.template operator()<D>()); });
    sink(kPromotionPlane + UP2_LEFT, jumps_left & kFarRanks);
    sink(kPromotionPlane + UP2_RIGHT, jumps_right & kFarRanks);

    const Bitboard landing = empty & safety.targets;
    for (int kind = PAWN; kind <= GOLD; ++kind) {
        Bitboard drops = Bitboard::none();
        if (position.hand_count(0, kind) > 0) {
            drops = landing;
            if (kind == PAWN) {
                drops = drops & ~whole_files(mine.pawn) & (kWordMask & ~kLastRank);
                const Bitboard their_king = position.pieces(KING) & ~position.own;
                const Bitboard head = step<DOWN>(their_king) & drops;
                if (head.any() &&
                    !detail::opponent_king_has_flight(position, mine, their_king, occupied) &&
                    detail::pawn_drop_mates(position, head.lowest())) {
                    drops = drops & ~head;
                }
            } else if (kind == LANCE) {
                drops = drops & (kWordMask & ~kLastRank);
            } else if (kind == KNIGHT) {
                drops = drops & (kWordMask & ~kLastTwo);
            }
        }
        sink(kDropPlane + kind - PAWN, drops);
    }
    return safety.in_check;
}

// Fills the mask; returns whether the mover is in check.
KEISEI_HD bool legal_mask(const Position& position, LegalMask& mask) {
    return for_each_legal_plane(
        position, [&](int plane, const Bitboard& to) { to.store(mask.word + 3 * plane); });
}

KEISEI_HD int count_legal(const Position& position) {
    int count = 0;
    for_each_legal_plane(position, [&](int, const Bitboard& to) { count += to.count(); });
    return count;
}

KEISEI_HD bool has_legal_move(const Position& position) {
    Bitboard any = Bitboard::none();
    for_each_legal_plane(position, [&](int, const Bitboard& to) { any = any | to; });
    return any.any();
}

KEISEI_HD bool is_legal(const Position& position, int label) {
    if (label < 0 || label >= kLabels) return false;
    bool legal = false;
    for_each_legal_plane(position, [&](int plane, const Bitboard& to) {
        if (plane == label / kSquares) legal = to.test(label % kSquares);
    });
    return legal;
}

KEISEI_HD bool in_check(const Position& position) {
    const Bitboard occupied = position.occupied();
    return detail::king_safety(position, movers_among(position, position.own), occupied).in_check;
}

}  // namespace keisei::shogi
