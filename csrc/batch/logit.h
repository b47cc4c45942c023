// The number types that networks put out, read and written one by one.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "shogi/platform.h"

namespace keisei::batch {

enum class LogitType : uint8_t { float32, float16, bfloat16, float64 };

KEISEI_HD float float_of_bits(uint32_t bits) {
#if defined(__CUDA_ARCH__)
    return __uint_as_float(bits);
#else
    return std::bit_cast<float>(bits);
#endif
}

KEISEI_HD uint32_t bits_of_float(float x) {
#if defined(__CUDA_ARCH__)
    return __float_as_uint(x);
#else
    return std::bit_cast<uint32_t>(x);
#endif
}

KEISEI_HD float float_of_half(uint16_t half) {
    constexpr uint16_t kInfinity = 0x7c00;
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
    const uint32_t rest = static_cast<uint32_t>(half & 0x7fffu) << 13;
    if ((half & kInfinity) == kInfinity) return float_of_bits(sign | 0x7f800000u | rest);
    const float magnitude = float_of_bits(rest) * 0x1p112f;  // exact, subnormals included
    return sign != 0 ? -magnitude : magnitude;
}

KEISEI_HD float float_of_bfloat(uint16_t bfloat) {
    return float_of_bits(static_cast<uint32_t>(bfloat) << 16);
}

// To nearest, ties to even.
KEISEI_HD uint16_t bfloat_of_float(float x) {
    const uint32_t bits = bits_of_float(x);
    if (x != x) return static_cast<uint16_t>((bits >> 16) | 0x40u);
    return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// To nearest, ties to even; subnormals are kept.
KEISEI_HD uint16_t half_of_float(float x) {
    const uint32_t bits = bits_of_float(x);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    constexpr uint32_t kTooLarge = 0x47800000u;        // 2^16
    constexpr uint32_t kSmallestNormal = 0x38800000u;  // 2^-14
    uint32_t half;
    if (magnitude > 0x7f800000u) {
        half = 0x7e00u;
    } else if (magnitude >= kTooLarge) {
        half = 0x7c00u;
    } else if (magnitude < kSmallestNormal) {
        // Added to 1/2, the number's last place is that of the subnormals, and the sum is rounded.
        half = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
    } else {
        half = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    }
    return static_cast<uint16_t>(sign | half);
}

// How logits of a type lie in memory (`Stored`) and what is computed in (`Real`).
template <LogitType kType>
struct Logit;

template <>
struct Logit<LogitType::float32> {
    using Stored = float;
    using Real = float;
    KEISEI_HD static Real read(Stored x) { return x; }
    KEISEI_HD static Stored written(Real x) { return x; }
};

template <>
struct Logit<LogitType::float64> {
    using Stored = double;
    using Real = double;
    KEISEI_HD static Real read(Stored x) { return x; }
    KEISEI_HD static Stored written(Real x) { return x; }
};

template <>
struct Logit<LogitType::float16> {
    using Stored = uint16_t;
    using Real = float;
    KEISEI_HD static Real read(Stored x) { return float_of_half(x); }
    KEISEI_HD static Stored written(Real x) { return half_of_float(x); }
};

template <>
struct Logit<LogitType::bfloat16> {
    using Stored = uint16_t;
    using Real = float;
    KEISEI_HD static Real read(Stored x) { return float_of_bfloat(x); }
    KEISEI_HD static Stored written(Real x) { return bfloat_of_float(x); }
};

template <LogitType kType>
KEISEI_HD typename Logit<kType>::Real read_logit(const void* logits, int64_t index) {
    return Logit<kType>::read(static_cast<const typename Logit<kType>::Stored*>(logits)[index]);
}

// Calls a template lambda with the type as its argument. Real is what that type is computed in.
template <typename Real, typename Call>
void with_type(LogitType type, Call call) {
    if constexpr (std::is_same_v<Real, double>) {
        call.template operator()<LogitType::float64>();
    } else {
        switch (type) {
            case LogitType::float32:
                return call.template operator()<LogitType::float32>();
            case LogitType::float16:
                return call.template operator()<LogitType::float16>();
            case LogitType::bfloat16:
                return call.template operator()<LogitType::bfloat16>();
            case LogitType::float64:
                return;
        }
    }
}

}  // namespace keisei::batch
