// What the network sees: 121 planes of 81 squares in the mover's frame, every value 0 or 1, so a
// plane is a bitboard. Planes 0-118 are those of dlshogi (and Pgx); 119 and 120 are keisei's own.
//
//   0- 13  own pieces by kind, pawn to dragon       31- 61  the same of the opponent
//  14- 27  squares they attack, by kind             62- 89  own hand: pawn 8, lance, knight,
//  28- 30  attacked at least once, twice, thrice            silver, gold 4, bishop, rook 2 planes
//                                                   90-117  the opponent's hand
// 118      the mover is in check                   119-120  occurred at least once, twice before
#pragma once

#include <utility>

#include "shogi/attacks.h"

namespace keisei::shogi {

constexpr int kFeaturePlanes = 121;
constexpr int kSidePlanes = 31;
constexpr int kAttackPlane = 14;
constexpr int kAttackCountPlane = 28;
constexpr int kAttackCounts = 3;
constexpr int kHandPlane = 62;
constexpr int kHandPlanes = 28;
constexpr int kCheckPlane = 118;
constexpr int kOccurrencePlane = 119;

// Planes are made in independent groups, so that one lane of a warp can make one: a group for each
// side and kind of piece, one for each side's attack counts, one for each hand with the rest.
constexpr int kFeatureGroups = 32;

namespace detail {

KEISEI_HD constexpr uint32_t kinds(int a) {
    return 1u << a;
}
template <typename... Rest>
KEISEI_HD constexpr uint32_t kinds(int a, Rest... rest) {
    return (1u << a) | kinds(rest...);
}

// The kinds that step, and those that slide, along a ray direction: bit k for Kind k.
KEISEI_HD constexpr uint32_t stepping_kinds(int direction) {
    constexpr uint32_t kGolds = kinds(GOLD, PRO_PAWN, PRO_LANCE, PRO_KNIGHT, PRO_SILVER);
    switch (direction) {
        case UP:
            return kGolds | kinds(PAWN, SILVER, HORSE, KING);
        case UP_LEFT:
        case UP_RIGHT:
            return kGolds | kinds(SILVER, DRAGON, KING);
        case LEFT:
        case RIGHT:
        case DOWN:
            return kGolds | kinds(HORSE, KING);
        default:
            return kinds(SILVER, DRAGON, KING);
    }
}
KEISEI_HD constexpr uint32_t sliding_kinds(int direction) {
    switch (direction) {
        case UP:
            return kinds(LANCE, ROOK, DRAGON);
        case LEFT:
        case RIGHT:
        case DOWN:
            return kinds(ROOK, DRAGON);
        default:
            return kinds(BISHOP, HORSE);
    }
}

// Squares attacked by pieces of one kind, in the frame of their side.
KEISEI_HD Bitboard attacks_of_kind(int kind, const Bitboard& pieces, const Bitboard& empty) {
    Bitboard out = Bitboard::none();
    for_each_ray([&]<int D>() {
        if ((stepping_kinds(D) >> kind) & 1u) out = out | step<D>(pieces);
        if ((sliding_kinds(D) >> kind) & 1u) out = out | slide<D>(pieces, empty);
    });
    if (kind == KNIGHT) out = out | step<UP2_LEFT>(pieces) | step<UP2_RIGHT>(pieces);
    return out;
}

// Squares attacked at least one, two and three times by a side, in its own frame. Along one
// direction a square is attacked at most once, so ten sets add up.
KEISEI_HD void attack_counts(const Movers& side, const Bitboard& empty, Bitboard out[3]) {
    for (int i = 0; i < 3; ++i) out[i] = Bitboard::none();
    const auto add = [&](const Bitboard& attacked) {
        out[2] = out[2] | (out[1] & attacked);
        out[1] = out[1] | (out[0] & attacked);
        out[0] = out[0] | attacked;
    };
    for_each_ray(
        [&]<int D>() { add(step<D>(steppers<D>(side)) | slide<D>(sliders<D>(side), empty)); });
    add(step<UP2_LEFT>(side.knight));
    add(step<UP2_RIGHT>(side.knight));
}

KEISEI_HD void hand_planes(const Position& position, int side, Bitboard* out) {
    constexpr int kOrder[kHandKinds] = {PAWN, LANCE, KNIGHT, SILVER, GOLD, BISHOP, ROOK};
    constexpr int kPlanesOf[kHandKinds] = {8, 4, 4, 4, 4, 2, 2};
    for (int i = 0; i < kHandKinds; ++i) {
        const int held = position.hand_count(side, kOrder[i]);
        for (int n = 0; n < kPlanesOf[i]; ++n) {
            *out++ = held > n ? Bitboard::all() : Bitboard::none();
        }
    }
}

}  // namespace detail

// Writes the planes of one group, 0 <= group < 32, into `out[121]`.
KEISEI_HD void feature_group(const Position& position, int group, Bitboard* out) {
    const Bitboard occupied = position.occupied();
    if (group < 2 * kKinds) {
        const bool own = group < kKinds;
        const int kind = (own ? group : group - kKinds) + PAWN;
        const Bitboard pieces =
            position.pieces(kind) & (own ? position.own : occupied & ~position.own);
        const Bitboard attacks =
            own ? detail::attacks_of_kind(kind, pieces, ~occupied)
                : turned(detail::attacks_of_kind(kind, turned(pieces), turned(~occupied)));
        Bitboard* const side = out + (own ? 0 : kSidePlanes);
        side[kind - PAWN] = pieces;
        side[kAttackPlane + kind - PAWN] = attacks;
    } else if (group < 2 * kKinds + 2) {
        const bool own = group == 2 * kKinds;
        const Position seen = own ? position : turned(position);
        Bitboard counts[kAttackCounts];
        detail::attack_counts(movers_among(seen, seen.own), ~seen.occupied(), counts);
        Bitboard* const side = out + (own ? 0 : kSidePlanes) + kAttackCountPlane;
        for (int i = 0; i < kAttackCounts; ++i) side[i] = own ? counts[i] : turned(counts[i]);
        if (!own) {
            const Bitboard king = position.pieces(KING) & position.own;
            out[kCheckPlane] = (king & side[0]).any() ? Bitboard::all() : Bitboard::none();
        }
    } else {
        const int side = group - (2 * kKinds + 2);
        detail::hand_planes(position, side, out + kHandPlane + side * kHandPlanes);
        out[kOccurrencePlane + side] =
            position.occurrence() > side ? Bitboard::all() : Bitboard::none();
    }
}

namespace detail {

// The planes of one side into `out[31]`, in the mover's frame. All directions and kinds are written
// out, so that what two of them have in common is made once.
template <bool kOwn, int... kKind>
inline void side_planes(const Position& position, const Bitboard& occupied, Bitboard* out,
                        std::integer_sequence<int, kKind...>) {
    const Bitboard side = kOwn ? position.own : occupied & ~position.own;
    const Bitboard empty = ~occupied;
    const Bitboard pieces[] = {(position.pieces(kKind + PAWN) & side)...};
    Bitboard attacks[] = {(static_cast<void>(kKind), Bitboard::none())...};
    Bitboard count[kAttackCounts] = {Bitboard::none(), Bitboard::none(), Bitboard::none()};
    // Along one direction a square is attacked at most once, so ten sets add up.
    const auto add = [&](const Bitboard& attacked) {
        count[2] = count[2] | (count[1] & attacked);
        count[1] = count[1] | (count[0] & attacked);
        count[0] = count[0] | attacked;
    };
    for_each_ray([&]<int D>() {
        constexpr int kTheirs = kOwn ? static_cast<int>(D) : opposite(D);
        Bitboard along = Bitboard::none();
        const auto of_kind = [&]<int K>() {
            Bitboard attacked = Bitboard::none();
            if constexpr ((stepping_kinds(kTheirs) >> (K + PAWN)) & 1u) {
                attacked = step<D>(pieces[K]);
            }
            if constexpr ((sliding_kinds(kTheirs) >> (K + PAWN)) & 1u) {
                attacked = slide<D>(pieces[K], empty);
            }
            attacks[K] = attacks[K] | attacked;
            along = along | attacked;
        };
        (of_kind.template operator()<kKind>(), ...);
        add(along);
    });
    const Bitboard& knights = pieces[KNIGHT - PAWN];
    const Bitboard left = kOwn ? step<UP2_LEFT>(knights) : step<LEFT>(two_down(knights));
    const Bitboard right = kOwn ? step<UP2_RIGHT>(knights) : step<RIGHT>(two_down(knights));
    attacks[KNIGHT - PAWN] = left | right;
    add(left);
    add(right);
    ((out[kKind] = pieces[kKind]), ...);
    ((out[kAttackPlane + kKind] = attacks[kKind]), ...);
    for (int i = 0; i < kAttackCounts; ++i) out[kAttackCountPlane + i] = count[i];
}

}  // namespace detail

// All planes at once, for one thread of the host.
inline void feature_planes(const Position& position, Bitboard out[kFeaturePlanes]) {
    const Bitboard occupied = position.occupied();
    constexpr auto kEveryKind = std::make_integer_sequence<int, kKinds>();
    detail::side_planes<true>(position, occupied, out, kEveryKind);
    detail::side_planes<false>(position, occupied, out + kSidePlanes, kEveryKind);
    const auto whole = [](bool all) { return all ? Bitboard::all() : Bitboard::none(); };
    const Bitboard king = position.pieces(KING) & position.own;
    out[kCheckPlane] = whole((king & out[kSidePlanes + kAttackCountPlane]).any());
    for (int side = 0; side < 2; ++side) {
        detail::hand_planes(position, side, out + kHandPlane + side * kHandPlanes);
        out[kOccurrencePlane + side] = whole(position.occurrence() > side);
    }
}

}  // namespace keisei::shogi
