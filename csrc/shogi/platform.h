// Host and device portability: the only place where the rules switch on the compiler.
#pragma once

#include <bit>
#include <cstdint>

#if defined(__CUDACC__)
#define KEISEI_HD __host__ __device__ __forceinline__
// For the loops around one position: everything they call becomes a part of them.
#define KEISEI_FLAT
#else
#define KEISEI_HD inline
#define KEISEI_FLAT __attribute__((flatten))
#endif

namespace keisei::shogi {

KEISEI_HD int popcount(uint32_t x) {
#if defined(__CUDA_ARCH__)
    return __popc(x);
#else
    return std::popcount(x);
#endif
}

// Index of the lowest set bit; x must not be 0.
KEISEI_HD int lowest_bit(uint32_t x) {
#if defined(__CUDA_ARCH__)
    return __ffs(static_cast<int>(x)) - 1;
#else
    return std::countr_zero(x);
#endif
}

KEISEI_HD uint32_t reverse_bits(uint32_t x) {
#if defined(__CUDA_ARCH__)
    return __brev(x);
#else
    x = ((x >> 1) & 0x55555555u) | ((x & 0x55555555u) << 1);
    x = ((x >> 2) & 0x33333333u) | ((x & 0x33333333u) << 2);
    x = ((x >> 4) & 0x0f0f0f0fu) | ((x & 0x0f0f0f0fu) << 4);
    return __builtin_bswap32(x);
#endif
}

// Low and high half of the 128-bit product, folded: the mixing step of the position key.
KEISEI_HD uint64_t folded_product(uint64_t a, uint64_t b) {
#if defined(__CUDA_ARCH__)
    return (a * b) ^ __umul64hi(a, b);
#else
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
#endif
}

}  // namespace keisei::shogi
