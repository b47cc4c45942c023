// Every move as good as any other, every position even: needs no weights.
#pragma once

#include "engine/evaluator.h"

namespace keisei::engine {

class UniformEvaluator final : public Evaluator {
 public:
    void evaluate(std::span<const shogi::Position> positions, std::span<float> logits,
                  std::span<float> values) override;
    std::string describe() const override { return "uniform"; }
};

}  // namespace keisei::engine
