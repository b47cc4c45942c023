#include "engine/score.h"

#include <algorithm>
#include <cmath>

namespace keisei::engine {

int centipawns(float value) {
    const double v = std::clamp(static_cast<double>(value), -1.0, 1.0);
    const double cp = kCentipawnScale * std::log((1.0 + v) / (1.0 - v));  // +-infinity at +-1
    constexpr double kLimit = kCentipawnLimit;
    return static_cast<int>(std::lround(std::clamp(cp, -kLimit, kLimit)));
}

double value_of_centipawns(int64_t cp) {
    return std::tanh(static_cast<double>(cp) / (2.0 * kCentipawnScale));
}

}  // namespace keisei::engine
