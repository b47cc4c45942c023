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

inline namespace KEISEI_BITBOARD_FORM {

// What the mover's king allows: everything that generation needs to know of the opponent.
struct KingView {
    Bitboard ray[kRayDirections];  // what the king sees: up to and with the first piece
    Bitboard line[4];    // squares that both the king and an opponent's slider on this line see
    Bitboard all_lines;  // the four together; no square is on two of them
    Bitboard allowed;    // where other pieces may land: all, capture-or-block, none
    Bitboard ring;       // the squares around the king
    Bitboard king_to;    // where the king may go
    bool in_check;
};

// The opponent's pieces by how they go, as they see it: `up` may step UP, `up_side` UP_LEFT and
// UP_RIGHT, `side_down` LEFT, RIGHT and DOWN, `down_side` DOWN_LEFT and DOWN_RIGHT.
struct Opponents {
    Bitboard forward, orthogonal, diagonal;  // sliders; lances are in `forward` alone
    Bitboard up, up_side, side_down, down_side;
    Bitboard knight;
};

}  // namespace KEISEI_BITBOARD_FORM

// Straight from the four bits of the kinds: a third of the operations that naming each kind takes.
KEISEI_HD Opponents opponents(const Position& position, const Bitboard& theirs) {
    const Bitboard& a = position.kind[0];
    const Bitboard& b = position.kind[1];
    const Bitboard& c = position.kind[2];
    const Bitboard& d = position.kind[3];
    const Bitboard bc = b & c;
    const Bitboard rooks = without(bc, a);                                             // 6, 14
    const Bitboard lances = without(without(b, a | c), d);                             // 2
    const Bitboard high_but_dragon = without(d, bc);                                   // 8 to 13
    const Bitboard plain_silver = without(without(c, b), d);                           // 4, 5
    const Bitboard king_dragon_silver = without(plain_silver | without(d, b ^ c), a);  // 4, 8, 14
    const Bitboard plain_gold = without(a & bc, d);                                    // 7
    Opponents out;
    out.orthogonal = rooks & theirs;
    out.forward = (rooks | lances) & theirs;
    out.diagonal = without(a & c, b) & theirs;            // 5, 13
    out.knight = without(without(a & b, c), d) & theirs;  // 3
    out.side_down = (high_but_dragon | plain_gold) & theirs;
    out.down_side = king_dragon_silver & theirs;
    // 4, 7 and all that are promoted or king but the horse
    out.up_side = select(d, without(theirs, without(a & c, b)), without(c & theirs, a ^ b));
    // 1, 4, 7 and 8 to 13
    out.up = select(d, without(theirs, bc), without((a ^ b ^ c) & theirs, without(b, a | c)));
    return out;
}

// The squares around a set, and the set.
KEISEI_HD Bitboard around(const Bitboard& a) {
    const Bitboard column = a | step<UP>(a) | step<DOWN>(a);
    return column | sideways(column);
}

// Which of the opponent's pieces attack one square: `rays` is what is seen from it, `ring` the
// squares around it.
KEISEI_HD Bitboard attackers(const Opponents& they, const Bitboard& square,
                             const Bitboard (&rays)[kRayDirections], const Bitboard& ring) {
    return (sideways(two_up(square)) & they.knight) |
           (rays[UP] & (they.forward | (they.up & ring))) |
           ((rays[DOWN] | rays[LEFT] | rays[RIGHT]) & (they.orthogonal | (they.side_down & ring))) |
           ((rays[UP_LEFT] | rays[UP_RIGHT]) & (they.diagonal | (they.up_side & ring))) |
           ((rays[DOWN_LEFT] | rays[DOWN_RIGHT]) & (they.diagonal | (they.down_side & ring)));
}

