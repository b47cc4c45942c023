// shogi/perft.h for callers whose depth is not known to be right.
#pragma once

#include <cstdint>

#include "shogi/position.h"

namespace keisei::game {

// Throws std::invalid_argument for a negative depth.
uint64_t perft(const shogi::Position& position, int depth);

}  // namespace keisei::game
