// Bits to bytes on the host.
#pragma once

#include <cstdint>

namespace keisei::batch {

using Bytes = uint8_t __attribute__((vector_size(16)));

// The bits of bytes `kFirst` and `kFirst` + 1 of `packed`, as sixteen bytes 0 or 1.
template <int kFirst>
Bytes spread_bits(const Bytes& packed) {
    constexpr int a = kFirst;
    constexpr int b = kFirst + 1;
    constexpr Bytes kBit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const Bytes spread =
        __builtin_shufflevector(packed, packed, a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b);
    return ((spread & kBit) == kBit) & 1;
}

}  // namespace keisei::batch
