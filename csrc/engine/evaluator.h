// What judges positions for the engine: a network, or none.
#pragma once

#include <span>

#include "shogi/label.h"

namespace keisei::engine {

class Evaluator {
 public:
    virtual ~Evaluator() = default;

    // For each position its kLabels policy logits (row by row) and its value in [-1, 1], both seen
    // by the side to move; illegal labels have logits too. `logits` holds positions.size() *
    // kLabels entries, `values` positions.size(). Throws std::runtime_error with a one-line text.
    virtual void evaluate(std::span<const shogi::Position> positions, std::span<float> logits,
                          std::span<float> values) = 0;
};

}  // namespace keisei::engine
