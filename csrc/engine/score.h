// Centipawns for USI from a network's value, and back.
#pragma once

#include <cstdint>

namespace keisei::engine {

constexpr int kCentipawnScale = 600;
constexpr int kCentipawnLimit = 9999;

// cp = 600 * ln((1 + v) / (1 - v)), rounded and clamped to +-9999. With the winning rate
// p = (1 + v) / 2 this is 600 * ln(p / (1 - p)), the scale that shogi programs share.
int centipawns(float value);

// v = tanh(cp / 1200).
double value_of_centipawns(int64_t cp);

}  // namespace keisei::engine