KEISEI_HD KingView king_view(const Position& position, const Bitboard& king,
                             const Bitboard& occupied) {
    const Bitboard empty = ~occupied;
    const Bitboard theirs = without(occupied, position.own);
    const Opponents they = opponents(position, theirs);
    KingView out;
    // Where nothing slides on the king's lines, its neighbours are all that matters of them.
    const bool watched = in_sight(king, they.forward, they.orthogonal, they.diagonal);
    if (watched) {
        for_each_ray([&]<int D>() { out.ray[D] = slide<D>(king, empty); });
    } else {
        for_each_ray([&]<int D>() { out.ray[D] = step<D>(king); });
    }

    // The opponent's sliders along a direction as we see it; the king itself stops none of them.
    // Where tests pay the king stops them first, as it does everything else that slides.
    constexpr bool kStopped = Bitboard::kTestsPay;
    const Bitboard through = kStopped ? empty : empty | king;
    Bitboard danger = Bitboard::none();
    const auto look = [&]<int D>(const Bitboard& forth, const Bitboard& back) {
        const Bitboard there = slide<D>(forth, through);
        const Bitboard here = slide<opposite(D)>(back, through);
        out.line[line_of(D)] = (there & out.ray[opposite(D)]) | (here & out.ray[D]);
        danger = danger | there | here;
        if (kStopped && watched) {
            danger = danger | step<D>(there & king) | step<opposite(D)>(here & king);
        }
    };
    look.template operator()<DOWN>(they.forward, they.orthogonal);
    look.template operator()<LEFT>(they.orthogonal, they.orthogonal);
    look.template operator()<UP_LEFT>(they.diagonal, they.diagonal);
    look.template operator()<UP_RIGHT>(they.diagonal, they.diagonal);
    out.all_lines = out.line[0] | out.line[1] | out.line[2] | out.line[3];

    // Their steps: first along the files, then all sideways ones together.
    const Bitboard beside = they.side_down | step<DOWN>(they.up_side) | step<UP>(they.down_side) |
                            two_down(they.knight);
    danger = danger | step<DOWN>(they.up) | step<UP>(they.side_down) | sideways(beside);

    const Bitboard above = step<UP>(king);
    const Bitboard below = step<DOWN>(king);
    const Bitboard ring = above | below | sideways(king | above | below);
    out.ring = ring;
    const Bitboard checkers = attackers(they, king, out.ray, ring);
    const int count = checkers.count();
    out.in_check = count > 0;
    // On a line with a check nothing but empty squares lies between; on any other, no empty square
    // is seen from both ends.
    const Bitboard answer = (out.all_lines & empty) | checkers;
    out.allowed = count == 0 ? Bitboard::all() : count == 1 ? answer : Bitboard::none();
    out.king_to = without(without(ring, danger), position.own);
    return out;
}

// Own pieces among `pieces` that no pin keeps from moving along direction D.
template <int D>
KEISEI_HD Bitboard free_along(const KingView& view, const Bitboard& pieces) {
    return without(pieces, without(view.all_lines, view.line[line_of(D)]));
}

}  // namespace detail

// Whether a pawn dropped on `square`, right in front of the opponent's king, leaves no answer: the
// king has no flight and nothing else takes the pawn. A piece that is pinned cannot take it, since
// no line of a pin leads next to the king and past it.
KEISEI_FLAT KEISEI_HD bool pawn_drop_mates(const Position& position, int square) {
    const Bitboard pawn = Bitboard::square(square);
    const Bitboard king = step<UP>(pawn);
    const Bitboard theirs = without(position.occupied(), position.own);
    const Bitboard empty = ~(position.occupied() | pawn);
    const Movers mine = movers_among(position, position.own);

    // The king shields nothing behind it: no slider of ours sees it, or it would be in check.
    Bitboard attacked = sideways(two_up(mine.knight));
    Bitboard pins = Bitboard::none();
    for_each_ray([&]<int D>() {
        const Bitboard seen = slide<D>(sliders<D>(mine), empty);
        attacked = attacked | seen | step<D>(steppers<D>(mine));
        pins = pins | (seen & slide<opposite(D)>(king, empty));
    });
    if (without(without(detail::around(king), theirs), attacked).any()) return false;

    Bitboard rays[kRayDirections];
    for_each_ray([&]<int D>() { rays[D] = slide<D>(pawn, empty); });
    const detail::Opponents they = detail::opponents(position, without(theirs, king | pins));
    return !detail::attackers(they, pawn, rays, detail::around(pawn)).any();
}

