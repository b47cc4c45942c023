// The Bitboard of the GPU: three 32-bit words. See bitboard.h for what every form has.
#pragma once

#include "shogi/rank_bits.h"

namespace keisei::shogi {
inline namespace bitboard_words {

struct Bitboard {
    static constexpr bool kTestsPay = false;

    KEISEI_HD static constexpr Bitboard of(uint32_t w0, uint32_t w1, uint32_t w2) {
        return {{w0, w1, w2}};
    }
    KEISEI_HD static constexpr Bitboard none() { return {{0, 0, 0}}; }
    KEISEI_HD static constexpr Bitboard all() { return {{kWordMask, kWordMask, kWordMask}}; }

    KEISEI_HD static Bitboard square(int square) {
        const int w = square / kWordBits;
        const uint32_t bit = 1u << (square - w * kWordBits);
        return {{w == 0 ? bit : 0u, w == 1 ? bit : 0u, w == 2 ? bit : 0u}};
    }

    KEISEI_HD uint32_t word(int w) const { return w_[w]; }
    KEISEI_HD void store(uint32_t* to) const {
        to[0] = w_[0];
        to[1] = w_[1];
        to[2] = w_[2];
    }

    KEISEI_HD bool test(int square) const {
        const int w = square / kWordBits;
        const uint32_t bits = w == 0 ? w_[0] : w == 1 ? w_[1] : w_[2];
        return (bits >> (square - w * kWordBits)) & 1u;
    }
    KEISEI_HD bool any() const { return (w_[0] | w_[1] | w_[2]) != 0; }
    KEISEI_HD int count() const { return popcount(w_[0]) + popcount(w_[1]) + popcount(w_[2]); }
    KEISEI_HD int lowest() const {
        if (w_[0]) return lowest_bit(w_[0]);
        if (w_[1]) return kWordBits + lowest_bit(w_[1]);
        return 2 * kWordBits + lowest_bit(w_[2]);
    }
    // Has the compiler work the words out here. It would else put off what only a branch further on
    // wants, and keep all that this was made of in registers until then.
    KEISEI_HD void evaluate() {
#if defined(__CUDA_ARCH__)
        asm volatile("" : "+r"(w_[0]), "+r"(w_[1]), "+r"(w_[2]));
#endif
    }
    KEISEI_HD int pop_lowest() {
        const int square = lowest();
        const int w = square / kWordBits;
        w_[w] &= w_[w] - 1;
        return square;
    }

    uint32_t w_[3];  // for this file alone
};

KEISEI_HD constexpr Bitboard operator&(const Bitboard& a, const Bitboard& b) {
    return {{a.w_[0] & b.w_[0], a.w_[1] & b.w_[1], a.w_[2] & b.w_[2]}};
}
KEISEI_HD constexpr Bitboard operator|(const Bitboard& a, const Bitboard& b) {
    return {{a.w_[0] | b.w_[0], a.w_[1] | b.w_[1], a.w_[2] | b.w_[2]}};
}
KEISEI_HD constexpr Bitboard operator^(const Bitboard& a, const Bitboard& b) {
    return {{a.w_[0] ^ b.w_[0], a.w_[1] ^ b.w_[1], a.w_[2] ^ b.w_[2]}};
}
KEISEI_HD constexpr Bitboard operator~(const Bitboard& a) {
    return {{a.w_[0] ^ kWordMask, a.w_[1] ^ kWordMask, a.w_[2] ^ kWordMask}};
}
KEISEI_HD constexpr Bitboard operator&(const Bitboard& a, uint32_t bits) {
    return {{a.w_[0] & bits, a.w_[1] & bits, a.w_[2] & bits}};
}
KEISEI_HD constexpr bool operator==(const Bitboard& a, const Bitboard& b) {
    return ((a.w_[0] ^ b.w_[0]) | (a.w_[1] ^ b.w_[1]) | (a.w_[2] ^ b.w_[2])) == 0;
}

KEISEI_HD constexpr Bitboard without(const Bitboard& a, const Bitboard& b) {
    return {{a.w_[0] & ~b.w_[0], a.w_[1] & ~b.w_[1], a.w_[2] & ~b.w_[2]}};
}

KEISEI_HD Bitboard turned(const Bitboard& a) {
    constexpr int kUnused = 32 - kWordBits;
    return {{reverse_bits(a.w_[2]) >> kUnused, reverse_bits(a.w_[1]) >> kUnused,
             reverse_bits(a.w_[0]) >> kUnused}};
}

KEISEI_HD Bitboard whole_files(const Bitboard& a) {
    constexpr uint32_t kTop = rank_bits(8);
    constexpr uint32_t kLow = kWordMask ^ kTop;
    Bitboard out = Bitboard::none();
    for (int w = 0; w < 3; ++w) {
        // Adding 255 to a file's low eight bits carries into its ninth exactly if one is set.
        const uint32_t hit = (((a.w_[w] & kLow) + kLow) | a.w_[w]) & kTop;
        out.w_[w] = (hit << 1) - (hit >> 8);
    }
    return out;
}

template <int kDelta, uint32_t kGone>
KEISEI_HD Bitboard shifted(const Bitboard& a) {
    constexpr uint32_t kKeep = kWordMask & ~kGone;
    if constexpr (kDelta == 1 || kDelta == 2) {
        return {{(a.w_[0] << kDelta) & kKeep, (a.w_[1] << kDelta) & kKeep,
                 (a.w_[2] << kDelta) & kKeep}};
    } else if constexpr (kDelta == -1 || kDelta == -2) {
        return {{(a.w_[0] >> -kDelta) & kKeep, (a.w_[1] >> -kDelta) & kKeep,
                 (a.w_[2] >> -kDelta) & kKeep}};
    } else if constexpr (kDelta > 0) {
        constexpr int kBack = kWordBits - kDelta;
        return {{(a.w_[0] << kDelta) & kKeep, ((a.w_[1] << kDelta) | (a.w_[0] >> kBack)) & kKeep,
                 ((a.w_[2] << kDelta) | (a.w_[1] >> kBack)) & kKeep}};
    } else {
        constexpr int kAhead = kWordBits + kDelta;
        return {{((a.w_[0] >> -kDelta) | (a.w_[1] << kAhead)) & kKeep,
                 ((a.w_[1] >> -kDelta) | (a.w_[2] << kAhead)) & kKeep,
                 (a.w_[2] >> -kDelta) & kKeep}};
    }
}

namespace detail {

// Sliders and the squares that they pass along a ray direction that changes the file.
template <int kDirection>
KEISEI_HD Bitboard filled(const Bitboard& sliders, const Bitboard& empty) {
    constexpr int kDelta = delta_of(kDirection);
    constexpr uint32_t kKeep = kWordMask & ~unreachable_ranks(kDirection);
    Bitboard out = Bitboard::none();
    uint32_t carry = 0;
    // From file to file: two steps inside a word, one into the next.
    for (int i = 0; i < 3; ++i) {
        const int w = kDelta > 0 ? i : 2 - i;
        const uint32_t pass = empty.w_[w] & kKeep;
        uint32_t x = sliders.w_[w] | (carry & pass);
        if constexpr (kDelta > 0) {
            x |= pass & (x << kDelta);
            x |= pass & (x << kDelta);
            carry = x >> (kWordBits - kDelta);
        } else {
            x |= pass & (x >> -kDelta);
            x |= pass & (x >> -kDelta);
            carry = x << (kWordBits + kDelta);
        }
        out.w_[w] = x;
    }
    return out;
}

// Within a file the borrow of a subtraction runs from a slider to the first piece in its way; the
// last square of each file is taken for a piece, so that no borrow leaves the file.
KEISEI_HD Bitboard slide_down(const Bitboard& sliders, const Bitboard& empty) {
    constexpr uint32_t kEnd = rank_bits(8);
    Bitboard out = Bitboard::none();
    for (int w = 0; w < 3; ++w) {
        const uint32_t taken = ~empty.w_[w] | kEnd;
        out.w_[w] = taken ^ (taken - ((sliders.w_[w] & ~kEnd) << 1));
    }
    return out;
}
// The same with the bits reversed, which costs the GPU less than three rounds of doubling.
KEISEI_HD Bitboard slide_up(const Bitboard& sliders, const Bitboard& empty) {
    constexpr uint32_t kEnd = 0x80402000u;  // the first square of each file
    Bitboard out = Bitboard::none();
    for (int w = 0; w < 3; ++w) {
        const uint32_t taken = ~reverse_bits(empty.w_[w]) | kEnd;
        const uint32_t from = reverse_bits(sliders.w_[w]) & ~kEnd;
        out.w_[w] = reverse_bits(taken ^ (taken - (from << 1)));
    }
    return out;
}

}  // namespace detail

template <int kDirection>
KEISEI_HD Bitboard sweep(const Bitboard& sliders, const Bitboard& empty) {
    static_assert(kDirection < kRayDirections);
    if constexpr (kDirection == UP) {
        return detail::slide_up(sliders, empty);
    } else if constexpr (kDirection == DOWN) {
        return detail::slide_down(sliders, empty);
    } else {
        return detail::filled<kDirection>(sliders, empty);
    }
}

template <int kDirection>
KEISEI_HD Bitboard slide(const Bitboard& sliders, const Bitboard& empty) {
    const Bitboard swept = sweep<kDirection>(sliders, empty);
    if constexpr (kDirection == UP || kDirection == DOWN) {
        return swept;
    } else {
        return shifted<delta_of(kDirection), unreachable_ranks(kDirection)>(swept);
    }
}

template <int kDirection>
KEISEI_HD Bitboard land(const Bitboard& swept, const Bitboard& steppers, const Bitboard& mask) {
    constexpr int kDelta = delta_of(kDirection);
    constexpr uint32_t kGone = unreachable_ranks(kDirection);
    if constexpr (kDirection == UP || kDirection == DOWN) {
        return (swept | shifted<kDelta, kGone>(steppers)) & mask;
    } else {
        // The sliders' last step and the steppers' only one are one shift.
        return shifted<kDelta, kGone>(swept | steppers) & mask;
    }
}

KEISEI_HD constexpr bool in_sight(const Bitboard&, const Bitboard&, const Bitboard&,
                                  const Bitboard&) {
    return true;
}

}  // namespace bitboard_words
}  // namespace keisei::shogi
