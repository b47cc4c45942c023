// The numbers that activations of a network are stored as. Arithmetic is in float32.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

// Compiled for what processors of the last years have too, and chosen when the program starts.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define KEISEI_WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define KEISEI_WIDE
#endif
#define KEISEI_INSIDE inline __attribute__((always_inline))

namespace keisei::network {

enum class Number : uint8_t { float32, bfloat16, float16 };

// bfloat16 is the upper half of a float32.
KEISEI_INSIDE float from_bfloat16(uint16_t half) {
    constexpr int kHalf = 16;
    return std::bit_cast<float>(static_cast<uint32_t>(half) << kHalf);
}

// To the nearest, ties to even; what is no number stays so.
KEISEI_INSIDE uint16_t to_bfloat16(float value) {
    constexpr int kHalf = 16;
    constexpr uint32_t kBelowTie = 0x7fff;
    constexpr uint16_t kNoNumber = 0x7fc0;
    const auto bits = std::bit_cast<uint32_t>(value);
    const auto rounded =
        static_cast<uint16_t>((bits + kBelowTie + ((bits >> kHalf) & 1U)) >> kHalf);
    return value != value ? kNoNumber : rounded;
}

KEISEI_INSIDE float load(const float* from) {
    return *from;
}
KEISEI_INSIDE float load(const uint16_t* from) {
    return from_bfloat16(*from);
}
KEISEI_INSIDE void store(float* to, float value) {
    *to = value;
}
KEISEI_INSIDE void store(uint16_t* to, float value) {
    *to = to_bfloat16(value);
}

}  // namespace keisei::network
