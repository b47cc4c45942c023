#include "engine/uniform_evaluator.h"

#include <algorithm>

namespace keisei::engine {

void UniformEvaluator::evaluate(std::span<const shogi::Position>, std::span<float> logits,
                                std::span<float> values) {
    std::ranges::fill(logits, 0.0f);
    std::ranges::fill(values, 0.0f);
}

}  // namespace keisei::engine
