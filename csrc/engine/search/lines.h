// What the tree says: the best moves with their lines.
#pragma once

#include <vector>

#include "engine/search/playouts.h"
#include "engine/search/search.h"

namespace keisei::engine {

// At most `count` lines, best first; only visited and decided moves, but always one once the root
// has been evaluated, and none before. The caller is inside the gate.
std::vector<SearchLine> best_lines(SearchState& state, std::size_t count);

// The length of the best of them.
int best_depth(SearchState& state);

}  // namespace keisei::engine
