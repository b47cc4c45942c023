// Counts the legal move sequences of a length: the fingerprint by which move generators are
// compared. Knows legality only, no repetition and no declaration.
#pragma once

#include <cstdint>

#include "shogi/position.h"

namespace keisei::game {

// 1 for depth 0. Throws std::invalid_argument for a negative depth.
uint64_t perft(const shogi::Position& position, int depth);

}  // namespace keisei::game