struct Generated {
    bool in_check;      // the mover
    int doubtful_drop;  // a square where a pawn may be dropped unless that mates; -1: none
};

namespace detail {

// Proof that a pawn dropped on the opponent's king's head is no mate: a square next to that king,
// empty or with a piece of ours, which nothing of ours attacks; the pawn could only take attacks
// away. `attacked` lacks what pinned pieces attack off their pins, so all squares that a pinned one
// might step to count as attacked, and pinned sliders prove nothing.
KEISEI_HD bool opponent_has_flight(const Bitboard& their_king, const Bitboard& occupied,
                                   const Movers& mine, const KingView& view, const Bitboard& own,
                                   const Bitboard& attacked) {
    const Bitboard pinned = own & view.all_lines;
    const Bitboard sliders = mine.lance | mine.rook | mine.bishop | mine.horse | mine.dragon;
    const Bitboard theirs = without(occupied, own);
    const Bitboard covered = attacked | around(pinned) | sideways(two_up(pinned & mine.knight));
    const Bitboard flights = without(without(around(their_king), theirs), covered);
    return flights.any() && !(pinned & sliders).any();
}

// Both forms of generation: mates(square) decides whether a doubtful pawn drop is taken out.
template <typename Sink, typename Mates>
KEISEI_HD Generated for_each_plane(const Position& position, Sink&& sink, Mates&& mates) {
    constexpr uint32_t kButLastRank = kWordMask & ~rank_bits(0);
    constexpr uint32_t kButLastTwo = kButLastRank & ~rank_bits(1);
    const Bitboard occupied = position.occupied();
    const Bitboard empty = ~occupied;
    const Movers mine = movers_among(position, position.own);
    const detail::KingView view = detail::king_view(position, mine.king, occupied);
    const Bitboard targets = without(view.allowed, position.own);
    const auto free = [&]<int D>(const Bitboard& pieces) {
        return detail::free_along<D>(view, pieces);
    };

    // A rook's sweeps serve its promotions too where no dragon's are among them, and so on.
    constexpr bool kKeeps = Bitboard::kTestsPay;
    const bool plain_only = kKeeps && !(mine.horse | mine.dragon).any();
    Bitboard kept[kKeeps ? kRayDirections : 1];
    Bitboard attacked = view.ring;
    for_each_ray([&]<int D>() {
        // The king's step along D; where registers are few it is made anew.
        const Bitboard king_step =
            (Bitboard::kTestsPay ? view.ray[D] : step<D>(mine.king)) & view.king_to;
        if constexpr (D == UP) {
            const Bitboard lances = sweep<UP>(free.template operator()<UP>(mine.lance), empty);
            const Bitboard rooks =
                sweep<UP>(free.template operator()<UP>(mine.rook | mine.dragon), empty);
            const Bitboard forward_only =
                land<UP>(lances, free.template operator()<UP>(mine.pawn), Bitboard::all());
            const Bitboard others =
                land<UP>(rooks, free.template operator()<UP>(mine.silver | mine.gold | mine.horse),
                         Bitboard::all());
            sink(static_cast<int>(D),
                 (((forward_only & kButLastRank) | others) & targets) | king_step);
            attacked = attacked | forward_only | others;
            attacked.evaluate();
            if constexpr (kKeeps) kept[D] = lances | rooks;
        } else {
            const Bitboard swept = sweep<D>(free.template operator()<D>(sliders<D>(mine)), empty);
            const Bitboard landed =
                land<D>(swept, free.template operator()<D>(without(steppers<D>(mine), mine.king)),
                        Bitboard::all());
            sink(static_cast<int>(D), (landed & targets) | king_step);
            attacked = attacked | landed;
            attacked.evaluate();
            if constexpr (kKeeps) kept[D] = swept;
        }
    });
    const Bitboard knights = without(mine.knight, view.all_lines);
    const Bitboard jumps_left = step<UP2_LEFT>(knights);
    const Bitboard jumps_right = step<UP2_RIGHT>(knights);
    attacked = attacked | jumps_left | jumps_right;
    const Bitboard far_targets = targets & kFarRanks;
    const Bitboard near_targets = targets & kButLastTwo;
    sink(static_cast<int>(UP2_LEFT), jumps_left & near_targets);
    sink(static_cast<int>(UP2_RIGHT), jumps_right & near_targets);

    // What may promote: to the far ranks from anywhere; downwards that is only from within them,
    // and from within them to anywhere.
    for_each_ray([&]<int D>() {
        constexpr bool kDown = D == DOWN || D == DOWN_LEFT || D == DOWN_RIGHT;
        constexpr bool kDiagonal = D != UP && D != DOWN && D != LEFT && D != RIGHT;
        Bitboard slides = kDiagonal ? mine.bishop : D == UP ? mine.rook | mine.lance : mine.rook;
        Bitboard steps = kDiagonal ? mine.silver
                         : D == UP ? mine.silver | mine.pawn
                                   : Bitboard::none();
        if constexpr (kDown) {
            slides = slides & kFarRanks;
            steps = steps & kFarRanks;
            if (Bitboard::kTestsPay && !(slides | steps).any()) {
                sink(kPromotionPlane + D, Bitboard::none());
                return;
            }
        }
        const Bitboard swept = !kDown && plain_only
                                   ? kept[kKeeps ? D : 0]
                                   : sweep<D>(free.template operator()<D>(slides), empty);
        const Bitboard landed =
            land<D>(swept, free.template operator()<D>(steps), kDown ? targets : far_targets);
        sink(kPromotionPlane + D, landed);
    });
    sink(kPromotionPlane + UP2_LEFT, jumps_left & far_targets);
    sink(kPromotionPlane + UP2_RIGHT, jumps_right & far_targets);

    const Bitboard landing = empty & view.allowed;
    const auto droppable = [&](int kind, uint32_t ranks) {
        return landing & (position.hand_count(0, kind) > 0 ? ranks : 0u);
    };
    Bitboard pawns = without(droppable(PAWN, kButLastRank), whole_files(mine.pawn));
    const Bitboard their_king = without(position.pieces(KING), position.own);
    const Bitboard head = step<DOWN>(their_king) & pawns;
    int doubtful = -1;
    if (head.any() &&
        !opponent_has_flight(their_king, occupied, mine, view, position.own, attacked)) {
        doubtful = head.lowest();
    }
    if (doubtful >= 0 && mates(doubtful)) pawns = without(pawns, head);
    sink(kDropPlane, pawns);
    sink(kDropPlane + LANCE - PAWN, droppable(LANCE, kButLastRank));
    sink(kDropPlane + KNIGHT - PAWN, droppable(KNIGHT, kButLastTwo));
    for (int kind = SILVER; kind <= GOLD; ++kind) {
        sink(kDropPlane + kind - PAWN, droppable(kind, kWordMask));
    }
    return {view.in_check, doubtful};
}

}  // namespace detail

// Calls sink(plane, destinations) for each of the 27 planes in order, every plane once, the plane a
// compile-time constant after inlining. All moves are legal, but for the doubtful pawn drop, if
// there is one: ask pawn_drop_mates.
template <typename Sink>
KEISEI_HD Generated for_each_pseudo_plane(const Position& position, Sink&& sink) {
    return detail::for_each_plane(position, sink, [](int) { return false; });
}

// The same with all moves legal. Returns whether the mover is in check.
template <typename Sink>
KEISEI_HD bool for_each_legal_plane(const Position& position, Sink&& sink) {
    return detail::for_each_plane(position, sink,
                                  [&](int square) { return pawn_drop_mates(position, square); })
        .in_check;
}

// Fills the mask; returns whether the mover is in check.
KEISEI_FLAT KEISEI_HD bool legal_mask(const Position& position, LegalMask& mask) {
    return for_each_legal_plane(
        position, [&](int plane, const Bitboard& to) { to.store(mask.word + 3 * plane); });
}

KEISEI_FLAT KEISEI_HD int count_legal(const Position& position) {
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
    const Bitboard king = position.pieces(KING) & position.own;
    return detail::king_view(position, king, position.occupied()).in_check;
}

}  // namespace keisei::shogi
