// The Bitboard of the host: a vector of four 32-bit lanes of which the last is always 0, so that
// one instruction serves the whole board. See bitboard.h for what every form has.
#pragma once

#include <array>
#include <cstring>

#include "shogi/rank_bits.h"

#if defined(__SSE4_1__)
#include <smmintrin.h>
#elif defined(__SSSE3__)
#include <tmmintrin.h>
#endif

namespace keisei::shogi {
inline namespace bitboard_vector {

using Lanes = uint32_t __attribute__((vector_size(16)));

struct Bitboard {
    static constexpr bool kTestsPay = true;

    static Bitboard of(uint32_t w0, uint32_t w1, uint32_t w2) { return {Lanes{w0, w1, w2, 0}}; }
    static Bitboard none() { return {Lanes{}}; }
    static Bitboard all() { return of(kWordMask, kWordMask, kWordMask); }
    static Bitboard square(int square);

    uint32_t word(int w) const { return lanes[w]; }
    void store(uint32_t* to) const {
        std::memcpy(to, &lanes, 2 * sizeof(uint32_t));
        to[2] = lanes[2];
    }

    bool test(int square) const {
        const int w = square / kWordBits;
        return (lanes[w] >> (square - w * kWordBits)) & 1u;
    }
    bool any() const {
#if defined(__SSE4_1__)
        const auto bits = reinterpret_cast<__m128i>(lanes);
        return _mm_testz_si128(bits, bits) == 0;
#else
        return (half(0) | half(1)) != 0;
#endif
    }
    int count() const { return std::popcount(half(0)) + std::popcount(half(1)); }
    int lowest() const {
        const uint64_t low = half(0);
        return low != 0 ? square_of_low(std::countr_zero(low))
                        : 2 * kWordBits + std::countr_zero(half(1));
    }
    void evaluate() {}  // where registers are few
    int pop_lowest() {
        const int out = lowest();
        lanes &= ~square(out).lanes;
        return out;
    }

    // Lanes 0 and 1, or lane 2.
    uint64_t half(int i) const {
        using Halves = uint64_t __attribute__((vector_size(16)));
        return reinterpret_cast<Halves>(lanes)[i];
    }
    // The square of a bit of half 0.
    static int square_of_low(int bit) { return bit < 32 ? bit : bit - 32 + kWordBits; }

    Lanes lanes;
};

namespace detail {

inline constexpr auto kSquareWords = [] {
    struct alignas(16) Words {
        uint32_t word[4];
    };
    std::array<Words, kSquares> out{};
    for (int s = 0; s < kSquares; ++s) {
        out[static_cast<std::size_t>(s)].word[s / kWordBits] = 1u << (s % kWordBits);
    }
    return out;
}();

// Every lane moved n lanes up (n > 0) or down, zeros moving in.
template <int n>
inline Lanes moved_lanes(const Lanes& a) {
    if constexpr (n == 0) return a;
    if constexpr (n == 1) return __builtin_shufflevector(a, Lanes{}, 4, 0, 1, 2);
    if constexpr (n == 2) return __builtin_shufflevector(a, Lanes{}, 4, 4, 0, 1);
    if constexpr (n == -1) return __builtin_shufflevector(a, Lanes{}, 1, 2, 3, 4);
    if constexpr (n == -2) return __builtin_shufflevector(a, Lanes{}, 2, 3, 4, 4);
}

// Every square moved by n; the caller clears what left the board and what stands in unused bits.
template <int n>
inline Lanes moved(const Lanes& a) {
    constexpr int kDistance = n > 0 ? n : -n;
    constexpr int kWords = kDistance / kWordBits;
    constexpr int kBits = kDistance % kWordBits;
    if constexpr (n > 0) {
        return (moved_lanes<kWords>(a) << kBits) |
               (moved_lanes<kWords + 1>(a) >> (kWordBits - kBits));
    } else {
        return (moved_lanes<-kWords>(a) >> kBits) |
               (moved_lanes<-kWords - 1>(a) << (kWordBits - kBits));
    }
}
// The same inside each file.
template <int n>
inline Lanes moved_in_lane(const Lanes& a) {
    if constexpr (n > 0) return a << n;
    return a >> -n;
}

// Moves by up to a file and a rank, or within a file.
template <int kDelta, int kTimes>
inline Lanes moved_along(const Lanes& a) {
    if constexpr (kDelta == 1 || kDelta == -1) return moved_in_lane<kDelta * kTimes>(a);
    return moved<kDelta * kTimes>(a);
}

inline Lanes lanes_of(uint32_t bits) {
    return Lanes{bits, bits, bits, 0};
}

}  // namespace detail

inline Bitboard Bitboard::square(int square) {
    Bitboard out;
    std::memcpy(&out.lanes, &detail::kSquareWords[static_cast<std::size_t>(square)], sizeof(Lanes));
    return out;
}

// What a set leaves out. It becomes a set where one is needed; most often it is only intersected
// with one, and that is a single and-not.
struct Complement {
    Lanes left_out;
    operator Bitboard() const { return {left_out ^ Bitboard::all().lanes}; }
};

inline Bitboard operator&(const Bitboard& a, const Bitboard& b) {
    return {a.lanes & b.lanes};
}
inline Bitboard operator&(const Bitboard& a, const Complement& b) {
    return {a.lanes & ~b.left_out};
}
inline Bitboard operator&(const Complement& a, const Bitboard& b) {
    return b & a;
}
inline Complement operator&(const Complement& a, const Complement& b) {
    return {a.left_out | b.left_out};
}
inline Bitboard operator|(const Bitboard& a, const Bitboard& b) {
    return {a.lanes | b.lanes};
}
inline Bitboard operator^(const Bitboard& a, const Bitboard& b) {
    return {a.lanes ^ b.lanes};
}
inline Complement operator~(const Bitboard& a) {
    return {a.lanes};
}
inline Bitboard operator~(const Complement& a) {
    return {a.left_out};
}
inline Bitboard operator&(const Bitboard& a, uint32_t bits) {
    return {a.lanes & detail::lanes_of(bits)};
}
inline bool operator==(const Bitboard& a, const Bitboard& b) {
    return !(a ^ b).any();
}

inline Bitboard turned(const Bitboard& a) {
    constexpr int kUnused = 32 - kWordBits;
    using Bytes = uint8_t __attribute__((vector_size(16)));
    const auto bytes = reinterpret_cast<Bytes>(a.lanes);
    // The three words in reverse, the bytes of each in reverse; then the bits of each byte.
    const Bytes swapped = __builtin_shufflevector(bytes, Bytes{}, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1,
                                                  0, 16, 16, 16, 16);
#if defined(__SSSE3__)
    const Bytes low = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
    const Bytes low_bits = low << 4;
    const auto reversed = [](const Bytes& table, const Lanes& nibbles) {
        return reinterpret_cast<Lanes>(
            _mm_shuffle_epi8(reinterpret_cast<__m128i>(table), reinterpret_cast<__m128i>(nibbles)));
    };
    const auto x = reinterpret_cast<Lanes>(swapped);
    const Lanes out = reversed(low_bits, x & 0x0f0f0f0fu) | reversed(low, (x >> 4) & 0x0f0f0f0fu);
#else
    auto out = reinterpret_cast<Lanes>(swapped);
    out = ((out >> 1) & 0x55555555u) | ((out & 0x55555555u) << 1);
    out = ((out >> 2) & 0x33333333u) | ((out & 0x33333333u) << 2);
    out = ((out >> 4) & 0x0f0f0f0fu) | ((out & 0x0f0f0f0fu) << 4);
#endif
    return {out >> kUnused};
}

inline Bitboard without(const Bitboard& a, const Bitboard& b) {
    return {a.lanes & ~b.lanes};
}

inline Bitboard whole_files(const Bitboard& a) {
    constexpr uint32_t kTop = rank_bits(8);
    constexpr uint32_t kLow = kWordMask ^ kTop;
    // Adding 255 to a file's low eight bits carries into its ninth exactly if one is set.
    const Lanes hit = (((a.lanes & kLow) + kLow) | a.lanes) & detail::lanes_of(kTop);
    return {(hit << 1) - (hit >> 8)};
}

template <int kDelta, uint32_t kGone>
inline Bitboard shifted(const Bitboard& a) {
    return Bitboard{detail::moved_along<kDelta, 1>(a.lanes)} & (kWordMask & ~kGone);
}

template <int kDirection>
inline Bitboard sweep(const Bitboard& sliders, const Bitboard& empty) {
    static_assert(kDirection < kRayDirections);
    if constexpr (kDirection == DOWN) {
        // Within a file the borrow of a subtraction runs from a slider to the first piece in its
        // way; the last square of each file is taken for a piece, so that no borrow leaves it.
        constexpr uint32_t kEnd = rank_bits(8);
        const Lanes taken = (empty.lanes ^ Bitboard::all().lanes) | detail::lanes_of(kEnd);
        const Lanes from = sliders.lanes & ~detail::lanes_of(kEnd);
        return {taken ^ (taken - (from + from))};
    } else {
        // Doubling: three rounds cover the eight squares that a ray has at most.
        constexpr int kDelta = delta_of(kDirection);
        Lanes pass = (empty & (kWordMask & ~unreachable_ranks(kDirection))).lanes;
        Lanes x = sliders.lanes;
        x |= pass & detail::moved_along<kDelta, 1>(x);
        pass &= detail::moved_along<kDelta, 1>(pass);
        x |= pass & detail::moved_along<kDelta, 2>(x);
        pass &= detail::moved_along<kDelta, 2>(pass);
        x |= pass & detail::moved_along<kDelta, 4>(x);
        return {x};
    }
}

template <int kDirection>
inline Bitboard slide(const Bitboard& sliders, const Bitboard& empty) {
    const Bitboard swept = sweep<kDirection>(sliders, empty);
    if constexpr (kDirection == DOWN) return swept;
    return shifted<delta_of(kDirection), unreachable_ranks(kDirection)>(swept);
}

template <int kDirection>
inline Bitboard land(const Bitboard& swept, const Bitboard& steppers, const Bitboard& mask) {
    constexpr int kDelta = delta_of(kDirection);
    constexpr uint32_t kGone = unreachable_ranks(kDirection);
    if constexpr (kDirection == DOWN) return (swept | shifted<kDelta, kGone>(steppers)) & mask;
    // The sliders' last step and the steppers' only one are one shift.
    return shifted<kDelta, kGone>(swept | steppers) & mask;
}

namespace detail {

struct alignas(16) Words {
    uint32_t word[4];

    Lanes lanes() const {
        Lanes out;
        std::memcpy(&out, word, sizeof(out));
        return out;
    }
};

// For each square the others on its file and its rank, on its diagonals, and above it. The rows
// from 81 on are empty: Bitboard::none().lowest() is one of them.
struct Lines {
    Words orthogonal[128];
    Words diagonal[128];
    Words above[128];
};
inline constexpr Lines kLines = [] {
    Lines out{};
    for (int from = 0; from < kSquares; ++from) {
        for (int to = 0; to < kSquares; ++to) {
            const int left = file_of(to) - file_of(from);
            const int down = rank_of(to) - rank_of(from);
            const uint32_t bit = 1u << (to % kWordBits);
            if (from == to) continue;
            if (left == 0 || down == 0) out.orthogonal[from].word[to / kWordBits] |= bit;
            if (left == down || left == -down) out.diagonal[from].word[to / kWordBits] |= bit;
            if (left == 0 && down < 0) out.above[from].word[to / kWordBits] |= bit;
        }
    }
    return out;
}();

}  // namespace detail

inline bool in_sight(const Bitboard& king, const Bitboard& forward, const Bitboard& orthogonal,
                     const Bitboard& diagonal) {
    const int square = king.lowest();
    return Bitboard{(detail::kLines.orthogonal[square].lanes() & orthogonal.lanes) |
                    (detail::kLines.diagonal[square].lanes() & diagonal.lanes) |
                    (detail::kLines.above[square].lanes() & forward.lanes)}
        .any();
}

}  // namespace bitboard_vector
}  // namespace keisei::shogi
