// A deterministic stand-in for a network: policy and value are pseudo-random numbers made from the
// position, its occurrence with it. Needs no weights; made for tests of the search.
#pragma once

#include "engine/evaluator.h"

namespace keisei::engine {

class MockEvaluator final : public Evaluator {
 public:
    void evaluate(std::span<const shogi::Position> positions, std::span<float> logits,
                  std::span<float> values) override;
    // Makes only the numbers that are wanted.
    void evaluate_labels(const EvaluationBatch& batch) override;
    std::string describe() const override { return "mock"; }
};

}  // namespace keisei::engine
