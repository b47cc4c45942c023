// Pseudo-random bits without state.
#pragma once

#include <cstdint>

namespace keisei::engine {

// The finaliser of splitmix64: every bit of the result depends on every bit of x.
inline uint64_t mixed(uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

// Uniform in [0, 1).
inline double unit(uint64_t bits) {
    return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace keisei::engine
