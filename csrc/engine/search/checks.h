// The legal moves that give check.
#pragma once

#include <cstdint>
#include <vector>

#include "shogi/position.h"

namespace keisei::engine {

// Appends their labels, in no particular order.
void list_checks(const shogi::Position& position, std::vector<uint16_t>& labels);

}  // namespace keisei::engine
