// What cores pass to each other when they write to memory.
#pragma once

#include <cstddef>

namespace keisei::engine {

// Not std::hardware_destructive_interference_size: gcc warns that it depends on flags.
constexpr std::size_t kCacheLine = 64;

}  // namespace keisei::engine
