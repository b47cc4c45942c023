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

// Where many threads share the work, planes are made in independent parts of much the same length.
constexpr int kFeatureParts = 8;

namespace detail {

KEISEI_HD Bitboard whole(bool all) {
    return all ? Bitboard::all() : Bitboard::none();
}

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

// Squares attacked by pieces of one kind and side, in the mover's frame.
template <bool kOwn, int kKind>
KEISEI_HD Bitboard attacks_of_kind(const Bitboard& pieces, const Bitboard& empty) {
    if constexpr (kKind == KNIGHT) {
        return sideways(kOwn ? two_up(pieces) : two_down(pieces));
    }
    Bitboard out = Bitboard::none();
    for_each_ray([&]<int D>() {
        constexpr int kTheirs = kOwn ? static_cast<int>(D) : opposite(D);
        if constexpr ((stepping_kinds(kTheirs) >> kKind) & 1u) out = out | step<D>(pieces);
        if constexpr ((sliding_kinds(kTheirs) >> kKind) & 1u) out = out | slide<D>(pieces, empty);
    });
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

// Calls put(plane, bitboard) for the planes of a hand and the occurrence plane of the same number.
template <typename Put>
KEISEI_HD void put_hand_planes(const Position& position, int side, Put&& put) {
    constexpr int kOrder[kHandKinds] = {PAWN, LANCE, KNIGHT, SILVER, GOLD, BISHOP, ROOK};
    constexpr int kPlanesOf[kHandKinds] = {8, 4, 4, 4, 4, 2, 2};
    int plane = kHandPlane + side * kHandPlanes;
    for (int i = 0; i < kHandKinds; ++i) {
        const int held = position.hand_count(side, kOrder[i]);
        for (int n = 0; n < kPlanesOf[i]; ++n) put(plane++, whole(held > n));
    }
    put(kOccurrencePlane + side, whole(position.occurrence() > side));
}

// Pieces of some kinds and the squares they attack.
template <bool kOwn, int... kKind, typename Put>
KEISEI_HD void put_kind_planes(const Position& position, Put&& put) {
    const Bitboard occupied = position.occupied();
    const Bitboard side = kOwn ? position.own : without(occupied, position.own);
    const auto kind = [&]<int K>() {
        constexpr int kPlane = (kOwn ? 0 : kSidePlanes) + K - PAWN;
        const Bitboard pieces = position.pieces(K) & side;
        put(kPlane, pieces);
        put(kAttackPlane + kPlane, attacks_of_kind<kOwn, K>(pieces, ~occupied));
    };
    (kind.template operator()<kKind>(), ...);
}

template <bool kOwn, typename Put>
KEISEI_HD void put_count_planes(const Position& position, Put&& put) {
    const Position seen = kOwn ? position : turned(position);
    Bitboard counts[kAttackCounts];
    attack_counts(movers_among(seen, seen.own), ~seen.occupied(), counts);
    for (int i = 0; i < kAttackCounts; ++i) {
        if constexpr (!kOwn) counts[i] = turned(counts[i]);
        put((kOwn ? 0 : kSidePlanes) + kAttackCountPlane + i, counts[i]);
    }
    if constexpr (!kOwn) {
        const Bitboard king = position.pieces(KING) & position.own;
        put(kCheckPlane, whole((king & counts[0]).any()));
    }
}

}  // namespace detail

// Calls put(plane, bitboard) for each plane of a part, 0 <= part < kFeatureParts.
template <typename Put>
KEISEI_HD void feature_part(const Position& position, int part, Put&& put) {
    using namespace detail;
    switch (part) {
        case 0:
            return put_kind_planes<true, PAWN, LANCE, KNIGHT, SILVER, BISHOP, KING>(position, put);
        case 1:
            return put_kind_planes<false, PAWN, LANCE, KNIGHT, SILVER, BISHOP, KING>(position, put);
        case 2:
            put_hand_planes(position, 0, put);
            return put_kind_planes<true, GOLD, PRO_PAWN, PRO_LANCE, PRO_KNIGHT, PRO_SILVER>(
                position, put);
        case 3:
            put_hand_planes(position, 1, put);
            return put_kind_planes<false, GOLD, PRO_PAWN, PRO_LANCE, PRO_KNIGHT, PRO_SILVER>(
                position, put);
        case 4:
            return put_kind_planes<true, ROOK, HORSE, DRAGON>(position, put);
        case 5:
            return put_kind_planes<false, ROOK, HORSE, DRAGON>(position, put);
        case 6:
            return put_count_planes<true>(position, put);
        default:
            return put_count_planes<false>(position, put);
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
                if (pieces[K].any()) attacked = slide<D>(pieces[K], empty);
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
    const Bitboard king = position.pieces(KING) & position.own;
    out[kCheckPlane] = detail::whole((king & out[kSidePlanes + kAttackCountPlane]).any());
    for (int side = 0; side < 2; ++side) {
        detail::put_hand_planes(position, side,
                                [&](int plane, const Bitboard& squares) { out[plane] = squares; });
    }
}

}  // namespace keisei::shogi
