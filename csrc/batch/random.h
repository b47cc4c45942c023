// Counter-based randomness: what is drawn depends on (seed, game, clock, stream, index) alone, so a
// game plays the same on CPU and CUDA and whatever batch or rank it is in. No state is kept.
#pragma once

#include <cmath>
#include <cstdint>

#include "batch/logit.h"
#include "shogi/platform.h"

namespace keisei::batch {

// Draws of different purposes never share a counter.
enum class RandomStream : uint32_t { uniform_label = 0, gumbel = 1 };

struct RandomBlock {
    uint32_t word[4];
};

KEISEI_HD uint32_t high_product(uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
    return __umulhi(a, b);
#else
    return static_cast<uint32_t>((static_cast<uint64_t>(a) * b) >> 32);
#endif
}

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
KEISEI_HD RandomBlock philox(RandomBlock counter, uint32_t key0, uint32_t key1) {
    constexpr uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
    constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
    for (int round = 0; round < 10; ++round) {
        const uint32_t high0 = high_product(kMultiplier0, counter.word[0]);
        const uint32_t high1 = high_product(kMultiplier1, counter.word[2]);
        counter = {{high1 ^ counter.word[1] ^ key0, kMultiplier1 * counter.word[2],
                    high0 ^ counter.word[3] ^ key1, kMultiplier0 * counter.word[0]}};
        key0 += kWeyl0;
        key1 += kWeyl1;
    }
    return counter;
}

// Four words for block `index` (below 2^24) of a stream, for one game at one tick of its clock.
KEISEI_HD RandomBlock random_block(uint64_t seed, int64_t game, int32_t clock, RandomStream stream,
                                   uint32_t index) {
    const auto g = static_cast<uint64_t>(game);
    return philox({{index | (static_cast<uint32_t>(stream) << 24), static_cast<uint32_t>(clock),
                    static_cast<uint32_t>(g), static_cast<uint32_t>(g >> 32)}},
                  static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

// An integer in [0, count): off from uniform by less than count / 2^32.
KEISEI_HD uint32_t random_below(uint32_t bits, uint32_t count) {
    return high_product(bits, count);
}

KEISEI_HD float multiply_add(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
    return __fmaf_rn(a, b, c);
#else
    return std::fmaf(a, b, c);
#endif
}

// log(1 + x) for |x| <= 1/3, within 2e-7 relative. Every rounding is spelt out (no multiplication
// is left for a compiler to contract), so host and device agree to the bit; the library's logf do
// not.
KEISEI_HD float portable_log1p(float x) {
    float r = -0.1289166510105133f;
    r = multiply_add(r, x, 0.13984446227550507f);
    r = multiply_add(r, x, -0.1218426451086998f);
    r = multiply_add(r, x, 0.14005866646766663f);
    r = multiply_add(r, x, -0.16680486500263214f);
    r = multiply_add(r, x, 0.20010405778884888f);
    r = multiply_add(r, x, -0.24999797344207764f);
    r = multiply_add(r, x, 0.3333321511745453f);
    r = multiply_add(r, x, -0.5f);
    return multiply_add(multiply_add(r, x, 0.0f), x, x);
}

// A positive normal x as 2^exponent * (1 + rest), rest in [-1/3, 1/3).
struct SplitFloat {
    float exponent;
    float rest;

    KEISEI_HD static SplitFloat of(float x) {
        constexpr uint32_t kTwoThirds = 0x3f2aaaabu;
        const uint32_t bits = bits_of_float(x);
        const int32_t exponent = static_cast<int32_t>(bits - kTwoThirds) >> 23;
        const uint32_t mantissa = bits - (static_cast<uint32_t>(exponent) << 23);
        return {static_cast<float>(exponent), float_of_bits(mantissa) - 1.0f};
    }
};

// log(x), agreeing to the bit on host and device.
KEISEI_HD float portable_log(SplitFloat x) {
    return multiply_add(x.exponent, 0.693147182464599609375f, portable_log1p(x.rest));
}

// A draw from the standard Gumbel distribution, in [-2.82, 22.9]: -log(-log(u)). It is computed
// from v = 1 - u, so that the upper tail, which decides for unlikely labels, keeps all 32 bits:
// for a small v the inner logarithm is that of 1 + (-v) as it stands, with an exponent of 0.
KEISEI_HD float gumbel(uint32_t bits) {
    constexpr float kBelowOne = 0.999999940395355224609375f;
    float v = multiply_add(static_cast<float>(bits), 0x1p-32f, 0x1p-33f);
    v = v < kBelowOne ? v : kBelowOne;
    const SplitFloat split = SplitFloat::of(1.0f - v);
    const bool small = v <= 0.33333334f;
    const float exponential =
        -portable_log({small ? 0.0f : split.exponent, small ? -v : split.rest});
    return -portable_log(SplitFloat::of(exponential));
}

// The Gumbel noise of one label of one game.
KEISEI_HD float label_gumbel(uint64_t seed, int64_t game, int32_t clock, int label) {
    const RandomBlock block =
        random_block(seed, game, clock, RandomStream::gumbel, static_cast<uint32_t>(label) >> 2);
    const int which = label & 3;  // selects, not an index: the block stays in registers
    const uint32_t low = (which & 1) ? block.word[1] : block.word[0];
    const uint32_t high = (which & 1) ? block.word[3] : block.word[2];
    return gumbel((which & 2) ? high : low);
}

}  // namespace keisei::batch
